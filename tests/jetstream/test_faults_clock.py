"""The wall clock is for people: a step of it decides nothing."""

from __future__ import annotations

import ast
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from nats.aio.client import Client
from nats.js import JetStreamContext

from gateway import Event, Filter, Retry
from gateway.clock import SystemClock
from tests.jetstream.conftest import Route, RunGateway
from tests.support.arrivals import arrived, settled
from tests.support.chains import recorded
from tests.support.eventually import eventually
from tests.support.streams import change_stream, make_stream

PACKAGE = Path(__file__).parents[2] / "gateway"
FOR_PEOPLE = {
    "app.py": "when the config was last reloaded",
    "chain/writer.py": "the time in the records of an audit chain",
    "cli/dlq_options.py": "`--since` is a time by the clock, as that of a letter is",
    "clock.py": "the clock itself",
    "runtime/auditing.py": "the time in an audit record",
    "facts.py": "when the gateway began",
    "observe/repeats.py": "when a line that says how many there were is written",
    "runtime/failing.py": "when a dead letter was given up",
    "runtime/faults.py": "since when a route has its fault",
    "runtime/lane.py": "hands the clock on",
    "runtime/settling.py": "the lag, which the source's own time begins",
}
"""Where the wall clock is read, and what it is only told or counted for."""


class Twice(Filter, name="twice"):
    """Ask for another try in a second, once."""

    def accepts(self, event: Event) -> bool:
        if event.meta.attempt == 1:
            raise Retry(after=1)
        return True


@pytest.mark.usefixtures("streams")
@pytest.mark.fault("clock-step")
@pytest.mark.parametrize("hours", [6, -6])
async def test_a_clock_that_jumps_moves_no_deadline(
    nc: Client,
    js: JetStreamContext,
    run_gateway: RunGateway,
    route: Route,
    monkeypatch: pytest.MonkeyPatch,
    hours: int,
) -> None:
    """Held events, pauses, ack-wait and max-age go on as if nothing had happened; no lag is below zero."""
    step = 0.0
    monkeypatch.setattr(SystemClock, "time", staticmethod(lambda: time.time() + step))
    await make_stream(nc, "FULL", ["full.>"], max_msgs=1, discard="new")
    await make_stream(nc, "AUDIT", ["audit.>"])
    await js.publish("full.old", b"0")
    audited: dict[str, Any] = {"audits": [{"stream": {"subject": "audit.{$route}"}}]}
    slow: dict[str, Any] = {"source": {"ack-wait": "30s"}, **audited}
    held = route("held", targets=[{"subject": "full.x"}], retry={"max-age": "1h"}, **slow)
    gateway = await run_gateway({"routes": [held, route("again", filters=["twice"], **slow)]}, Twice)
    await js.publish("in.a", b"1")
    await js.publish("in.a", b"{bad")
    paused = gateway.lane("again").window.history
    await eventually(lambda: gateway.stats("held").circuit_open and len(paused) >= 1)
    began, step = time.monotonic(), hours * 3600.0
    await arrived(nc, "OUT", 1)
    assert time.monotonic() - began < 60
    assert gateway.stats("held").outcomes["dead_lettered"] == 1, "the poison, and nothing that is too old"
    await change_stream(nc, "FULL", max_msgs=-1)
    await arrived(nc, "FULL", 2)
    await settled(nc, "held")
    await settled(nc, "again")
    for name in ("held", "again"):
        stats = gateway.stats(name)
        assert (stats.redeliveries, stats.up) == (0, True)
        assert stats.lag.total >= 0
        assert stats.duration.total < 600
    stepped = datetime.now(UTC) + timedelta(hours=hours)
    for record in await recorded(nc):
        assert 0 <= record["seconds"] < 600
        # The poison was settled before the step.
        assert record["outcome"] == "dead_lettered" or abs(
            datetime.fromisoformat(record["time"]) - stepped
        ) < timedelta(minutes=1)


@pytest.mark.fault("clock-step")
def test_the_wall_clock_is_read_only_where_people_are_told_the_time() -> None:
    """Every deadline is on the monotonic clock, which no administrator and no time server moves."""
    readers = {"time.time", "datetime.now", "datetime.utcnow", "clock.time", "self._clock.time"}
    found = {
        str(path.relative_to(PACKAGE))
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and ast.unparse(node) in readers
    }
    assert {path for path in found if not path.startswith("demo/")} - FOR_PEOPLE.keys() == set()
