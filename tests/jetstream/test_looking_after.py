"""Every route is looked after ten times a second: one that is stuck is down with a reason, alone, and comes back."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import ClassVar

import pytest
from nats.aio.client import Client
from nats.js import JetStreamContext

from gateway import Event, Filter
from gateway.jetstream.server import EmbeddedServer
from tests.jetstream.conftest import Route, RunGateway
from tests.support.arrivals import arrived
from tests.support.eventually import eventually
from tests.support.running import RunningGateway

pytestmark = pytest.mark.usefixtures("streams")

TWO = {"targets": [{"subject": "out.good", "name": "good"}]}


def told(caplog: pytest.LogCaptureFixture, event: str) -> int:
    """How many log lines there are of an event."""
    return sum(record.__dict__.get("event") == event for record in caplog.records)


@pytest.fixture
async def both(run_gateway: RunGateway, route: Route) -> RunningGateway:
    """A gateway with the routes r and good, up."""
    return await run_gateway({"routes": [route(), route("good", **TWO)]})


async def goes_on(gateway: RunningGateway) -> None:
    """The watchdog would be fed: every route is looked after."""
    before = gateway.app.swept_at
    await eventually(lambda: gateway.app.swept_at > before + 0.3)


async def test_a_route_whose_task_ended_is_begun_anew(
    nc: Client, js: JetStreamContext, both: RunningGateway, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody else would open its source again after a loss; its neighbour notices nothing."""
    task = both.app._gateway.supervisors["r"]._task
    assert task is not None
    task.cancel()  # as nothing but a fault of this program, or of a library, would
    await both.down("internal", "r")
    assert both.stats("good").state == "up"
    await both.up()
    await goes_on(both)
    assert told(caplog, "route.supervisor-ended") == 1
    both.lane("r").lost.set()
    await js.publish("in.a", b"1")
    await arrived(nc, "OUT", 2)


async def test_a_route_whose_sweep_fails_is_down_until_it_does_not(
    nc: Client,
    js: JetStreamContext,
    both: RunningGateway,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What depends on time stands still in it. Said once, not ten times a second; the others are swept on."""

    def broken() -> None:
        raise ValueError("as a fault of this program would")

    with monkeypatch.context() as patch:
        patch.setattr(both.lane("r"), "sweep", broken)
        stats = await both.down("internal", "r")
        assert stats.reason == "internal error in the sweep: ValueError"
        await goes_on(both)
        assert both.stats("good").state == "up"
    await both.up()
    assert told(caplog, "route.sweep-failed") == 1
    await js.publish("in.a", b"1")
    await arrived(nc, "OUT", 2)


class Gated(Filter, name="gated"):
    """Opens once somebody opens the gate."""

    gate: ClassVar[asyncio.Event]
    opening: ClassVar[asyncio.Event]

    async def open(self) -> None:
        Gated.opening.set()
        await Gated.gate.wait()

    def accepts(self, event: Event) -> bool:
        return True


@pytest.fixture
def gate() -> Iterator[asyncio.Event]:
    """Opens the filter `gated`."""
    Gated.gate, Gated.opening = asyncio.Event(), asyncio.Event()
    yield Gated.gate
    Gated.gate.set()


async def test_a_route_that_opens_for_too_long_is_down_and_the_start_does_not_wait_for_it(
    nc: Client,
    js: JetStreamContext,
    run_gateway: RunGateway,
    route: Route,
    gate: asyncio.Event,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """systemd would end, and start again for ever, a gateway that never says it is ready."""
    monkeypatch.setattr("gateway.runtime.supervisor.OPENING", 0.2)
    gateway = await run_gateway({"routes": [route(filters=["gated"])]}, Gated, wait=False)
    stats = await gateway.down("start-stalled")
    assert stats.reason == "it has not opened within 0.2 s"
    await asyncio.wait_for(gateway.app.settled(), 5)
    gate.set()
    await gateway.up()
    await js.publish("in.a", b"1")
    await arrived(nc, "OUT", 1)


async def test_the_start_does_not_wait_for_a_server_that_came_and_went(
    nats_server: EmbeddedServer, run_gateway: RunGateway, route: Route, gate: asyncio.Event
) -> None:
    """It is away, as one that was never there: that is a reason to be down."""
    gateway = await run_gateway({"routes": [route(filters=["gated"])]}, Gated, wait=False)
    await asyncio.wait_for(Gated.opening.wait(), 10)
    waits = asyncio.create_task(gateway.app.settled())
    await eventually(lambda: gateway.app._gateway.supervisors["r"].settled._waiters, what="it waits for the route")
    nats_server.kill()
    await eventually(lambda: not gateway.app.stats.connected)
    await asyncio.wait_for(waits, 9)
    assert not gateway.app._gateway.supervisors["r"].settled.is_set(), "it would have waited for the route"


async def test_a_backlog_that_cannot_be_looked_at_keeps_nobody_from_the_next_one(
    nc: Client, js: JetStreamContext, both: RunningGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its numbers would stand still for ever, and with them the alerts."""

    async def broken() -> None:
        raise ValueError("as a fault of this program would")

    monkeypatch.setattr("gateway.runtime.gateway.POLL_PENDING", 0.05)
    source = both.app._gateway.supervisors["r"]._source
    monkeypatch.setattr(source, "pending", broken)
    looks = asyncio.Event()
    other = both.app._gateway.supervisors["good"].lane
    looked = other.looked

    def notice(backlog: object) -> None:
        looks.set()
        looked(backlog)  # type: ignore[arg-type]

    monkeypatch.setattr(other, "looked", notice)
    for _ in range(2):
        looks.clear()
        await asyncio.wait_for(looks.wait(), 10)
