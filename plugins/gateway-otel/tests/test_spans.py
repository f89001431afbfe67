"""Which records become spans, and which span a record becomes."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from opentelemetry.sdk.trace.sampling import Decision, TraceIdRatioBased

from gateway import AuditRecord, Outcome
from gateway_otel.spans import Sampler, request_of, spans_in, spans_of

TRACE = "0af7651916cd43dd8448eb211c80319c"


def record(**fields: Any) -> AuditRecord:
    """A record of a published event that came without a trace."""
    known = {
        "id": "gateway/ORDERS/2026-01-01T00:00:00Z/7/r",
        "time": datetime(2026, 1, 1, 0, 0, 1, 250_000, tzinfo=UTC),
        "gateway": "gateway",
        "instance": "host-1",
        "route": "r",
        "outcome": Outcome.PUBLISHED,
        "seconds": 0.5,
        "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
        "span_id": "53995c3f42cd8ad8",
        "sampled": True,
    }
    return msgspec.convert({**known, **fields}, AuditRecord)


def traced(**fields: Any) -> AuditRecord:
    """A record of an event whose sender sampled its trace."""
    known = {"trace_id": TRACE, "span_id": "00f067aa0ba902b7", "parent_span_id": "b7ad6b7169203331", "sampled": True}
    return record(**{**known, **fields})


def begun(number: int) -> AuditRecord:
    """One of many that begin a trace."""
    return record(trace_id=f"{random.Random(number).getrandbits(128):032x}", sampled=False)


def span_of(made: AuditRecord, durable: str = "") -> Span:
    """The span of the event itself."""
    return next(spans_of(made, durable))


def attributes_of(span: Span) -> dict[str, Any]:
    """Those that are texts or numbers."""
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value") or "") for pair in span.attributes}


def test_a_traced_event_has_its_span_below_its_sender_s_and_linked_to_it() -> None:
    span = span_of(traced(), "gateway-r")
    assert (span.trace_id.hex(), span.span_id.hex()) == (TRACE, "00f067aa0ba902b7")
    assert span.parent_span_id.hex() == "b7ad6b7169203331"
    assert [(link.trace_id, link.span_id) for link in span.links] == [(span.trace_id, span.parent_span_id)]
    assert (span.name, span.kind, span.status.code) == ("process r", Span.SPAN_KIND_CONSUMER, Status.STATUS_CODE_UNSET)
    assert span.flags == span.links[0].flags == 0x301, "sampled, and its context came from another process"


def test_it_lasts_from_receipt_to_settling_to_the_microsecond() -> None:
    span = span_of(traced(), "")
    assert span.end_time_unix_nano == 1_767_225_601_250_000_000
    assert span.start_time_unix_nano == span.end_time_unix_nano - 500_000_000


def test_an_event_that_begins_a_trace_is_its_root() -> None:
    span = span_of(record())
    assert (span.trace_id.hex(), span.span_id.hex()) == ("4bf92f3577b34da6a3ce929d0e0e4736", "53995c3f42cd8ad8")
    assert (span.parent_span_id, list(span.links), span.flags) == (b"", [], 0x101)


def test_each_message_that_was_published_has_a_span_below_the_event_s() -> None:
    """With the id that the message carries, from its last sending to its stream's word."""
    first = {
        "name": "billing",
        "subject": "billing.eu",
        "stream": "BILLING",
        "sequence": 9,
        "message_id": "m.7.0",
        "tries": 2,
        "after": 0.125,
        "seconds": 0.25,
        "span_id": "aaaaaaaaaaaaaaaa",
    }
    known = {"name": "web", "subject": "web.x", "stream": "WEB", "sequence": 3, "duplicate": True, "span_id": "b" * 16}
    made = traced(targets=(first, known))
    own, sent, again = spans_of(made, "")
    assert spans_in(made) == 3
    for span in (sent, again):
        assert (span.trace_id, span.parent_span_id, span.kind) == (own.trace_id, own.span_id, Span.SPAN_KIND_PRODUCER)
    assert (sent.name, sent.span_id.hex(), sent.flags) == ("publish billing", "a" * 16, 0x101)
    assert sent.start_time_unix_nano - own.start_time_unix_nano == 125_000_000
    assert sent.end_time_unix_nano - sent.start_time_unix_nano == 250_000_000
    assert attributes_of(sent) == {
        "messaging.system": "nats",
        "messaging.operation.name": "publish",
        "messaging.operation.type": "send",
        "messaging.destination.name": "billing.eu",
        "messaging.message.id": "m.7.0",
        "event_gateway.target": "billing",
        "event_gateway.stream": "BILLING",
        "event_gateway.sequence": 9,
        "event_gateway.duplicate": False,
        "event_gateway.tries": 2,
    }
    assert attributes_of(again)["event_gateway.duplicate"] is True
    assert again.start_time_unix_nano == again.end_time_unix_nano == own.start_time_unix_nano


def test_a_dead_letter_is_an_error_with_its_code() -> None:
    span = span_of(record(outcome=Outcome.DEAD_LETTERED, code="decode-error", reason="bad"), "")
    assert (span.status.code, span.status.message) == (Status.STATUS_CODE_ERROR, "decode-error: bad")
    assert attributes_of(span)["error.type"] == "decode-error"


def test_what_is_not_known_is_no_attribute() -> None:
    assert not attributes_of(span_of(record(), "")).keys() & {
        "messaging.message.id",
        "messaging.consumer.group.name",
        "error.type",
    }


def test_a_request_says_whose_spans_it_has() -> None:
    request = ExportTraceServiceRequest.FromString(
        request_of([record(), traced()], {"service.name": "shop"}, lambda one: f"durable-of-{one.route}")
    )
    (group,) = request.resource_spans
    resource = {pair.key: pair.value.string_value for pair in group.resource.attributes}
    assert resource == {"service.name": "shop", "service.instance.id": "host-1", "event_gateway.name": "gateway"}
    (scope,) = group.scope_spans
    assert [span.trace_id.hex() == TRACE for span in scope.spans] == [False, True]
    assert attributes_of(scope.spans[0])["messaging.consumer.group.name"] == "durable-of-r"


@pytest.mark.parametrize("text", ["\ud800", "a\x00b", "\U0001f600", "x" * 100_000])
def test_no_text_of_an_event_can_spoil_a_batch(text: str) -> None:
    """Protobuf refuses what has no UTF-8, and with it every other span of the request."""
    copy = {"name": text, "subject": text, "stream": text, "message_id": text, "span_id": "b" * 16}
    known = dict.fromkeys(("event_id", "event_type", "event_source", "subject", "correlation_id", "reason"), text)
    strange = record(targets=(copy,), **known)
    request = ExportTraceServiceRequest.FromString(request_of([strange, record()], {}, lambda one: text))
    assert len(request.resource_spans[0].scope_spans[0].spans) == 3


@pytest.mark.parametrize("ratio", [0.0, 0.001, 0.25, 0.5, 0.999, 1.0])
def test_a_ratio_takes_the_traces_that_opentelemetry_s_own_sampler_takes(ratio: float) -> None:
    """Services that agree on a ratio keep whole traces, not each its own part of them."""
    theirs, ours = TraceIdRatioBased(ratio), Sampler(0.0, ratio, dead_letters=False)
    numbers = random.Random(1)
    for trace_id in [1, (1 << 128) - 1, *(numbers.getrandbits(128) for _ in range(2000))]:
        kept = theirs.should_sample(None, trace_id, "x").decision is Decision.RECORD_AND_SAMPLE
        assert ours.takes(traced(trace_id=f"{trace_id:032x}")) is kept


@pytest.mark.parametrize(("ratio", "least", "most"), [(0.0, 0, 0), (0.1, 60, 140), (1.0, 1000, 1000)])
def test_a_share_of_the_events_without_a_trace_begin_one(ratio: float, least: int, most: int) -> None:
    """Of their ids, as their consumers would choose."""
    ours, theirs = Sampler(ratio, 1.0, dead_letters=False), TraceIdRatioBased(ratio)
    taken = [n for n in range(1000) if ours.takes(begun(n))]
    assert least <= len(taken) <= most
    for n in range(1000):
        trace_id = int(begun(n).trace_id, 16)
        assert (theirs.should_sample(None, trace_id, "x").decision is Decision.RECORD_AND_SAMPLE) is (n in taken)


def test_dead_letters_are_always_taken_but_for_those_of_unsampled_traces() -> None:
    ours, without = Sampler(0.0, 0.0, dead_letters=True), Sampler(0.0, 0.0, dead_letters=False)
    dead = {"outcome": Outcome.DEAD_LETTERED}
    assert ours.takes(record(sampled=False, **dead)), "the trace begins here: it is ours to decide"
    assert ours.takes(traced(**dead))
    assert not ours.takes(traced(sampled=False, **dead))
    assert not ours.takes(traced())
    assert not without.takes(traced(**dead))


def test_a_trace_its_sender_did_not_sample_is_not_exported() -> None:
    assert not Sampler(1.0, 1.0, dead_letters=True).takes(traced(sampled=False))
    assert Sampler(0.0, 1.0, dead_letters=True).takes(traced())


def test_a_record_without_a_trace_is_no_span() -> None:
    """Only another audit's route has such records."""
    assert not Sampler(1.0, 1.0, dead_letters=True).takes(record(trace_id="", span_id=""))
