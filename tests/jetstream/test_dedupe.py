"""The filter `dedupe` against redelivery, crashes and what becomes of the first event with a key."""

from __future__ import annotations

import json
from typing import Any

import pytest
from nats.aio.client import Client
from nats.js import JetStreamContext

from gateway import Event, Reject, Transform
from gateway.jetstream.server import EmbeddedServer
from gateway.jetstream.source import JetStreamSource
from tests.conftest import StartGateway
from tests.jetstream.conftest import Route, RunGateway
from tests.support.arrivals import arrived, in_flight, settled
from tests.support.eventually import eventually
from tests.support.proxy import Proxy
from tests.support.streams import api, change_stream, consumer_state, count, make_stream

pytestmark = pytest.mark.usefixtures("streams")

DEDUPE = [{"dedupe": {"key": "order", "window": "1h"}}]


class Picky(Transform, name="picky"):
    """Refuse what says so."""

    codes = ("bad",)

    def apply(self, event: Event) -> Event:
        if event.get("bad"):
            raise Reject("bad")
        return event


async def publish(js: JetStreamContext, order: int | None, n: int, **more: Any) -> None:
    """An event that says which it is."""
    body = {"n": n, **more} if order is None else {"order": order, "n": n, **more}
    await js.publish("in.a", json.dumps(body).encode())


def numbers(messages: list[Any]) -> list[int]:
    """Which events these are copies of."""
    return sorted(message.json["n"] for message in messages)


async def test_the_first_of_each_key_is_published_and_the_others_are_filtered(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    gateway = await run_gateway({"routes": [route(filters=DEDUPE)]})
    for n, order in enumerate([1, 2, 1, None, 2, None, 1]):
        await publish(js, order, n)
    await settled(nc)
    assert numbers(await arrived(nc, "OUT", 4)) == [0, 1, 3, 5]
    assert gateway.stats().outcomes["filtered"] == 3


async def test_a_backlog_is_judged_by_when_it_was_stored(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    """Read within a moment, but stored further apart than the window."""
    await publish(js, 1, 0)
    stored = (await js.get_msg("IN", 1)).time
    assert stored is not None

    async def later() -> bool:
        await js.publish("in.tick", b"{}")
        tick = await js.get_last_msg("IN", "in.tick")
        assert tick.time is not None
        return (tick.time - stored).total_seconds() > 0.3

    await eventually(later)
    await publish(js, 1, 1)
    await publish(js, 1, 2)
    source = {"subjects": ["in.a"]}
    await run_gateway({"routes": [route(source=source, filters=[{"dedupe": {"key": "order", "window": "300ms"}}])]})
    await settled(nc)
    assert numbers(await arrived(nc, "OUT", 2)) == [0, 1]


async def test_verdicts_stay_when_acknowledgements_are_lost(
    nc: Client,
    js: JetStreamContext,
    run_gateway: RunGateway,
    route: Route,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The first is redelivered and is not its own duplicate; the second is redelivered and still filtered."""
    lost: list[str] = []
    with monkeypatch.context() as deaf:
        deaf.setattr(JetStreamSource, "ack", lambda self, token: lost.append(token))
        gateway = await run_gateway({"routes": [route(filters=DEDUPE, source={"ack-wait": "1s"})]})
        await publish(js, 1, 0)
        await publish(js, 1, 1)
        await eventually(lambda: len(lost) >= 2)
    await settled(nc)
    stats = gateway.stats()
    assert numbers(await arrived(nc, "OUT", 1)) == [0]
    assert stats.redeliveries >= 2
    assert stats.duplicates["out"] >= 1, "the first went through again"
    assert min(stats.outcomes["published"], stats.outcomes["filtered"]) >= 2


async def test_a_crash_after_a_part_of_the_fan_out_leaves_no_gap(
    nc: Client, js: JetStreamContext, gateway_process: StartGateway, route: Route
) -> None:
    """Killed while one target is full; what comes new overtakes what is redelivered, and both get to both targets.

    The key was taken by the first event before the crash, and by the second after it: for want of memory a duplicate
    gets through, but no copy that was begun is left out.
    """
    await make_stream(nc, "FULL", ["full.>"], max_msgs=1, discard="new")
    await js.publish("full.x", b'{"n": -1}')
    targets = [{"subject": "out.x", "name": "out"}, {"subject": "full.x", "name": "full"}]
    config = route(filters=DEDUPE, targets=targets, source={"ack-wait": "5m"})
    gateway = await gateway_process({"routes": [config]})
    await publish(js, 1, 0)
    await publish(js, 1, 1)
    assert numbers(await arrived(nc, "OUT", 1)) == [0]
    await eventually(lambda: _one_in_flight(nc))
    gateway.kill9()
    await js.purge_stream("FULL")
    await change_stream(nc, "FULL", max_msgs=100)
    await gateway.start()
    await publish(js, 1, 2)
    assert numbers(await arrived(nc, "OUT", 2)) == [0, 2]
    # Only now the first one comes again.
    found = (await consumer_state(nc, "IN", "gateway-r"))["config"]
    body = {"stream_name": "IN", "config": {**found, "ack_wait": 1_000_000_000}, "action": "update"}
    assert "error" not in await api(nc, "CONSUMER.CREATE.IN.gateway-r", body)
    await settled(nc)
    for stream in ("OUT", "FULL"):
        assert numbers(await arrived(nc, stream, 2)) == [0, 2]


async def _one_in_flight(nc: Client) -> bool:
    held = await in_flight(nc)
    assert held == 1, held
    return True


async def test_killed_before_its_acknowledgement_an_event_is_not_its_own_duplicate(
    nc: Client, js: JetStreamContext, nats_server: EmbeddedServer, gateway_process: StartGateway, route: Route
) -> None:
    """Everything is stored and nothing acknowledged: after kill -9 all of it is judged again, and stored once."""
    async with Proxy(nats_server.port) as proxy:
        proxy.watch("settling", lambda frame: frame.settles)
        proxy.passes = lambda frame: not frame.settles
        config = {"nats": {"servers": [proxy.url]}, "routes": [route(filters=DEDUPE)]}
        gateway = await gateway_process(config)
        for n in range(100):
            await publish(js, n, n)
        await eventually(lambda: proxy.dropped["settling"] >= 100)
        gateway.kill9()
        assert await in_flight(nc) == 100
        proxy.passes = lambda _frame: True
        await gateway.start()
        await settled(nc)
        assert numbers(await arrived(nc, "OUT", 100)) == list(range(100))
        assert await gateway.metric('events_total{route="r",outcome="filtered"}') == 0


async def test_a_duplicate_of_what_is_in_flight_is_filtered_at_once(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    """It does not wait for the target of the first one, which is full."""
    await make_stream(nc, "FULL", ["full.>"], max_msgs=1, discard="new")
    await js.publish("full.x", b'{"n": -1}')
    gateway = await run_gateway({"routes": [route(filters=DEDUPE, targets=[{"subject": "full.x", "name": "full"}])]})
    await publish(js, 1, 0)
    await publish(js, 1, 1)
    await eventually(lambda: gateway.stats().outcomes["filtered"] == 1)
    await eventually(lambda: _one_in_flight(nc))
    await js.purge_stream("FULL")
    await settled(nc)
    assert numbers(await arrived(nc, "FULL", 1)) == [0]


async def test_after_a_dead_letter_the_next_event_with_the_key_passes(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    """A sender may repair and send again."""
    gateway = await run_gateway({"routes": [route(filters=DEDUPE, transforms=["picky"])]}, Picky)
    await publish(js, 1, 0, bad=True)
    await settled(nc)
    await publish(js, 1, 1)
    await publish(js, 1, 2)
    await settled(nc)
    assert numbers(await arrived(nc, "OUT", 1)) == [1]
    assert await count(nc, "DLQ") == 1
    assert gateway.stats().outcomes["filtered"] == 1


async def test_a_filter_after_it_gives_the_key_back(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    """The first was not wanted, so it was the first of nothing."""
    filters = [*DEDUPE, {"pattern": {"state": ["paid"]}}]
    await run_gateway({"routes": [route(filters=filters)]})
    for n, state in enumerate(["open", "paid", "paid"]):
        await publish(js, 1, n, state=state)
        await settled(nc)
    assert numbers(await arrived(nc, "OUT", 1)) == [1]
