"""Steps that do not end, block, or stop the whole process: their route waits, no event is lost, it recovers."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from typing import ClassVar

import pytest
from nats.aio.client import Client
from nats.js import JetStreamContext

from gateway import Event, Filter, Transform
from tests.jetstream.conftest import Route, RunGateway
from tests.support.arrivals import arrived, in_flight, settled
from tests.support.eventually import eventually
from tests.support.streams import count

pytestmark = pytest.mark.usefixtures("streams")


@pytest.fixture(autouse=True)
def _short_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.runtime.waiting.GRACE", 0.1)


class Deaf(Filter, name="deaf"):
    """Survive cancellation, the first time, until somebody opens the gate."""

    gate: ClassVar[asyncio.Event]
    calls: ClassVar[int]

    def prepare(self) -> None:
        Deaf.gate, Deaf.calls = asyncio.Event(), 0

    async def accepts(self, event: Event) -> bool:
        Deaf.calls += 1
        while Deaf.calls == 1 and not self.gate.is_set():
            try:
                await self.gate.wait()
            except asyncio.CancelledError:
                continue
        return True


@pytest.fixture
def _let_go(run_gateway: RunGateway) -> Iterator[None]:
    """A test that fails before it opens the gate would never end."""
    yield
    Deaf.gate.set()


@pytest.mark.usefixtures("_let_go")
async def test_a_step_that_survives_its_cancellation_keeps_its_event_and_its_route_until_it_returns(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    source = {"ack-wait": "4s"}
    gateway = await run_gateway({"routes": [route(filters=["deaf"], timeout="200ms", source=source)]}, Deaf)
    await js.publish("in.a", b"{}")
    stats = await gateway.down("step-stuck")
    stuck = time.monotonic()
    # Longer than ack-wait: what is stuck must not be given to anybody else.
    await eventually(lambda: time.monotonic() - stuck > 4.5)
    assert (await count(nc, "OUT"), await in_flight(nc), stats.received, Deaf.calls) == (0, 1, 1, 1)
    Deaf.gate.set()
    await arrived(nc, "OUT", 1)
    await gateway.up()
    await settled(nc)
    assert (stats.received, Deaf.calls) == (1, 2), "the late answer is not taken, the event is tried again"


class Blocking(Transform, name="blocking"):
    """Block for a while in a thread."""

    blocking = True
    threads: ClassVar[set[str]]
    inside: ClassVar[int]
    together: ClassVar[int]

    def prepare(self) -> None:
        Blocking.threads, Blocking.inside, Blocking.together = set(), 0, 0

    def apply(self, event: Event) -> Event:
        Blocking.inside += 1
        Blocking.together = max(Blocking.together, Blocking.inside)
        Blocking.threads.add(threading.current_thread().name)
        time.sleep(0.05)
        Blocking.inside -= 1
        return event


async def test_a_blocking_component_has_one_thread_and_waiting_for_it_is_no_time_out(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    """80 calls of 50 ms each take four seconds; each alone is far below the limit of three."""
    gateway = await run_gateway({"routes": [route(transforms=["blocking"], timeout="3s")]}, Blocking)
    for number in range(80):
        await js.publish("in.a", b"%d" % number)
    await arrived(nc, "OUT", 80)
    await settled(nc)
    assert Blocking.threads == {"gateway-blocking"}
    assert Blocking.together == 1
    assert gateway.stats().retries["step-timeout"] == 0


@pytest.mark.fault("blocking-component")
async def test_a_blocking_component_does_not_hold_up_its_neighbours(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    slow = route("slow", transforms=["stuck"], targets=[{"subject": "out.slow"}], timeout="1m")
    await run_gateway({"routes": [slow, route("quick", targets=[{"subject": "dlq.quick"}])]}, Stuck)
    try:
        for number in range(20):
            await js.publish("in.a", b"%d" % number)
        await arrived(nc, "DLQ", 20)
        assert await count(nc, "OUT") == 0
    finally:
        Stuck.gate.set()
    await arrived(nc, "OUT", 20)


class Stuck(Transform, name="stuck"):
    """Block until somebody opens the gate."""

    blocking = True
    gate: ClassVar[threading.Event]

    def prepare(self) -> None:
        Stuck.gate = threading.Event()

    def apply(self, event: Event) -> Event:
        Stuck.gate.wait(60)
        return event


async def test_a_blocking_call_over_its_time_holds_its_route_until_it_returns(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    gateway = await run_gateway({"routes": [route(transforms=["stuck"], timeout="200ms")]}, Stuck)
    try:
        await js.publish("in.a", b"{}")
        await gateway.down("step-stuck")
        threads = [thread for thread in threading.enumerate() if thread.name.startswith("gateway-")]
        assert threads
        assert all(thread.daemon for thread in threads), "a stuck thread would keep the process from ending"
    finally:
        Stuck.gate.set()
    await arrived(nc, "OUT", 1)
    await gateway.up()
    await settled(nc)


async def test_a_route_whose_stuck_call_was_forgotten_with_its_event_is_down_all_the_same(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    """Its event comes again, and finds the thread taken: a route that waits for ever must not look as if it were up."""
    config = route(transforms=["stuck"], timeout="200ms", source={"ack-wait": "1s"})
    gateway = await run_gateway({"routes": [config]}, Stuck)
    try:
        await js.publish("in.a", b"{}")
        stats = await gateway.down("step-stuck")
        # What a connection that was away for longer than ack-wait does.
        gateway.lane().disconnected_for(10)
        await eventually(lambda: stats.redeliveries >= 1)
        await gateway.down("step-stuck")
    finally:
        Stuck.gate.set()
    await arrived(nc, "OUT", 1)
    await gateway.up()
    await settled(nc)


class Freeze(Filter, name="freeze"):
    """Block the whole event loop, once, for longer than ack-wait."""

    frozen: ClassVar[bool] = False

    def accepts(self, event: Event) -> bool:
        if event.get("freeze") and not Freeze.frozen:
            Freeze.frozen = True
            time.sleep(1.8)
        return True


@pytest.mark.fault("process-frozen")
async def test_a_process_that_stood_still_forgets_what_the_server_has_given_away(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    Freeze.frozen = False
    gateway = await run_gateway({"routes": [route(filters=["freeze"], source={"ack-wait": "1s"})]}, Freeze)
    for number in range(50):
        await js.publish("in.a", b'{"n": %d, "freeze": %b}' % (number, b"true" if number == 10 else b"false"))
    assert sorted(message.json["n"] for message in await arrived(nc, "OUT", 50)) == list(range(50))
    await settled(nc)
    assert gateway.stats().up
