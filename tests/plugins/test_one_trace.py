"""One trace from a producer through two gateways to the consumers, as a collector has it: the whole tree.

Producer and consumers are traced by OpenTelemetry's own SDK, and the spans of the gateways go through a collector that
somebody else wrote, where there is one for the machine.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from nats.aio.client import Client
from opentelemetry.proto.trace.v1.trace_pb2 import Status
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.trace import SpanKind
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from tests.conftest import StartGateway
from tests.plugins.collector import Collector, attributes_of
from tests.plugins.rotel import Rotel, rotel_binary
from tests.support.arrivals import arrived
from tests.support.commands import run_commands
from tests.support.eventually import eventually
from tests.support.streams import Stored, api, make_stream

PROPAGATOR = TraceContextTextMapPropagator()
TRACER = TracerProvider().get_tracer("tests")

TREE = """\
publish in.a
  process fan
    publish mid
      process last
        publish out
          process out.it
      process picky: decode-error
        publish dead-letter
          process picky
            publish mended
              process out.mended
    publish web, tried again
      process web.it
"""


class Collected:
    """A collector, and where gateways are to send their spans."""

    def __init__(self, spans: Collector, endpoint: str) -> None:
        self.spans = spans
        self.endpoint = endpoint


@pytest.fixture
async def collected(tmp_path: Path) -> AsyncIterator[Collected]:
    """Ours behind a real one; ours alone on machines that the real one is not made for."""
    spans, binary = Collector(), rotel_binary()
    rotel = None if binary is None else Rotel(binary, tmp_path, spans)
    try:
        if rotel is not None:
            await rotel.start()
        yield Collected(spans, spans.endpoint if rotel is None else rotel.endpoint)
    finally:
        if rotel is not None:
            rotel.end()
        spans.close()


def config(name: str, endpoint: str, *routes: dict[str, Any]) -> dict[str, Any]:
    settings = {"otel": {"endpoint": endpoint, "delay": "20ms", "service-name": name}}
    defaults = {"audits": ["otel"], "retry": {"initial": "50ms", "max": "200ms"}}
    return {"name": name, "plugins": {"settings": settings}, "defaults": defaults, "routes": list(routes)}


def route(name: str, source: str, *targets: tuple[str, str], **fields: Any) -> dict[str, Any]:
    listened = {"stream": source, "subjects": [f"{source.lower()}.>"]}
    return {"name": name, "source": listened, "targets": [{"name": n, "subject": s} for n, s in targets], **fields}


def consume(message: Stored) -> ReadableSpan:
    """What a service does that is traced: its span goes on with the context it finds."""
    context = PROPAGATOR.extract(message.headers)
    span = TRACER.start_span(f"process {message.subject}", context, SpanKind.CONSUMER)
    span.end()
    assert isinstance(span, ReadableSpan)
    return span


def tree_of(collector: Collector, services: Sequence[ReadableSpan]) -> str:
    """All spans, indented below their parents; brothers by name."""
    below: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for span in services:
        assert span.context is not None
        parent = "" if span.parent is None else f"{span.parent.span_id:016x}"
        below[parent].append((span.name, f"{span.context.span_id:016x}"))
    for one in collector.spans:
        known = attributes_of(one)
        name = f"{one.name}: {known['error.type']}" if one.status.code == Status.STATUS_CODE_ERROR else one.name
        name += ", tried again" if known.get("event_gateway.tries") else ""
        below[one.parent_span_id.hex()].append((name, one.span_id.hex()))

    def lines(parent: str, depth: int) -> list[str]:
        return [
            line
            for name, span in sorted(below.pop(parent, []))
            for line in ("  " * depth + name, *lines(span, depth + 1))
        ]

    tree = lines("", 0)
    assert not below, f"these have a parent that is no span: {dict(below)}"
    return "\n".join([*tree, ""])


async def test_a_chain_with_a_fan_out_a_retry_and_a_dead_letter_that_is_redriven_is_one_tree(
    nc: Client, collected: Collected, gateway_process: StartGateway, tmp_path: Path
) -> None:
    """Each consumer hangs below the very publishing of what it consumed, on this side of the failure and beyond it."""
    for name in ("IN", "MID", "OUT", "DLQ"):
        await make_stream(nc, name, [f"{name.lower()}.>"])
    await make_stream(nc, "WEB", ["web.>"], max_msgs=1, discard="new")
    await nc.jetstream().publish("web.before", b"full")
    a = config("a", collected.endpoint, route("fan", "IN", ("mid", "mid.it"), ("web", "web.it")))
    picky = route("picky", "MID", ("mended", "out.mended"), codec="msgpack")
    b = config("b", collected.endpoint, route("last", "MID", ("out", "out.it")), picky)
    first, second = await gateway_process(a), await gateway_process(b)

    with TRACER.start_as_current_span("publish in.a", kind=SpanKind.PRODUCER) as producer:
        headers: dict[str, str] = {}
        PROPAGATOR.inject(headers)
        await nc.jetstream().publish("in.a", json.dumps({"id": "e-1"}).encode(), headers=headers)
    assert isinstance(producer, ReadableSpan)

    async def refused() -> bool:
        return await first.metric('retries_total{route="fan",code="stream-full"}') >= 1

    await eventually(refused, what="the full stream refused its copy")
    await api(nc, "STREAM.PURGE.WEB")
    (to_web,) = await arrived(nc, "WEB", 1)
    (letter,) = await arrived(nc, "DLQ", 1)
    b["routes"][1]["codec"] = "json"
    mended = tmp_path / "mended.yaml"
    mended.write_text(yaml.safe_dump({**b, "nats": yaml.safe_load(second.config.read_text())["nats"], "http": "off"}))
    (redriven,) = await run_commands(["dlq", "redrive", "-c", str(mended), "--route", "picky"])
    assert redriven.code == 0, redriven.err
    out = await arrived(nc, "OUT", 2)

    consumers = [consume(message) for message in (to_web, *out)]
    await eventually(lambda: len(collected.spans.spans) >= 9, what="the spans of both gateways and of the redrive")
    assert tree_of(collected.spans, [producer, *consumers]) == TREE
    assert producer.context is not None
    trace = f"{producer.context.trace_id:032x}"
    assert {span.trace_id.hex() for span in collected.spans.spans} == {trace}
    assert {span.context.trace_id for span in consumers if span.context} == {producer.context.trace_id}
    assert letter.headers["traceparent"].split("-")[1] == trace
    dead = [line for line in second.logs if line.get("event") == "event.dead-lettered"]
    assert [line["trace_id"] for line in dead] == [trace]
    assert {resource["service.name"] for resource in collected.spans.resources} == {"a", "b"}
    for span in collected.spans.spans:
        above = [one for one in collected.spans.spans if one.span_id == span.parent_span_id]
        assert all(one.start_time_unix_nano <= span.start_time_unix_nano for one in above)
        assert span.start_time_unix_nano <= span.end_time_unix_nano
    (web,) = collected.spans.named("publish web")
    (fan,) = collected.spans.named("process fan")
    (mid,) = collected.spans.named("publish mid")
    assert mid.end_time_unix_nano < web.start_time_unix_nano < web.end_time_unix_nano <= fan.end_time_unix_nano
