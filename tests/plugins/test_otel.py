"""Spans of a running gateway at a collector: ids, parentage, links, attributes, sampling, and who waits for whom."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

import pytest
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


async def test_two_chained_routes_are_two_spans_of_the_sender_s_trace_one_below_the_other(
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
    await spans(collector, 2)
    (one,), (two,) = collector.named("process first"), collector.named("process second")
    assert one.trace_id.hex() == two.trace_id.hex() == TRACE
    assert one.parent_span_id.hex() == SENDER
    assert two.parent_span_id == one.span_id
    assert between.headers["traceparent"] == f"00-{TRACE}-{one.span_id.hex()}-01"
    assert end.headers["traceparent"] == f"00-{TRACE}-{two.span_id.hex()}-01"
    for span in (one, two):
        assert span.kind == Span.SPAN_KIND_CONSUMER
        assert [(link.trace_id, link.span_id) for link in span.links] == [(span.trace_id, span.parent_span_id)]
        assert span.status.code == Status.STATUS_CODE_UNSET
        assert begun <= span.start_time_unix_nano + 5_000_000
        assert span.start_time_unix_nano <= span.end_time_unix_nano <= time.time_ns()
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
        "event_gateway.targets": ["next MID 1 mid.it"],
    }.items():
        assert known[name] == value
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
    found = {attributes_of(span)["event_gateway.outcome"]: span for span in await spans(collector, 3)}
    assert set(found) == {"published", "filtered", "dead_lettered"}
    assert len({span.span_id for span in collector.spans}) == 3
    dead = found["dead_lettered"]
    assert dead.status.code == Status.STATUS_CODE_ERROR
    assert dead.status.message.startswith("decode-error")
    assert (attributes_of(dead)["error.type"], attributes_of(dead)["event_gateway.step"]) == ("decode-error", "decode")
    assert "broken" not in str(dead)
    assert attributes_of(found["filtered"])["event_gateway.step"] == "filter-0-pattern"


async def test_an_event_without_a_trace_begins_one_and_an_unsampled_one_is_left_alone(
    nc: Client, js: JetStreamContext, collector: Collector, gateway_process: StartGateway
) -> None:
    gateway = await gateway_process(config(collector.endpoint, route()))
    await js.publish("in.a", b"{}", headers={"traceparent": f"00-{TRACE}-{SENDER}-00"})
    await js.publish("in.a", b"{}", headers={"traceparent": "broken"})
    await js.publish("in.a", b"{}")
    new = await spans(collector, 2)
    unsampled, _, plain = await arrived(nc, "OUT", 3)
    assert len({span.trace_id for span in new} | {bytes.fromhex(TRACE)}) == 3
    assert all(not span.parent_span_id and not span.links for span in new)
    assert unsampled.headers["traceparent"].endswith("-00")
    assert "traceparent" not in plain.headers

    async def all_counted() -> bool:
        return (await counted(gateway, "unsampled"), await counted(gateway, "exported")) == (1, 2)

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
        return await counted(gateway, "exported") + await counted(gateway, "unsampled") == 401

    await eventually(all_counted)
    assert 130 <= len(collector.spans) <= 270
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
        return await counted(gateway, "failed") + await counted(gateway, "overflow") == 1000

    await eventually(all_lost)
    collector = Collector(port)
    try:
        await js.publish("in.a", b"{}", headers={"traceparent": TRACEPARENT})
        (span,) = await spans(collector, 1)
        assert span.parent_span_id.hex() == SENDER
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
    assert len(collector.spans) == 100


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
        return await counted(gateway, "failed") == 1

    await eventually(refused)
    collector.status = 503
    await js.publish("in.a", b"{}")
    await eventually(lambda: collector.refused >= 2)
    collector.status = 200
    await spans(collector, 1)
    assert await counted(gateway, "failed") == 1
