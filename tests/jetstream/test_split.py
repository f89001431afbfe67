"""The transform `split` on its way: one copy an item and target, and a redelivery only fills gaps."""

from __future__ import annotations

import json

import pytest
from nats.aio.client import Client
from nats.js import JetStreamContext

from gateway.jetstream.source import JetStreamSource
from tests.jetstream.conftest import Route, RunGateway
from tests.support.arrivals import arrived, settled
from tests.support.eventually import LONG, eventually
from tests.support.streams import change_stream, count, make_stream

pytestmark = pytest.mark.usefixtures("streams")

SPLIT = [{"split": "order.items"}]


def event(*items: object) -> bytes:
    """An order with these items."""
    return json.dumps({"order": {"id": 7, "items": items}, "kept": [1]}).encode()


async def test_each_item_becomes_a_message_of_its_own(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    """In order, with the item in the list's place, under a subject that can be made of it."""
    targets = [{"subject": "out.{order.items.sku}", "name": "out"}]
    await run_gateway({"routes": [route(transforms=SPLIT, targets=targets)]})
    await js.publish("in.a", event({"sku": "a"}, {"sku": "b"}, {"sku": "c"}))
    messages = await arrived(nc, "OUT", 3)
    assert [message.subject for message in messages] == ["out.a", "out.b", "out.c"]
    assert [message.json for message in messages] == [
        {"order": {"id": 7, "items": {"sku": sku}}, "kept": [1]} for sku in "abc"
    ]
    assert len({message.headers["Nats-Msg-Id"] for message in messages}) == 3
    assert {message.headers["Gateway-Causation-Id"] for message in messages} == {"IN:1"}


async def test_equal_items_are_all_sent(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    """Message ids are made of places, not of values."""
    await run_gateway({"routes": [route(transforms=SPLIT)]})
    await js.publish("in.a", event(1, 1, 1))
    assert [message.json["order"]["items"] for message in await arrived(nc, "OUT", 3)] == [1, 1, 1]


async def test_a_redelivery_sends_nothing_twice(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as deaf:
        deaf.setattr(JetStreamSource, "ack", lambda self, token: None)
        config = {"routes": [route(transforms=SPLIT, source={"ack-wait": "1s"})]}
        first = await run_gateway(config)
        await js.publish("in.a", event(1, 2, 3))
        await arrived(nc, "OUT", 3)
        await first.crash()
    second = await run_gateway(config)
    await settled(nc)
    await arrived(nc, "OUT", 3)
    assert second.stats().duplicates["out"] >= 3


async def test_after_a_crash_in_the_middle_of_the_fan_out_only_the_gaps_are_filled(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    """One target has all parts, the other one of three. The config changes meanwhile: ids stay with their items."""
    await make_stream(nc, "FULL", ["full.>"], max_msgs=2, discard="new")
    await js.publish("full.x", b"0")
    targets = [{"subject": "out.x", "name": "out"}, {"subject": "full.x", "name": "full", "stream": "FULL"}]
    config = route(transforms=SPLIT, targets=targets, source={"ack-wait": "1s"})
    first = await run_gateway({"routes": [config]})
    await js.publish("in.a", event("a", "b", "c"))
    await arrived(nc, "OUT", 3)
    await arrived(nc, "FULL", 2)
    await eventually(lambda: first.stats().circuit_open)
    await first.crash()
    await change_stream(nc, "FULL", max_msgs=100)
    second = await run_gateway({"routes": [{**config, "targets": targets[::-1]}]})
    await settled(nc)
    await arrived(nc, "OUT", 3)
    stored = [message.json for message in await arrived(nc, "FULL", 4)][1:]
    assert sorted(part["order"]["items"] for part in stored) == ["a", "b", "c"]
    assert (second.stats().duplicates["out"] >= 3, second.stats().duplicates["full"] >= 1) == (True, True)


async def test_an_empty_list_drops_and_no_list_passes(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    """A lone item goes on byte for byte."""
    gateway = await run_gateway({"routes": [route(transforms=SPLIT)]})
    await js.publish("in.a", event())
    await js.publish("in.a", b'{ "order": {"items": "one"} }')
    await settled(nc)
    (message,) = await arrived(nc, "OUT", 1)
    assert message.data == b'{ "order": {"items": "one"} }'
    assert gateway.stats().outcomes["dropped"] == 1


async def test_too_many_parts_are_one_dead_letter(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    """Whole, with its code; the events around it go on."""
    await run_gateway({"routes": [route(transforms=SPLIT)]})
    await js.publish("in.a", event(*range(100_000)))
    await js.publish("in.a", event(1))
    (letter,) = await arrived(nc, "DLQ", 1)
    assert letter.headers["Gateway-Error-Code"] == "too-many-parts"
    assert letter.headers["Gateway-Error-Step"] == "transform-0-split"
    assert letter.data == event(*range(100_000))
    assert len(await arrived(nc, "OUT", 1)) == 1


async def test_ten_thousand_parts_all_arrive(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    """As many as are allowed."""
    await run_gateway({"routes": [route(transforms=SPLIT, source={"ack-wait": "30s"})]})
    await js.publish("in.a", event(*range(10_000)))
    await settled(nc, timeout=LONG)
    assert await count(nc, "OUT") == 10_000
    assert await count(nc, "DLQ") == 0
