"""Events that the server gave to this replica and that never came: what comes after them must not go first."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from nats.aio.client import Client

from gateway.jetstream import pin
from gateway.jetstream.pinned import PinnedSource
from gateway.ports import OrderedSource
from gateway.runtime.ordered_lane import OrderedLane
from tests.jetstream.conftest import Route, RunGateway
from tests.jetstream.test_takeover import BY_KEY, STRICT, active, assert_order, ordered, publish
from tests.support.arrivals import arrived, settled
from tests.support.eventually import eventually
from tests.support.streams import consumer_state

AMONG = 20
"""So many events there are, with the lost ones among them."""


async def quiet(nc: Client, run_gateway: RunGateway, route: Route, ordering: Any) -> OrderedLane:
    """The lane of an active replica that has got rid of three events, and asks for no more."""
    gateway = await run_gateway({"routes": [route(ordering=ordering, **{"max-in-flight": 2})]})
    await publish(nc, range(1))
    await active(gateway)
    await arrived(nc, "OUT", 1)
    lane = ordered(gateway)
    await eventually(lambda: lane._source.wanted == 2)
    lane._max_in_flight = 0
    await publish(nc, range(1, 3))
    await arrived(nc, "OUT", 3)
    await eventually(lambda: lane._source.wanted == 0)
    return lane


async def lose(nc: Client, lane: OrderedLane, ordering: Any, events: int) -> None:
    """Somebody takes the next events with the pin of the active replica: to it, they are lost on their way.

    It must bring them all the same, and what comes after them in order.
    """
    group = (await consumer_state(nc, "IN", "gateway-r"))["priority_groups"][0]
    taken = await nc.subscribe(nc.new_inbox())
    asked = {"batch": events, "expires": 60_000_000_000, "group": group["group"], "id": group["pinned_client_id"]}
    await nc.publish("$JS.API.CONSUMER.MSG.NEXT.IN.gateway-r", json.dumps(asked).encode(), reply=taken.subject)
    await publish(nc, range(3, 3 + events), keys=1)
    for _ in range(events):
        assert (await taken.next_msg(30)).reply
    lane._max_in_flight = 100
    await publish(nc, range(3 + events, AMONG), keys=1)
    assert_order(ordering, await arrived(nc, "OUT", AMONG))
    await settled(nc)


@pytest.mark.parametrize("ordering", [STRICT, BY_KEY])
async def test_events_lost_between_servers_are_waited_for(
    nc: Client, streams: None, run_gateway: RunGateway, route: Route, ordering: Any
) -> None:
    """A link between two servers may drop them while the connection of the gateway stands: only a gap shows it."""
    lane = await quiet(nc, run_gateway, route, ordering)
    await lose(nc, lane, ordering, 3)


async def test_the_first_event_after_a_set_back_may_be_lost_too(
    nc: Client, streams: None, run_gateway: RunGateway, route: Route
) -> None:
    """Nobody waits for ever for the first of a count."""
    lane = await quiet(nc, run_gateway, route, STRICT)
    assert isinstance(lane._source, OrderedSource)
    assert await lane._source.set_back()
    lane.drop("the consumer was set back")
    await eventually(lambda: lane.order.open)
    await lose(nc, lane, STRICT, 1)


async def test_a_source_closed_while_it_is_set_back_listens_no_more(
    nc: Client, streams: None, run_gateway: RunGateway, route: Route
) -> None:
    """Else each reload at such a moment would leave a subscription, and the lane behind it."""
    source = (await quiet(nc, run_gateway, route, STRICT))._source
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


async def test_a_pin_that_comes_while_the_source_is_closed_is_given_back(
    nc: Client, streams: None, run_gateway: RunGateway, route: Route, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else it would have to lapse, with nobody who renews it, before another replica is given anything."""
    monkeypatch.setattr(pin, "TIMEOUT", 600.0)
    gateway = await run_gateway({"routes": [route(ordering=STRICT)]})
    source = ordered(gateway)._source
    assert isinstance(source, PinnedSource)
    wire, sid = source._connection.wire, source._sid
    detach = wire.detach

    async def given_first(listener: int) -> None:
        if listener == sid:
            await publish(nc, range(1))
            await eventually(lambda: source.pinned)
        await detach(listener)

    monkeypatch.setattr(wire, "detach", given_first)
    await gateway.stop()
    assert not source.pinned

    async def nobody_has_it() -> bool:
        return not (await consumer_state(nc, "IN", "gateway-r"))["priority_groups"][0].get("pinned_client_id")

    await eventually(nobody_has_it)
