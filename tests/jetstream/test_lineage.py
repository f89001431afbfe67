"""Where an event comes from and how often it has passed: correlation, causation, trace, hops, crash loops."""

from __future__ import annotations

import json

import pytest
from nats.aio.client import Client
from nats.js import JetStreamContext

from gateway import Event, Filter, Retry
from gateway.trace import span_of_message
from tests.jetstream.conftest import Route, RunGateway
from tests.support.arrivals import arrived, settled
from tests.support.eventually import eventually
from tests.support.streams import api, consumer_state, count

pytestmark = pytest.mark.usefixtures("streams")

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.mark.parametrize(
    ("headers", "body", "correlation", "causation"),
    [
        ({"Gateway-Correlation-Id": "kept"}, {"id": "e1", "cid": "c1"}, "kept", "e1"),
        ({}, {"id": "e1", "cid": "c1"}, "c1", "e1"),
        ({}, {"id": "e1"}, "e1", "e1"),
        ({"Nats-Msg-Id": "m1"}, {}, "m1", "m1"),
        ({}, {}, "IN:1", "IN:1"),
        ({}, {"id": "a\r\nX-Evil: 1"}, "a__X-Evil: 1", "a__X-Evil: 1"),
    ],
)
async def test_correlation_is_kept_and_causation_is_the_source_event(
    nc: Client,
    js: JetStreamContext,
    run_gateway: RunGateway,
    route: Route,
    headers: dict[str, str],
    body: dict[str, str],
    correlation: str,
    causation: str,
) -> None:
    await run_gateway({"routes": [route(codec={"json": {"correlation-id": "cid"}})]})
    await js.publish("in.a", json.dumps(body).encode(), headers=headers)
    (message,) = await arrived(nc, "OUT", 1)
    assert message.headers["Gateway-Correlation-Id"] == correlation
    assert message.headers["Gateway-Causation-Id"] == causation
    assert "X-Evil" not in message.headers


async def test_a_trace_goes_on_under_a_span_of_ours(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    """One that is not valid ends here, with its state; baggage is none of our business."""
    await run_gateway({"routes": [route()]})
    await js.publish("in.a", b"{}", headers={"traceparent": TRACE, "tracestate": "a=b", "baggage": "k=v"})
    await js.publish("in.a", b"{}", headers={"traceparent": "broken", "tracestate": "a=b", "baggage": "k=v"})
    traced, broken = await arrived(nc, "OUT", 2)
    version, trace, span, flags = traced.headers["traceparent"].split("-")
    assert (version, trace, flags) == tuple(TRACE.split("-")[i] for i in (0, 1, 3))
    assert span == span_of_message(traced.headers["Nats-Msg-Id"]) != TRACE.split("-")[2]
    assert (traced.headers["tracestate"], traced.headers["baggage"]) == ("a=b", "k=v")
    assert not {"traceparent", "tracestate"} & set(broken.headers)
    assert broken.headers["baggage"] == "k=v"


async def test_log_lines_about_a_traced_event_name_its_trace(
    js: JetStreamContext, run_gateway: RunGateway, route: Route, caplog: pytest.LogCaptureFixture
) -> None:
    """One step from the line to the event's whole way; without a trace the line has the sequence, as always."""

    class Again(Filter, name="again"):
        def accepts(self, event: Event) -> bool:
            raise Retry("not yet")

    tried = route(filters=["again"], retry={"attempts": 2, "initial": "10ms"}, source={"subjects": ["in.a"]})
    await run_gateway({"routes": [tried]}, Again)
    await js.publish("in.a", b"{}", headers={"traceparent": TRACE})

    def told() -> bool:
        assert {"event.retried", "event.dead-lettered"} <= {getattr(line, "event", "") for line in caplog.records}
        return True

    await eventually(told)
    lines = [line for line in caplog.records if getattr(line, "event", "").startswith("event.")]
    assert {line.__dict__.get("trace_id") for line in lines} == {TRACE.split("-")[1]}


@pytest.mark.fault("loop")
async def test_routes_that_feed_each_other_end_as_a_loop(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    """IN -> OUT -> IN: without a count of its passes one event would fill both streams."""
    there = route("there", targets=[{"subject": "out.x"}])
    back = route("back", source={"stream": "OUT", "subjects": ["out.>"]}, targets=[{"subject": "in.x"}])
    await run_gateway({"max-hops": 4, "routes": [there, back]})
    await js.publish("in.a", b'{"a": 1}')
    (letter,) = await arrived(nc, "DLQ", 1)
    assert letter.headers["Gateway-Error-Code"] == "loop"
    assert letter.headers["Gateway-Original-Gateway-Hops"] == "4"
    assert (await count(nc, "IN"), await count(nc, "OUT")) == (3, 2)
    await settled(nc, "there")
    await settled(nc, "back", "OUT")


@pytest.mark.parametrize(("hops", "passes"), [("3", True), ("4", False), ("99999", False), ("-5", True), ("x", True)])
async def test_hops_are_counted_and_nonsense_is_none(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route, hops: str, passes: bool
) -> None:
    await run_gateway({"max-hops": 4, "routes": [route()]})
    await js.publish("in.a", b"{}", headers={"Gateway-Hops": hops})
    (message,) = await arrived(nc, "OUT" if passes else "DLQ", 1)
    if passes:
        assert message.headers["Gateway-Hops"] == ("4" if hops == "3" else "1")


async def deliver_in_vain(nc: Client, times: int) -> None:
    """Make the route's durable and have it hand its first event out so often, to somebody who dies each time."""
    config = {"durable_name": "gateway-r", "ack_policy": "explicit", "ack_wait": 30_000_000_000}
    await api(nc, "CONSUMER.CREATE.IN.gateway-r", {"stream_name": "IN", "config": config})
    inbox = nc.new_inbox()
    messages = await nc.subscribe(inbox)
    for _ in range(times):
        await nc.publish("$JS.API.CONSUMER.MSG.NEXT.IN.gateway-r", b"1", reply=inbox)
        await (await messages.next_msg(30)).nak()
    await messages.unsubscribe()


@pytest.mark.parametrize(("before", "fate"), [(100, "crash-loop"), (99, "published")])
@pytest.mark.fault("crash-loop")
async def test_an_event_delivered_over_a_hundred_times_without_a_known_fault_is_taken_to_kill_its_gateway(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route, before: int, fate: str
) -> None:
    await js.publish("in.a", b'{"a": 1}')
    await deliver_in_vain(nc, before)
    await run_gateway({"routes": [route(source={"ack-wait": "30s"})]})
    if fate == "published":
        await arrived(nc, "OUT", 1)
    else:
        (letter,) = await arrived(nc, "DLQ", 1)
        assert letter.headers["Gateway-Error-Code"] == "crash-loop"
        assert await count(nc, "OUT") == 0
    await settled(nc)
    assert (await consumer_state(nc, "IN", "gateway-r"))["config"]["max_deliver"] == -1
