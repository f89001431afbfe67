"""Stopping: what is in flight is finished, the rest goes back at once, and gateways of one name share the work."""

from __future__ import annotations

import asyncio
import time
from typing import ClassVar

import pytest
from nats.aio.client import Client
from nats.js import JetStreamContext

from gateway import Event, Filter
from tests.jetstream.conftest import Route, RunGateway
from tests.support.arrivals import arrived, in_flight, settled
from tests.support.eventually import eventually
from tests.support.streams import consumer_state

pytestmark = pytest.mark.usefixtures("streams")


class Gate(Filter, name="gate"):
    """Wait until somebody opens the gate."""

    gate: ClassVar[asyncio.Event]
    inside: ClassVar[int]

    def prepare(self) -> None:
        Gate.gate, Gate.inside = asyncio.Event(), 0

    async def accepts(self, event: Event) -> bool:
        Gate.inside += 1
        await self.gate.wait()
        return True


async def test_what_is_in_flight_is_finished_and_nothing_new_is_taken(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    fields = {"filters": ["gate"], "timeout": "1m", "max-in-flight": 5, "source": {"ack-wait": "30s"}}
    gateway = await run_gateway({"routes": [route(**fields)]}, Gate)
    for number in range(20):
        await js.publish("in.a", b"%d" % number)
    await eventually(lambda: Gate.inside == 5)
    stopping = asyncio.create_task(gateway.stop())
    await eventually(lambda: gateway.stats().state == "draining")
    Gate.gate.set()
    await stopping
    assert len(await arrived(nc, "OUT", 5)) == 5
    state = await consumer_state(nc, "IN", "gateway-r")
    assert (state["num_pending"], state["num_ack_pending"]) == (15, 0)
    await run_gateway({"routes": [route(source={"ack-wait": "30s"})]})
    assert sorted(message.json for message in await arrived(nc, "OUT", 20)) == list(range(20))


async def test_what_does_not_end_in_time_goes_back_and_another_gateway_has_it_at_once(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    fields = {"filters": ["gate"], "timeout": "1m", "source": {"ack-wait": "30s"}}
    gateway = await run_gateway({"drain": "300ms", "routes": [route(**fields)]}, Gate)
    for number in range(20):
        await js.publish("in.a", b"%d" % number)
    await eventually(lambda: Gate.inside == 20)
    began = time.monotonic()
    await gateway.stop()
    assert time.monotonic() - began < 15
    await run_gateway({"routes": [route(source={"ack-wait": "30s"})]})
    assert sorted(message.json for message in await arrived(nc, "OUT", 20)) == list(range(20))
    await settled(nc)
    assert time.monotonic() - began < 25, "before ack-wait"


async def test_what_a_dead_target_holds_goes_back_too(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    await js.publish("dlq.old", b"old")
    await js.add_stream(name="FULL", subjects=["full.>"], max_msgs=1, discard="new")
    await js.publish("full.x", b"0")
    config = {"drain": "200ms", "routes": [route(targets=[{"subject": "full.x"}], source={"ack-wait": "30s"})]}
    gateway = await run_gateway(config)
    await js.publish("in.a", b"1")
    await eventually(lambda: gateway.stats().circuit_open)
    await gateway.stop()
    await js.purge_stream("FULL")
    await run_gateway(config)
    await arrived(nc, "FULL", 1)
    await settled(nc)


async def test_what_is_stored_and_waits_for_a_look_at_its_source_is_settled_by_the_drain(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    """It would come again to a replica, as a duplicate and with a second audit record; nor is `drain` waited out."""
    fields = {"filters": ["gate"], "timeout": "1m", "max-in-flight": 1, "source": {"ack-wait": "30s"}}
    gateway = await run_gateway({"drain": "20s", "routes": [route(**fields)]}, Gate)
    await js.publish("in.a", b"1")
    await eventually(lambda: Gate.inside == 1)
    source = gateway.lane()._source
    await eventually(lambda: not source.watched, what="nothing is asked, and the last word is old")
    source.open = asyncio.Event().wait  # type: ignore[method-assign]  # the look does not come to its end
    Gate.gate.set()
    await arrived(nc, "OUT", 1)
    await eventually(lambda: gateway.lane().settler.looks)
    began = time.monotonic()
    await gateway.stop()
    assert time.monotonic() - began < 15
    state = await consumer_state(nc, "IN", "gateway-r")
    assert (state["ack_floor"]["stream_seq"], state["num_ack_pending"]) == (1, 0)
    assert gateway.stats().outcomes["published"] == 1


async def test_a_route_that_fails_to_drain_keeps_none_of_the_others_from_it(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "gateway")
    gateway = await run_gateway({"routes": [route("bad"), route("good", targets=[{"subject": "out.good"}])]})

    async def fail() -> None:
        raise RuntimeError("by the test")

    gateway.lane("bad")._source.close = fail  # type: ignore[method-assign]
    await gateway.stop()
    told = [getattr(record, "event", "") for record in caplog.records]
    assert told.count("route.drain-failed") == 1
    assert told.count("gateway.drained") == 1
    assert gateway.stats("good").state == "stopped"
    assert not gateway.app.edge.connected


async def test_a_stopped_gateway_leaves_its_durable_and_loses_nothing_under_load(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    config = {"routes": [route(source={"ack-wait": "30s"})]}

    async def publish() -> None:
        for number in range(3_000):
            await nc.publish("in.a", b"%d" % number)
            if number % 50 == 0:
                await asyncio.sleep(0)

    publishing = asyncio.create_task(publish())
    for part in (300, 900, 1_500):
        gateway = await run_gateway(config)

        async def so_many(part: int = part) -> bool:
            return (await js.stream_info("OUT")).state.messages >= part

        await eventually(so_many)
        await gateway.stop()
    await publishing
    last = await run_gateway(config)
    messages = await arrived(nc, "OUT", 3_000)
    assert sorted(message.json for message in messages) == list(range(3_000))
    await settled(nc)
    assert last.stats().duplicates["out"] == 0, "a drain leaves nothing half done"


async def test_two_gateways_of_one_name_share_the_work(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    config = {"routes": [route(source={"ack-wait": "30s"}, **{"max-in-flight": 16})]}
    one, two = await run_gateway(config), await run_gateway(config)
    for number in range(2_000):
        await nc.publish("in.a", b"%d" % number)
    messages = await arrived(nc, "OUT", 2_000)
    assert sorted(message.json for message in messages) == list(range(2_000))
    await settled(nc)
    assert one.stats().received > 100
    assert two.stats().received > 100
    assert one.stats().received + two.stats().received == 2_000


async def test_when_one_of_two_gateways_dies_the_other_finishes_its_work(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    fields = {"filters": ["gate"], "timeout": "1m", "max-in-flight": 10, "source": {"ack-wait": "1s"}}
    one = await run_gateway({"routes": [route(**fields)]}, Gate)
    for number in range(10):
        await js.publish("in.a", b"%d" % number)
    await eventually(lambda: Gate.inside == 10)
    await one.crash()
    assert await in_flight(nc) == 10
    await run_gateway({"routes": [route(source={"ack-wait": "1s"})]})
    assert sorted(message.json for message in await arrived(nc, "OUT", 10)) == list(range(10))
    await settled(nc)
