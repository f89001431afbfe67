"""Message ids: the same for every delivery of one event, different for everything else."""

from __future__ import annotations

from typing import ClassVar

import pytest
from nats.aio.client import Client
from nats.js import JetStreamContext

from gateway import Event, Transform
from gateway.jetstream.source import JetStreamSource
from tests.jetstream.conftest import Route, RunGateway
from tests.support.arrivals import arrived, in_flight, settled
from tests.support.eventually import eventually
from tests.support.streams import count, make_stream

pytestmark = pytest.mark.usefixtures("streams")


@pytest.fixture
def deaf_ack(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The acks that were to be sent; none is."""
    lost: list[str] = []
    monkeypatch.setattr(JetStreamSource, "ack", lambda self, token: lost.append(token))
    monkeypatch.setattr(JetStreamSource, "term", lambda self, token, reason: lost.append(token))
    return lost


class Reject(Transform, name="reject-odd"):
    """Fail for odd numbers."""

    def apply(self, event: Event) -> Event:
        assert event.body % 2 == 0
        return event


@pytest.mark.fault("letter-after-crash")
async def test_a_death_between_pub_ack_and_ack_stores_nothing_twice(
    nc: Client,
    js: JetStreamContext,
    run_gateway: RunGateway,
    route: Route,
    deaf_ack: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = {"routes": [route(transforms=["reject-odd"], source={"ack-wait": "1s"})]}
    first = await run_gateway(config, Reject)
    for number in range(20):
        await js.publish("in.a", b"%d" % number)
    await arrived(nc, "OUT", 10)
    await arrived(nc, "DLQ", 10)
    await eventually(lambda: len(deaf_ack) >= 20)
    await first.crash()
    assert await in_flight(nc) == 20
    monkeypatch.undo()
    second = await run_gateway(config, Reject)
    await settled(nc)
    assert sorted(message.json for message in await arrived(nc, "OUT", 10)) == list(range(0, 20, 2))
    assert sorted(letter.json for letter in await arrived(nc, "DLQ", 10)) == list(range(1, 20, 2))
    assert second.stats().duplicates["out"] >= 10, "every copy was recognised"


async def test_a_redelivery_after_part_of_the_fan_out_fills_the_gap_only(
    nc: Client,
    js: JetStreamContext,
    run_gateway: RunGateway,
    route: Route,
) -> None:
    await make_stream(nc, "FULL", ["full.>"], max_msgs=1, discard="new")
    await js.publish("full.x", b"0")
    targets = [{"subject": "out.x", "name": "out"}, {"subject": "full.x", "name": "full"}]
    config = {"routes": [route(targets=targets, source={"ack-wait": "1s"})]}
    first = await run_gateway(config)
    await js.publish("in.a", b"1")
    await arrived(nc, "OUT", 1)
    await eventually(lambda: first.stats().circuit_open)
    await first.crash()
    await js.purge_stream("FULL")
    await run_gateway(config)
    await arrived(nc, "FULL", 1)
    await settled(nc)
    await arrived(nc, "OUT", 1)


async def test_ids_differ_by_gateway_route_target_and_event(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    targets = [{"subject": "out.x", "name": "a"}, {"subject": "out.x", "name": "b"}]
    await run_gateway({"routes": [route("one", targets=targets), route("two", targets=targets)]})
    await run_gateway({"name": "other", "routes": [route("one", targets=targets)]})
    await js.publish("in.a", b"1")
    await js.publish("in.a", b"1")
    messages = await arrived(nc, "OUT", 12)
    assert len({message.headers["Nats-Msg-Id"] for message in messages}) == 12


async def test_renaming_nothing_but_the_order_of_targets_keeps_the_ids(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route, monkeypatch: pytest.MonkeyPatch
) -> None:
    targets = [{"subject": "out.a", "name": "a"}, {"subject": "out.b", "name": "b"}]
    monkeypatch.setattr(JetStreamSource, "ack", lambda self, token: None)
    first = await run_gateway({"routes": [route(targets=targets, source={"ack-wait": "1s"})]})
    await js.publish("in.a", b"1")
    await arrived(nc, "OUT", 2)
    await first.crash()
    monkeypatch.undo()
    second = await run_gateway({"routes": [route(targets=targets[::-1], source={"ack-wait": "1s"})]})
    await settled(nc)
    await arrived(nc, "OUT", 2)
    assert min(second.stats().duplicates[name] for name in "ab") >= 1


class Parts(Transform, name="parts"):
    """One event for each key of the body's list; null has none."""

    reverse: ClassVar[bool] = False

    def apply(self, event: Event) -> list[Event]:
        parts = []
        for key in event.body:
            part = event.replace(body={"key": key})
            parts.append(part if key is None else part.replace(key=key))
        return parts[::-1] if self.reverse else parts


async def test_keys_and_ordinals_are_told_apart(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    """A key "0" is not the first copy, and no key however written is taken for another."""
    await run_gateway({"routes": [route(transforms=["parts"])]}, Parts)
    await js.publish("in.a", b'[null, "0", "1", null, "k0", "a.b", "", "a\\r\\nX: 1", "\xc3\xa9"]')
    messages = await arrived(nc, "OUT", 9)
    assert len({message.headers["Nats-Msg-Id"] for message in messages}) == 9
    assert all("X" not in message.headers for message in messages)


async def test_a_part_with_a_key_has_the_same_id_wherever_it_stands(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Parts, "reverse", False)
    with monkeypatch.context() as without_ack:
        without_ack.setattr(JetStreamSource, "ack", lambda self, token: None)
        config = {"routes": [route(transforms=["parts"], source={"ack-wait": "1s"})]}
        first = await run_gateway(config, Parts)
        await js.publish("in.a", b'["a", "b", "c"]')
        await arrived(nc, "OUT", 3)
        await first.crash()
    monkeypatch.setattr(Parts, "reverse", True)
    await run_gateway(config, Parts)
    await settled(nc)
    await arrived(nc, "OUT", 3)


async def test_two_parts_with_one_key_are_a_fault_of_the_transform(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    await run_gateway({"routes": [route(transforms=["parts"])]}, Parts)
    await js.publish("in.a", b'["a", "b", "a"]')
    (letter,) = await arrived(nc, "DLQ", 1)
    assert letter.headers["Gateway-Error-Code"] == "transform-error"
    assert await count(nc, "OUT") == 0
