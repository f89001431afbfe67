"""Dead letters: what is in them, and what is done when they cannot be stored."""

from __future__ import annotations

import logging
import time
from datetime import datetime
from typing import Any

import pytest
from nats.aio.client import Client
from nats.js import JetStreamContext

from gateway import Event, Filter, Reject, Retry
from gateway.jetstream.server import EmbeddedServer
from gateway.runtime import settling
from tests.jetstream.conftest import Route, RunGateway
from tests.support.arrivals import arrived, in_flight, settled
from tests.support.eventually import eventually
from tests.support.raw_client import RawClient
from tests.support.servers import restart_with
from tests.support.streams import api, consumer_state, count, make_stream

KIB = 1024


class RejectBad(Filter, name="reject-bad"):
    """Reject what is bad; bodies are bytes here."""

    codes = ("bad",)

    def accepts(self, event: Event) -> bool:
        if event.body.startswith(b"bad"):
            raise Reject("bad", "it is bad")
        return True


RAW: dict[str, Any] = {"codec": "raw", "filters": ["reject-bad"]}


@pytest.mark.usefixtures("streams")
@pytest.mark.fault("odd-headers")
async def test_a_letter_is_the_original_and_tells_what_happened(
    nats_server: EmbeddedServer, nc: Client, run_gateway: RunGateway, route: Route
) -> None:
    gateway = await run_gateway({"routes": [route(**RAW)]}, RejectBad)
    original = (
        b"X-One: 1\r\nX-One:  2 \r\nx-bytes: \xff\xfe\r\nk(x): odd\r\n"
        b"Nats-Msg-Id: mine\r\nGATEWAY-Route: forged\r\nStatus: 503\r\n"
    )
    with RawClient(nats_server.port) as raw:
        raw.publish(b"in.some.where", b"bad \x00\xff", original)
    (letter,) = await arrived(nc, "DLQ", 1)
    assert (letter.subject, letter.data) == ("dlq.r", b"bad \x00\xff")
    pairs = letter.header_pairs
    kept = b"X-One: 1\r\nX-One:  2 \r\nx-bytes: \xff\xfe\r\nk(x): odd\r\nGateway-Original-Nats-Msg-Id: mine\r\n"
    assert letter.header_block.endswith(kept + b"Gateway-Original-GATEWAY-Route: forged\r\nStatus: 503\r\n\r\n")
    named = dict(pairs)
    wanted = {
        "Gateway-Name": "gateway",
        "Gateway-Route": "r",
        "Gateway-Error-Code": "bad",
        "Gateway-Error-Step": "filter-0-reject-bad",
        "Gateway-Error-Message": "it is bad",
        "Gateway-Attempts": "1",
        "Gateway-Source-Stream": "IN",
        "Gateway-Source-Sequence": "1",
        "Gateway-Source-Subject": "in.some.where",
        "Gateway-Config": gateway.app.config.digest,
    }
    assert {name: named[name] for name in wanted} == wanted
    assert "Gateway-Exhausted" not in named
    assert "Gateway-Failed-Targets" not in named
    assert named["Nats-Msg-Id"] != "mine"
    first, last = (datetime.fromisoformat(named[f"Gateway-{which}-Seen"]) for which in ("First", "Last"))
    assert first <= last
    await settled(nc)


@pytest.mark.usefixtures("streams")
async def test_two_routes_write_two_letters_for_one_event(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    """With the original message id on both, the stream would swallow the second as a duplicate."""
    await run_gateway({"routes": [route("one", **RAW), route("two", **RAW)]}, RejectBad)
    await js.publish("in.a", b"bad", headers={"Nats-Msg-Id": "same"})
    letters = await arrived(nc, "DLQ", 2)
    assert {letter.headers["Gateway-Route"] for letter in letters} == {"one", "two"}


@pytest.mark.usefixtures("streams")
async def test_the_source_is_told_that_it_was_terminated_and_why(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    advisories = await nc.subscribe("$JS.EVENT.ADVISORY.CONSUMER.MSG_TERMINATED.IN.gateway-r")
    await nc.flush()
    await run_gateway({"routes": [route(**RAW)]}, RejectBad)
    await js.publish("in.a", b"bad card 4111")
    advisory = await advisories.next_msg(30)
    assert b'"reason":"bad"' in advisory.data.replace(b" ", b"")
    assert await count(nc, "DLQ") == 1, "terminated only after the letter was stored"


@pytest.mark.fault("letters-missing")
async def test_without_a_dead_letter_stream_the_start_says_so_and_the_event_waits(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route, caplog: pytest.LogCaptureFixture
) -> None:
    await make_stream(nc, "IN", ["in.>"])
    await make_stream(nc, "OUT", ["out.>"])
    gateway = await run_gateway({"routes": [route(**RAW, source={"ack-wait": "4s"})]}, RejectBad)
    (warning,) = [record for record in caplog.records if getattr(record, "event", "") == "route.no-dead-letter-stream"]
    assert "no stream takes dlq.r" in warning.getMessage()
    for data in (b"bad", b"good"):
        await js.publish("in.a", data)
    stats = await gateway.down("no-stream")
    assert "dlq.r" in stats.reason
    began, tries = time.monotonic(), stats.retries["no-stream"]
    await eventually(lambda: time.monotonic() - began > 4.5)
    assert stats.retries["no-stream"] > tries + 3
    assert (await in_flight(nc), stats.outcomes["dead_lettered"]) == (1, 0)
    await make_stream(nc, "DLQ", ["dlq.>"])
    await gateway.up()
    (letter,) = await arrived(nc, "DLQ", 1)
    assert letter.data == b"bad"
    assert [message.data for message in await arrived(nc, "OUT", 1)] == [b"good"]
    await settled(nc)
    assert stats.redeliveries == 0


@pytest.mark.usefixtures("streams")
@pytest.mark.parametrize("how", ["full", "sealed"])
@pytest.mark.fault("letters-full")
async def test_a_dead_letter_stream_that_takes_nothing_holds_the_event(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route, how: str
) -> None:
    config = {"name": "DLQ", "subjects": ["dlq.>"]}
    if how == "full":
        await js.publish("dlq.old", b"old")
        changed = {**config, "max_msgs": 1, "discard": "new"}
    else:
        changed = {**config, "sealed": True}
    assert "error" not in await api(nc, "STREAM.UPDATE.DLQ", changed)
    gateway = await run_gateway({"routes": [route(**RAW)]}, RejectBad)
    await js.publish("in.a", b"bad")
    await gateway.down("stream-full" if how == "full" else "refused")
    assert (await in_flight(nc), gateway.stats().outcomes["dead_lettered"], gateway.stats().parked) == (1, 0, 0)
    if how == "full":
        await api(nc, "STREAM.UPDATE.DLQ", {**config, "max_msgs": 10, "discard": "new"})
    else:
        await api(nc, "STREAM.DELETE.DLQ")
        await make_stream(nc, **config)  # type: ignore[arg-type]
    await gateway.up()
    await arrived(nc, "DLQ", 2 if how == "full" else 1)
    await settled(nc)


@pytest.mark.usefixtures("streams")
async def test_a_letter_that_does_not_fit_goes_without_its_original_headers(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    await run_gateway({"routes": [route(**RAW)]}, RejectBad)
    body = b"bad".ljust(1024 * KIB - 4000, b"x")
    await js.publish("in.a", body, headers={"X-Fill": "y" * 3900})
    (letter,) = await arrived(nc, "DLQ", 1)
    assert letter.data == body
    assert letter.headers["Gateway-Omitted"] == "headers"
    assert "X-Fill" not in letter.headers
    assert letter.headers["Gateway-Error-Code"] == "bad"
    await settled(nc)


@pytest.mark.fault("letters-too-small")
async def test_a_letter_too_large_for_its_stream_goes_without_its_original_headers(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    for name in ("IN", "OUT"):
        await make_stream(nc, name, [f"{name.lower()}.>"])
    await make_stream(nc, "DLQ", ["dlq.>"], max_msg_size=3000)
    gateway = await run_gateway({"routes": [route(**RAW)]}, RejectBad)
    await js.publish("in.a", b"bad".ljust(1000, b"x"), headers={"X-Fill": "y" * 2500})
    (letter,) = await arrived(nc, "DLQ", 1)
    assert letter.headers["Gateway-Omitted"] == "headers"
    await settled(nc)
    assert gateway.stats().parked == 0


@pytest.mark.usefixtures("streams")
@pytest.mark.fault("letters-too-small")
async def test_a_body_too_large_for_any_letter_is_parked_and_the_lane_goes_on(
    nats_server: EmbeddedServer, nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    large = b"bad".ljust(200 * KIB, b"x")
    await js.publish("in.a", large)
    await restart_with(nats_server, nc, "max_payload: 65536")
    gateway = await run_gateway({"routes": [route(**RAW)]}, RejectBad)
    stats = gateway.stats()
    await eventually(lambda: stats.parked == 1)
    await js.publish("in.a", b"good")
    await js.publish("in.a", b"bad small")
    assert [message.data for message in await arrived(nc, "OUT", 1)] == [b"good"]
    await arrived(nc, "DLQ", 1)
    # It comes back after retry.max (400 ms) and is parked again, counted once.
    await eventually(lambda: stats.redeliveries >= 3)
    assert stats.parked == 1
    assert gateway.app.stats.reconnects == 0
    state = await consumer_state(nc, "IN", "gateway-r")
    assert (state["num_ack_pending"], state["ack_floor"]["stream_seq"]) == (1, 0)
    await restart_with(nats_server, nc, "max_payload: 1048576")
    letters = await arrived(nc, "DLQ", 2)
    assert letters[1].data == large
    await settled(nc)
    assert stats.parked == 0


class RejectOrHold(RejectBad, name="reject-bad"):
    """Leave what is `later` unsettled for the time of a test."""

    def accepts(self, event: Event) -> bool:
        if event.body == b"later":
            raise Retry(after=60)
        return super().accepts(event)


class FilterOrHold(RejectOrHold, name="reject-bad"):
    """What another version of the plugin makes of it."""

    def accepts(self, event: Event) -> bool:
        return not event.body.startswith(b"bad") and super().accepts(event)


@pytest.mark.usefixtures("streams")
async def test_a_parked_event_that_another_replica_settles_is_parked_nowhere(
    nats_server: EmbeddedServer,
    nc: Client,
    js: JetStreamContext,
    run_gateway: RunGateway,
    route: Route,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The gauge asks somebody to act; it must not stay up when there is nothing to do."""
    monkeypatch.setattr(settling, "ROUNDS", 1)
    monkeypatch.setattr("gateway.runtime.gateway.POLL_PENDING", 0.1)
    await js.publish("in.a", b"later")
    await js.publish("in.a", b"bad".ljust(200 * KIB, b"x"))
    await restart_with(nats_server, nc, "max_payload: 65536")
    config = {"routes": [route(**RAW, source={"ack-wait": "1s"})]}
    one = await run_gateway(config, RejectOrHold)
    await eventually(lambda: one.stats().parked == 1)
    two = await run_gateway(config, FilterOrHold)
    await eventually(lambda: two.stats().outcomes["filtered"] == 1, what="the other one gets it, sooner or later")
    await eventually(lambda: one.stats().parked == 0)
    await eventually(lambda: one.stats().reason == "")
    assert await in_flight(nc) == 1, "another one is not settled, so that the consumer alone does not tell"


@pytest.mark.usefixtures("streams")
@pytest.mark.fault("poison")
async def test_dead_letters_are_told_in_the_log_with_the_reason_and_no_data(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route, caplog: pytest.LogCaptureFixture
) -> None:
    """With route, code and step, by which the log knows what is the same."""
    caplog.set_level(logging.WARNING, "gateway.route")
    gateway = await run_gateway({"routes": [route(transforms=[{"set": {"a": 1}}])]})
    for _ in range(20):
        await nc.publish("in.a", b"{secret")
    await js.publish("in.a", b"[1]")
    await arrived(nc, "DLQ", 21)
    await eventually(lambda: gateway.stats().outcomes["dead_lettered"] == 21)
    told = [record for record in caplog.records if record.__dict__["event"] == "event.dead-lettered"]
    assert {(record.__dict__["route"], record.__dict__["code"]) for record in told} == {
        ("r", "decode-error"),
        ("r", "transform-error"),
    }
    assert len(told) == 21, "the log itself holds back what is repeated"
    assert told[0].getMessage().startswith("event 1 of IN is a dead letter: decode-error in decode: ")
    assert "secret" not in caplog.text
