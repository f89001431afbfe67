"""Events that the server gave to this replica and that never came: what comes after them must not go first."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from nats.aio.client import Client

from gateway.jetstream.pinned import PinnedSource
from gateway.ports import OrderedSource
from gateway.runtime.ordered_lane import OrderedLane
from tests.jetstream.conftest import Route, RunGateway
from tests.jetstream.test_takeover import BY_KEY, STRICT, active, assert_order, ordered, publish
from tests.support.arrivals import arrived, settled
from tests.support.eventually import eventually
from tests.support.running import RunningGateway
from tests.support.streams import consumer_state


async def quiet(nc: Client, gateway: RunningGateway) -> OrderedLane:
    """The lane of an active replica that has got rid of three events, and asks for no more."""
    await publish(nc, range(1))
    await active(gateway)
    await arrived(nc, "OUT", 1)
    lane = ordered(gateway)
    lane._max_in_flight = 0
    await publish(nc, range(1, 3))
    await arrived(nc, "OUT", 3)
    await eventually(lambda: lane._source.wanted == 0)
    return lane


async def take(nc: Client, events: int) -> None:
    """Somebody else takes the next events, with the pin of the active replica: to it, they are lost on their way."""
    group = (await consumer_state(nc, "IN", "gateway-r"))["priority_groups"][0]
    taken = await nc.subscribe(nc.new_inbox())
    asked = {"batch": events, "expires": 5_000_000_000, "group": group["group"], "id": group["pinned_client_id"]}
    await nc.publish("$JS.API.CONSUMER.MSG.NEXT.IN.gateway-r", json.dumps(asked).encode(), reply=taken.subject)
    await publish(nc, range(3, 3 + events), keys=1)
    for _ in range(events):
        assert (await taken.next_msg()).reply


@pytest.mark.parametrize("ordering", [STRICT, BY_KEY])
async def test_events_lost_between_servers_are_waited_for(
    nc: Client, streams: None, run_gateway: RunGateway, route: Route, ordering: Any
) -> None:
    """A link between two servers may drop them while the connection of the gateway stands: only a gap shows it."""
    gateway = await run_gateway({"routes": [route(ordering=ordering, **{"max-in-flight": 2})]})
    lane = await quiet(nc, gateway)
    await take(nc, 3)
    lane._max_in_flight = 100
    await publish(nc, range(6, 20), keys=1)
    assert_order(ordering, await arrived(nc, "OUT", 20, 20))
    await settled(nc, timeout=10)


async def test_the_first_event_after_a_set_back_may_be_lost_too(
    nc: Client, streams: None, run_gateway: RunGateway, route: Route
) -> None:
    """Nobody waits for ever for the first of a count."""
    gateway = await run_gateway({"routes": [route(ordering=STRICT, **{"max-in-flight": 2})]})
    lane = await quiet(nc, gateway)
    assert isinstance(lane._source, OrderedSource)
    assert await lane._source.set_back()
    lane.drop("the consumer was set back")
    await eventually(lambda: lane.order.open)
    await take(nc, 1)
    lane._max_in_flight = 100
    await publish(nc, range(4, 10), keys=1)
    assert_order(STRICT, await arrived(nc, "OUT", 10, 20))
    await settled(nc, timeout=10)


async def test_a_source_closed_while_it_is_set_back_listens_no_more(
    nc: Client, streams: None, run_gateway: RunGateway, route: Route
) -> None:
    """Else each reload at such a moment would leave a subscription, and the lane behind it."""
    gateway = await run_gateway({"routes": [route(ordering=STRICT, **{"max-in-flight": 2})]})
    source = (await quiet(nc, gateway))._source
    assert isinstance(source, PinnedSource)
    sinks = source._connection.wire.sinks

    def listens() -> bool:
        return any(getattr(sink, "__self__", None) is source for sink in sinks.values())

    setting_back = asyncio.create_task(source.set_back())
    await eventually(lambda: not listens(), interval=0)
    await source.close()
    setting_back.cancel()
    await asyncio.gather(setting_back, return_exceptions=True)
    assert not listens()
