"""A fault of this program over one event keeps that event, unsettled, and holds up no other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from nats.aio.client import Client
from nats.js import JetStreamContext

from gateway import Audit, AuditRecord
from gateway.runtime import auditing, failing, journey
from tests.jetstream.conftest import Route, RunGateway
from tests.support.arrivals import arrived, in_flight, settled
from tests.support.eventually import eventually

pytestmark = pytest.mark.usefixtures("streams")


class Broken:
    """A function of ours that fails for the event `"odd"` until it is mended."""

    def __init__(self, function: Any, delivery_at: int) -> None:
        self._function = function
        self._at = delivery_at
        self.calls = 0
        self.mended = False

    def __call__(self, *args: Any, **more: Any) -> Any:
        if b'"odd"' in args[self._at].data and not self.mended:
            self.calls += 1
            raise ZeroDivisionError
        return self._function(*args, **more)


@pytest.mark.parametrize("letter_too", [False, True])
async def test_an_event_we_fail_over_ends_in_its_dead_letter_or_waits_for_a_better_program(
    nc: Client,
    js: JetStreamContext,
    run_gateway: RunGateway,
    route: Route,
    monkeypatch: pytest.MonkeyPatch,
    letter_too: bool,
) -> None:
    broken = Broken(journey.copies, 2)
    monkeypatch.setattr(journey, "copies", broken)
    letter = Broken(failing.dead_letter, 2)
    if letter_too:
        monkeypatch.setattr(failing, "dead_letter", letter)
    gateway = await run_gateway({"routes": [route(retry={"attempts": 2}, source={"ack-wait": "30s"})]})
    await js.publish("in.a", b'"odd"')
    await eventually(lambda: broken.calls >= 2)
    if letter_too:
        await eventually(lambda: letter.calls >= 2, what="tried again")
        assert await in_flight(nc) == 1
    # The next ones need the sweep: what is behind the odd one in the window is looked after.
    for number in range(20):
        await js.publish("in.a", b"%d" % number)
    await arrived(nc, "OUT", 20)
    letter.mended = True
    await settled(nc)
    assert [message.headers["Gateway-Error-Code"] for message in await arrived(nc, "DLQ", 1)] == ["retries-exhausted"]
    assert gateway.stats().redeliveries == 0


class Keeps(Audit, name="keeps"):
    """Take every record."""

    def record(self, records: Sequence[AuditRecord]) -> None:
        """Nothing can fail here."""


async def test_a_fault_of_ours_at_the_end_of_an_event_stores_nothing_twice(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its copies are stored already, and a circuit or a late answer must not be left behind by the first try."""
    made = auditing.Auditor._record
    failures = 0

    def record(self: Any, entry: Any) -> Any:
        nonlocal failures
        if failures < 2:
            failures += 1
            raise ZeroDivisionError
        return made(self, entry)

    monkeypatch.setattr(auditing.Auditor, "_record", record)
    gateway = await run_gateway({"routes": [route(audits=["keeps"])]}, Keeps)
    await js.publish("in.a", b"1")
    await settled(nc)
    await arrived(nc, "OUT", 1)
    assert failures == 2
    assert gateway.stats().outcomes["published"] == 1
    assert not gateway.lane()._sender._pending


@pytest.mark.parametrize("mode", ["required", "best-effort"])
async def test_a_fault_of_ours_over_a_batch_of_records_is_seen_and_ends_no_audit(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    """The worker that tells them must not end unseen: nothing would ever be settled again, on a route that is up."""
    works = auditing.Auditor._tell
    broken, failures = True, 0

    async def tell(self: Any, *args: Any) -> None:
        nonlocal failures
        if broken:
            failures += 1
            raise ZeroDivisionError
        await works(self, *args)

    monkeypatch.setattr(auditing.Auditor, "_tell", tell)
    gateway = await run_gateway({"routes": [route(audits=["keeps"], **{"audit-mode": mode})]}, Keeps)
    await js.publish("in.a", b"1")
    await eventually(lambda: failures)
    if mode == "required":
        await gateway.down("internal")
        assert await in_flight(nc) == 1
    broken = False
    await js.publish("in.a", b"2")
    await gateway.up()
    await settled(nc)
    counts = gateway.stats().audit_records
    await eventually(lambda: counts["audit-0-keeps", "stored"] >= (2 if mode == "required" else 1))
