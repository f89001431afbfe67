"""What can happen to a source stream in years: it goes, comes back as another one, is purged, sealed, moved, cut."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from nats.aio.client import Client
from nats.js import JetStreamContext

from gateway.jetstream import lookout
from gateway.jetstream import source as source_module
from gateway.runtime import gateway as gateway_module
from gateway.runtime.supervisor import Supervisor
from tests.jetstream.conftest import Route, RunGateway
from tests.support.arrivals import arrived, in_flight, settled
from tests.support.eventually import eventually
from tests.support.running import RunningGateway
from tests.support.streams import api, change_stream, consumer_state, count, make_stream, read_message, stream_state

pytestmark = pytest.mark.usefixtures("streams")

HELD: dict[str, Any] = {"targets": [{"subject": "full.x", "name": "out"}]}
"""A route whose target takes nothing until there is room."""


async def fill(js: JetStreamContext, nc: Client) -> None:
    await make_stream(nc, "FULL", ["full.>"], max_msgs=1, discard="new")
    await js.publish("full.old", b"0")


async def make_room(nc: Client) -> None:
    await change_stream(nc, "FULL", max_msgs=-1)


async def send(js: JetStreamContext, *numbers: int, subject: str = "in.a") -> None:
    for number in numbers:
        await js.publish(subject, b"%d" % number)


async def holding(gateway: RunningGateway, events: int) -> None:
    stats = gateway.stats()
    await eventually(lambda: stats.circuit_open and len(gateway.lane().window.entries) == events)


async def stored(nc: Client, stream: str, number: int) -> list[Any]:
    return [message.json for message in await arrived(nc, stream, number)]


@pytest.mark.fault("source-stream-deleted")
async def test_a_deleted_source_stream_takes_its_route_down_and_what_is_in_flight_still_arrives(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    """Of three events held for a target, no stream knows any more but the gateway."""
    await fill(js, nc)
    gateway = await run_gateway({"routes": [route(**HELD)]})
    await send(js, 1, 2, 3)
    await holding(gateway, 3)
    await api(nc, "STREAM.DELETE.IN")
    await make_room(nc)
    assert sorted(await stored(nc, "FULL", 4)) == [0, 1, 2, 3]
    stats = await gateway.down("no-stream")
    assert "there is no stream IN; make it: nats stream add IN" in stats.reason
    await make_stream(nc, "IN", ["in.>"])
    await gateway.up()
    await send(js, 4)
    assert sorted(await stored(nc, "FULL", 5)) == [0, 1, 2, 3, 4]
    await settled(nc)


@pytest.mark.fault("source-stream-made-anew")
@pytest.mark.parametrize("durable", ["with its durable", "alone"])
async def test_a_stream_made_anew_while_the_gateway_was_stopped_is_another_stream(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route, durable: str
) -> None:
    """Same name, same sequences, same durable: only its creation time tells it from the old one."""
    await (await run_gateway({"routes": [route()]})).stop()
    await send(js, 1, 2, 3)
    gateway = await run_gateway({"routes": [route()]})
    await arrived(nc, "OUT", 3)
    await gateway.stop()
    config = (await consumer_state(nc, "IN", "gateway-r"))["config"]
    await api(nc, "STREAM.DELETE.IN")
    await make_stream(nc, "IN", ["in.>"])
    if durable == "with its durable":
        request = {"stream_name": "IN", "config": config, "action": "create"}
        assert "error" not in await api(nc, "CONSUMER.CREATE.IN.gateway-r", request)
    await send(js, 4, 5, 6)
    await run_gateway({"routes": [route()]})
    assert await stored(nc, "OUT", 6) == [1, 2, 3, 4, 5, 6]
    await settled(nc)


@pytest.mark.fault("source-stream-made-anew")
async def test_nothing_is_settled_between_the_loss_of_a_source_and_its_next_opening(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A peer that was faster has event 1 of the new stream by then, and an ack of the old one would settle that."""
    gate = asyncio.Event()

    async def stay(_supervisor: Supervisor, _failures: int) -> None:
        await gate.wait()

    await fill(js, nc)
    gateway = await run_gateway({"routes": [route(**HELD)]})
    monkeypatch.setattr(Supervisor, "_pause", stay)
    monkeypatch.setattr(source_module, "TRUST", 30.0)
    await send(js, 1)
    await holding(gateway, 1)
    config = (await consumer_state(nc, "IN", "gateway-r"))["config"]
    await api(nc, "STREAM.DELETE.IN")
    await gateway.down("no-stream")
    await make_stream(nc, "IN", ["in.>"])
    await api(nc, "CONSUMER.CREATE.IN.gateway-r", {"stream_name": "IN", "config": config, "action": "create"})
    await send(js, 2)
    peer = await js.pull_subscribe_bind("gateway-r", "IN")
    (taken,) = await peer.fetch(1, timeout=30)
    await make_room(nc)
    await arrived(nc, "FULL", 2)
    await eventually(lambda: gateway.lane().settler._unsettled)
    assert await in_flight(nc) == 1
    await taken.nak()
    gate.set()
    assert await stored(nc, "FULL", 3) == [0, 1, 2]
    await settled(nc)


@pytest.mark.fault("source-stream-purged")
@pytest.mark.parametrize("request_body", [{}, {"seq": 3}, {"filter": "in.a", "keep": 1}])
async def test_a_purge_takes_nothing_from_what_is_in_flight(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route, request_body: dict[str, Any]
) -> None:
    await fill(js, nc)
    gateway = await run_gateway({"routes": [route(**HELD)]})
    await send(js, 1, 2, 3)
    await holding(gateway, 3)
    assert "error" not in await api(nc, "STREAM.PURGE.IN", request_body)
    await make_room(nc)
    assert sorted(await stored(nc, "FULL", 4)) == [0, 1, 2, 3]
    await send(js, 4)
    await arrived(nc, "FULL", 5)
    await settled(nc)
    assert not gateway.lane().window.entries
    assert gateway.stats().up


@pytest.mark.fault("source-stream-sealed")
async def test_a_sealed_stream_is_worked_off_by_old_durables_and_by_new_ones(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    """It takes no message and gives none up; consumers, their acks and dead letters are none of its business."""
    await fill(js, nc)
    gateway = await run_gateway({"routes": [route(**HELD)]})
    await send(js, 1, 2)
    await js.publish("in.a", b"{bad")
    await holding(gateway, 2)
    await change_stream(nc, "IN", sealed=True)
    await make_room(nc)
    assert sorted(await stored(nc, "FULL", 3)) == [0, 1, 2]
    await settled(nc)
    await run_gateway({"name": "late", "routes": [route()]})
    assert sorted(await stored(nc, "OUT", 2)) == [1, 2]
    await arrived(nc, "DLQ", 2)


@pytest.mark.fault("source-message-deleted")
@pytest.mark.parametrize("no_erase", [True, False])
async def test_a_message_deleted_while_it_is_in_flight_still_arrives(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route, no_erase: bool
) -> None:
    await fill(js, nc)
    gateway = await run_gateway({"routes": [route(**HELD)]})
    await send(js, 1, 2, 3)
    await holding(gateway, 3)
    assert "error" not in await api(nc, "STREAM.MSG.DELETE.IN", {"seq": 2, "no_erase": no_erase})
    assert await read_message(nc, "IN", 2) is None
    await make_room(nc)
    assert sorted(await stored(nc, "FULL", 4)) == [0, 1, 2, 3]
    await settled(nc)
    assert not gateway.lane().window.entries


@pytest.mark.fault("source-stream-renamed")
async def test_a_stream_that_was_moved_to_another_name_takes_its_route_down(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    """Its durables do not move with it, so that nothing but its owner can say where the route is to go on."""
    gateway = await run_gateway({"routes": [route()]})
    await api(nc, "STREAM.DELETE.IN")
    await make_stream(nc, "MOVED", ["in.>"])
    stats = await gateway.down("no-stream")
    assert "there is no stream IN" in stats.reason
    await eventually(lambda: "MOVED takes in.>" in stats.reason)
    await send(js, 1)
    await api(nc, "STREAM.DELETE.MOVED")
    await make_stream(nc, "IN", ["in.>"])
    await gateway.up()


@pytest.mark.fault("source-stream-limits")
async def test_messages_that_limits_remove_while_they_wait_leave_a_gap_and_no_standstill(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    """What is in flight is with the gateway; of what waits behind it only what the stream still has can come."""
    await fill(js, nc)
    gateway = await run_gateway({"routes": [route(**HELD, **{"max-in-flight": 2})]})
    await send(js, 1, 2)
    await holding(gateway, 2)
    await change_stream(nc, "IN", max_msgs=3)
    await send(js, *range(3, 11))
    await make_room(nc)
    assert sorted(await stored(nc, "FULL", 6)) == [0, 1, 2, 8, 9, 10]
    await settled(nc)
    assert (await stream_state(nc, "IN"))["first_seq"] == 8


@pytest.mark.fault("source-is-a-mirror")
async def test_a_mirror_is_a_source_like_any_other(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    """It has no subjects of its own, and a creation time of its own: nothing of it is a duplicate of its origin's."""
    await make_stream(nc, "MIRROR", [], mirror={"name": "IN"})
    mirrored = route("m", source={"stream": "MIRROR"})
    gateway = await run_gateway({"routes": [route(), mirrored]})
    await send(js, 1, 2)
    await js.publish("in.a", b"{bad")
    assert sorted(await stored(nc, "OUT", 4)) == [1, 1, 2, 2]
    await arrived(nc, "DLQ", 2)
    await settled(nc, "m", "MIRROR")
    assert gateway.stats("m").code == ""


@pytest.mark.fault("source-subjects-changed")
async def test_a_filter_that_no_subject_of_the_stream_matches_any_more_is_said_so(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server accepts it, and the route would wait for ever, looking well."""
    monkeypatch.setattr(gateway_module, "POLL_PENDING", 0.1)
    monkeypatch.setattr(lookout, "STREAM_EVERY", 0.2)
    gateway = await run_gateway({"routes": [route()]})
    await send(js, 1)
    await change_stream(nc, "IN", subjects=["new.>"])
    stats = gateway.stats()
    await eventually(lambda: stats.code == "source-unmatched")
    assert stats.up
    assert "no new message of IN can match in.>" in stats.reason
    assert "IN takes new.>" in stats.reason
    await change_stream(nc, "IN", subjects=["new.>", "in.>"])
    await eventually(lambda: stats.code == "")
    await send(js, 2)
    assert await stored(nc, "OUT", 2) == [1, 2]


@pytest.mark.fault("source-interest")
async def test_an_interest_stream_gives_each_route_its_copy_and_lets_go_after_the_last(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    """A dead letter's TERM removes an event as little as one ack does, while another route has not settled it."""
    await api(nc, "STREAM.DELETE.IN")
    await make_stream(nc, "IN", ["in.>"], retention="interest")
    await fill(js, nc)
    gateway = await run_gateway({"routes": [route("now"), route("held", codec="raw", **HELD)]})
    await send(js, 1)
    await js.publish("in.a", b"{bad")
    await arrived(nc, "OUT", 1)
    await arrived(nc, "DLQ", 1)
    await eventually(lambda: len(gateway.lane("held").window.entries) == 2)
    assert (await count(nc, "IN"), await in_flight(nc, "held")) == (2, 2)
    await make_room(nc)
    assert sorted(message.data for message in await arrived(nc, "FULL", 3)) == [b"0", b"1", b"{bad"]

    async def empty() -> bool:
        return await count(nc, "IN") == 0

    await eventually(empty)
