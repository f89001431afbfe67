"""Spans of a running gateway at a collector: ids, parentage, links, attributes, sampling, and who waits for whom."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

import pytest
import yaml
from nats.aio.client import Client
from nats.js import JetStreamContext
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from gateway.jetstream.server import free_port
from tests.conftest import StartGateway
from tests.plugins.collector import Collector, attributes_of
from tests.support.arrivals import arrived, settled
from tests.support.eventually import eventually
from tests.support.process import GatewayProcess
from tests.support.streams import make_stream

TRACE, SENDER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TRACEPARENT = f"00-{TRACE}-{SENDER}-01"


@pytest.fixture
def collector() -> Iterator[Collector]:
    """One that takes everything, until it is told otherwise."""
    made = Collector()
    yield made
    made.close()


@pytest.fixture(autouse=True)
async def middle(streams: Client) -> None:
    """A stream between IN and OUT."""
    await make_stream(streams, "MID", ["mid.>"])


def route(name: str = "r", source: str = "IN", target: str = "out.it", **fields: Any) -> dict[str, Any]:
    listened = {"stream": source, "subjects": [f"{source.lower()}.>"]}
    return {"name": name, "source": listened, "targets": [{"name": "next", "subject": target}], **fields}


def config(endpoint: str, *routes: dict[str, Any], **settings: Any) -> dict[str, Any]:
    otel = {"endpoint": endpoint, "delay": "20ms", **settings}
    return {"plugins": {"settings": {"otel": otel}}, "defaults": {"audits": ["otel"]}, "routes": list(routes)}


async def counted(gateway: GatewayProcess, outcome: str) -> float:
    return await gateway.metric(f'plugin_otel_spans_total{{outcome="{outcome}"}}')


async def spans(collector: Collector, number: int) -> list[Span]:
    await eventually(lambda: len(collector.spans) >= number, what=f"{number} spans")
    assert len(collector.spans) == number
    return collector.spans


async def test_two_chained_routes_are_spans_of_the_sender_s_trace_one_below_the_other(
    nc: Client, js: JetStreamContext, collector: Collector, gateway_process: StartGateway
) -> None:
    """And the copies carry the very ids that were exported, so that whoever is downstream hangs below them."""
    first, second = route("first", target="mid.it"), route("second", "MID")
    first["source"]["durable"] = "the-durable"
    second["transforms"] = [{"set": {"more": 1}}]
    settings = {"headers": {"Authorization": "Bearer hunter2"}, "service-name": "shop"}
    gateway = await gateway_process(config(collector.endpoint, first, second, **settings))
    begun = time.time_ns()
    await js.publish("in.a", b'{"id": "e-1", "type": "T"}', headers={"traceparent": TRACEPARENT})
    (between,) = await arrived(nc, "MID", 1)
    (end,) = await arrived(nc, "OUT", 1)
    await spans(collector, 4)
    (one,), (two,) = collector.named("process first"), collector.named("process second")
    sent, passed = sorted(collector.named("publish next"), key=lambda span: span.start_time_unix_nano)
    assert {span.trace_id.hex() for span in collector.spans} == {TRACE}
    assert one.parent_span_id.hex() == SENDER
    assert [sent.parent_span_id, two.parent_span_id, passed.parent_span_id] == [one.span_id, sent.span_id, two.span_id]
    assert between.headers["traceparent"] == f"00-{TRACE}-{sent.span_id.hex()}-01"
    assert end.headers["traceparent"] == f"00-{TRACE}-{passed.span_id.hex()}-01"
    for span in (one, two):
        assert span.kind == Span.SPAN_KIND_CONSUMER
        assert [(link.trace_id, link.span_id) for link in span.links] == [(span.trace_id, span.parent_span_id)]
        assert span.status.code == Status.STATUS_CODE_UNSET
    for above, below in ((one, sent), (two, passed)):
        assert begun <= above.start_time_unix_nano + 5_000_000
        assert above.start_time_unix_nano <= below.start_time_unix_nano < below.end_time_unix_nano
        assert below.end_time_unix_nano <= above.end_time_unix_nano + 1_000 <= time.time_ns()
    known = attributes_of(one)
    for name, value in {
        "messaging.system": "nats",
        "messaging.operation.type": "process",
        "messaging.destination.name": "in.a",
        "messaging.consumer.group.name": "the-durable",
        "messaging.message.id": "e-1",
        "messaging.message.conversation_id": "e-1",
        "event_gateway.outcome": "published",
        "event_gateway.event.type": "T",
        "event_gateway.sequence": 1,
    }.items():
        assert known[name] == value
    known = attributes_of(sent)
    assert sent.kind == Span.SPAN_KIND_PRODUCER
    assert known["messaging.message.id"] == between.headers["Nats-Msg-Id"]
    assert (known["messaging.operation.type"], known["messaging.destination.name"]) == ("send", "mid.it")
    assert (known["event_gateway.stream"], known["event_gateway.sequence"]) == ("MID", 1)
    assert attributes_of(two)["messaging.consumer.group.name"] == "gateway-second"
    resource = collector.resources[-1]
    assert resource["service.version"] == version("nats-event-gateway")
    assert (resource["service.name"], resource["event_gateway.name"]) == ("shop", "gateway")
    assert resource["service.instance.id"]
    assert collector.headers[0]["authorization"] == "Bearer hunter2"
    assert "hunter2" not in gateway.err + gateway.out + (await gateway.get("/metrics"))[1]


async def test_every_outcome_has_its_span_and_a_dead_letter_is_an_error(
    nc: Client, js: JetStreamContext, collector: Collector, gateway_process: StartGateway
) -> None:
    filters = [{"pattern": {"n": [{"numeric": [">", 0]}]}}]
    await gateway_process(config(collector.endpoint, route(filters=filters)))
    for data in (b'{"n": 1}', b'{"n": 0}', b"broken"):
        await js.publish("in.a", data, headers={"traceparent": TRACEPARENT})
    await spans(collector, 5)
    found = {attributes_of(span)["event_gateway.outcome"]: span for span in collector.named("process r")}
    assert set(found) == {"published", "filtered", "dead_lettered"}
    assert len({span.span_id for span in collector.spans}) == 5
    (letter,) = collector.named("publish dead-letter")
    assert letter.parent_span_id == found["dead_lettered"].span_id
    assert attributes_of(letter)["messaging.destination.name"] == "dlq.r"
    dead = found["dead_lettered"]
    assert dead.status.code == Status.STATUS_CODE_ERROR
    assert dead.status.message.startswith("decode-error")
    assert (attributes_of(dead)["error.type"], attributes_of(dead)["event_gateway.step"]) == ("decode-error", "decode")
    assert "broken" not in str(dead)
    assert attributes_of(found["filtered"])["event_gateway.step"] == "filter-0-pattern"


async def test_an_event_without_a_valid_trace_begins_one_and_an_unsampled_one_is_left_alone(
    nc: Client, js: JetStreamContext, collector: Collector, gateway_process: StartGateway
) -> None:
    """The trace that begins goes on in the copies, through the next route as well."""
    gateway = await gateway_process(config(collector.endpoint, route("first", target="mid.it"), route("second", "MID")))
    await js.publish("in.a", b"{}", headers={"traceparent": f"00-{TRACE}-{SENDER}-00"})
    await js.publish("in.a", b"{}", headers={"traceparent": "broken", "tracestate": "a=b"})
    await js.publish("in.a", b"{}")
    await spans(collector, 8)
    unsampled, *others = await arrived(nc, "OUT", 3)
    assert unsampled.headers["traceparent"].split("-")[1::2] == [TRACE, "00"]
    roots = {span.trace_id.hex(): span for span in collector.named("process first")}
    assert len(roots) == 2
    assert TRACE not in roots
    for message in others:
        _, trace, parent, flags = message.headers["traceparent"].split("-")
        assert (flags, "tracestate" in message.headers) == ("03", False)
        assert (roots[trace].parent_span_id, list(roots[trace].links)) == (b"", [])
        below = {
            span.span_id.hex(): span.parent_span_id.hex() for span in collector.spans if span.trace_id.hex() == trace
        }
        way = [parent]
        while way[-1] in below:
            way.append(below[way[-1]])
        assert (len(below), way[3:]) == (4, [roots[trace].span_id.hex(), ""]), "four spans, one below the other"

    async def all_counted() -> bool:
        return (await counted(gateway, "unsampled"), await counted(gateway, "exported")) == (4, 8)

    await eventually(all_counted)


async def test_a_route_s_own_ratio_counts_instead_of_the_setting(
    nc: Client, js: JetStreamContext, collector: Collector, gateway_process: StartGateway
) -> None:
    """What is not taken is counted, so that nobody mistakes sampling for loss."""
    audits = [{"otel": {"sample-ratio": 0.5, "traced-ratio": 0}}]
    gateway = await gateway_process(config(collector.endpoint, route(audits=audits)))
    await js.publish("in.a", b"{}", headers={"traceparent": TRACEPARENT})
    await asyncio.gather(*(js.publish("in.a", b"{}") for _ in range(400)))
    await settled(nc)

    async def all_counted() -> bool:
        return await counted(gateway, "exported") + await counted(gateway, "unsampled") == 2 * 401

    await eventually(all_counted)
    exported = collector.named("process r")
    assert 130 <= len(exported) <= 270
    sampled = {message.headers["traceparent"].split("-")[1] for message in await arrived(nc, "OUT", 401)
               if message.headers["traceparent"].endswith("-03")}  # fmt: skip
    assert {span.trace_id.hex() for span in exported} == sampled, "what is downstream decides alike"
    assert not [span for span in collector.spans if span.trace_id.hex() == TRACE]


@pytest.mark.parametrize("mode", ["required", "best-effort"])
async def test_a_collector_that_is_away_holds_no_route_and_fills_no_memory(
    nc: Client, js: JetStreamContext, gateway_process: StartGateway, mode: str
) -> None:
    """Every span is counted as what became of it; when the collector is back, spans go out again."""
    port = free_port()
    settings = {"queue": 100, "timeout": "200ms"}
    gateway = await gateway_process(
        config(f"http://127.0.0.1:{port}/v1/traces", route(**{"audit-mode": mode}), **settings)
    )
    await asyncio.gather(*(js.publish("in.a", b"{}") for _ in range(1000)))
    await settled(nc)
    assert (await gateway.routes())["r"]["state"] == "up"

    async def all_lost() -> bool:
        return await counted(gateway, "failed") + await counted(gateway, "overflow") == 2 * 1000

    await eventually(all_lost)
    told = [line["event"] for line in gateway.logs if line.get("event", "").startswith("otel.")]
    assert sorted(told) == ["otel.failing", "otel.overflow"], "one line each, however many were lost"
    collector = Collector(port)
    try:
        await js.publish("in.a", b"{}", headers={"traceparent": TRACEPARENT})
        await spans(collector, 2)
        assert collector.named("process r")[0].parent_span_id.hex() == SENDER
    finally:
        collector.close()


async def test_what_is_queued_when_the_gateway_stops_is_sent_before_it_ends(
    nc: Client, js: JetStreamContext, collector: Collector, gateway_process: StartGateway
) -> None:
    gateway = await gateway_process(config(collector.endpoint, route(), delay="1h"))
    await asyncio.gather(*(js.publish("in.a", b"{}") for _ in range(100)))
    await settled(nc)
    assert not collector.spans
    gateway.term()
    assert await gateway.wait() == 0
    assert len(collector.spans) == 2 * 100


async def test_a_collector_that_never_answers_does_not_hold_the_end(
    nc: Client, js: JetStreamContext, collector: Collector, gateway_process: StartGateway
) -> None:
    collector.gate.clear()
    settings = {"flush": "300ms", "timeout": "1h"}
    gateway = await gateway_process(config(collector.endpoint, route(), **settings))
    await asyncio.gather(*(js.publish("in.a", b"{}") for _ in range(100)))
    await settled(nc)
    begun = time.monotonic()
    gateway.term()
    assert await gateway.wait() == 0
    assert time.monotonic() - begun < 30


async def test_a_refusing_collector_is_counted_and_a_busy_one_is_tried_again(
    nc: Client, js: JetStreamContext, collector: Collector, gateway_process: StartGateway
) -> None:
    gateway = await gateway_process(config(collector.endpoint, route()))
    collector.status = 400
    await js.publish("in.a", b"{}")

    async def refused() -> bool:
        return await counted(gateway, "failed") == 2

    await eventually(refused)
    collector.status = 503
    await js.publish("in.a", b"{}")
    await eventually(lambda: collector.refused >= 2)
    collector.status = 200
    await spans(collector, 2)
    assert await counted(gateway, "failed") == 2


async def test_other_settings_are_gone_over_to_by_a_reload(
    nc: Client, js: JetStreamContext, collector: Collector, gateway_process: StartGateway
) -> None:
    """What was queued for the old collector is still sent there, what comes after the reload to the new one."""
    other = Collector()
    try:
        whole = config(collector.endpoint, route(), delay="1h")
        gateway = await gateway_process(whole)
        await js.publish("in.a", b"{}")
        await settled(nc)
        whole["plugins"]["settings"]["otel"].update(
            {"endpoint": other.endpoint, "delay": "20ms", "service-name": "new"}
        )
        gateway.config.write_text(yaml.safe_dump({**yaml.safe_load(gateway.config.read_text()), **whole}))
        gateway.signal(signal.SIGHUP)
        await eventually(lambda: any(line.get("event") == "config.reloaded" for line in gateway.logs))
        await spans(collector, 2)
        await js.publish("in.a", b"{}")
        await spans(other, 2)
        assert [resource["service.name"] for resource in other.resources] == ["new"]
        assert len(collector.spans) == 2
    finally:
        other.close()


async def test_a_collector_that_hangs_slows_no_event(
    nc: Client, js: JetStreamContext, collector: Collector, gateway_process: StartGateway
) -> None:
    """Its thread waits; the events do not, and what finds no room is counted."""
    collector.gate.clear()
    gateway = await gateway_process(config(collector.endpoint, route(), queue=10, timeout="1h"))
    await asyncio.gather(*(js.publish("in.a", b"{}") for _ in range(1000)))
    await settled(nc)

    async def waiting() -> bool:
        assert await counted(gateway, "overflow") > 0
        return True

    await eventually(waiting)
    assert not collector.spans
    collector.gate.set()

    async def all_counted() -> bool:
        return await counted(gateway, "exported") + await counted(gateway, "overflow") == 2 * 1000

    await eventually(all_counted)
