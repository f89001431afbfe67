"""Audit records become spans: which ones, with which ids, attributes and links. Pure: no clock, no network.

Names are those of OpenTelemetry's conventions for messaging; what they have no word for is `event_gateway.*`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, SpanFlags, Status

from gateway import AuditRecord, Outcome

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_SAMPLED = 1
_OF_OURS = _SAMPLED | SpanFlags.SPAN_FLAGS_CONTEXT_HAS_IS_REMOTE_MASK
_OF_THE_SENDER = _OF_OURS | SpanFlags.SPAN_FLAGS_CONTEXT_IS_REMOTE_MASK


class Sampler:
    """Which records become spans. The sender's word counts, then the trace id: services that agree on a ratio and
    take it as OpenTelemetry's TraceIdRatioBased does choose the same traces.
    """

    def __init__(self, sample_ratio: float, traced_ratio: float, dead_letters: bool) -> None:
        self._begun = _bound(sample_ratio)
        self._traced = _bound(traced_ratio)
        self._dead_letters = dead_letters

    def takes(self, record: AuditRecord) -> bool:
        """Whether this record is exported: the same verdict whenever the event is told again."""
        came = record.parent_span_id != ""
        if not record.trace_id or (came and not record.sampled):
            return False
        if self._dead_letters and record.outcome is Outcome.DEAD_LETTERED:
            return True
        return int(record.trace_id[16:], 16) < (self._traced if came else self._begun)


def _bound(ratio: float) -> int:
    return round(ratio * (1 << 64))


def spans_in(record: AuditRecord) -> int:
    """How many spans a record becomes: its own, and one for each message that was published."""
    return 1 + len(record.targets)


def request_of(
    records: Sequence[AuditRecord], resource: Mapping[str, str], durable_of: Callable[[AuditRecord], str]
) -> bytes:
    """One request with the spans of each record. All of them are of one gateway process."""
    first = records[0]
    known = {**resource, "service.instance.id": first.instance, "event_gateway.name": first.gateway}
    spans = [span for record in records for span in spans_of(record, durable_of(record))]
    scope = {"scope": {"name": "gateway_otel"}, "spans": spans}
    # Mappings again, which protobuf's type stubs do not know.
    group: Any = {"resource": {"attributes": _pairs(known)}, "scope_spans": [scope]}
    data: bytes = ExportTraceServiceRequest(resource_spans=[group]).SerializeToString()
    return data


def spans_of(record: AuditRecord, durable: str) -> Iterator[Span]:
    """The span of one event on one route, below its sender's, and below it those of the messages that were published.

    Their ids are the ones that the messages carry in their `traceparent`, so that whoever consumes them goes on there.
    """
    # Written straight into OTLP's messages: the SDK's spans and encoder take five times as long, which is felt because
    # Python gives the event loop no other core.
    end = (record.time - _EPOCH) // _MICROSECOND * 1000
    start = max(0, end - round(record.seconds * 1e9))
    trace_id, own = bytes.fromhex(record.trace_id), bytes.fromhex(record.span_id)
    known: dict[str, Any] = {"flags": _OF_OURS}
    if record.parent_span_id:
        parent = bytes.fromhex(record.parent_span_id)
        # The conventions ask for the link also where the producer is the parent.
        link = {"trace_id": trace_id, "span_id": parent, "flags": _OF_THE_SENDER}
        known = {"parent_span_id": parent, "flags": _OF_THE_SENDER, "links": [link]}
    if record.outcome is Outcome.DEAD_LETTERED:
        known["status"] = {"code": Status.STATUS_CODE_ERROR, "message": _legal(f"{record.code}: {record.reason}")}
    yield Span(
        trace_id=trace_id,
        span_id=own,
        name=_legal(f"process {record.route}"),
        kind=Span.SPAN_KIND_CONSUMER,
        start_time_unix_nano=start,
        end_time_unix_nano=end,
        attributes=_pairs(_event(record, durable)),
        **known,
    )
    for target in record.targets:
        sent = start + round(target.after * 1e9)
        yield Span(
            trace_id=trace_id,
            span_id=bytes.fromhex(target.span_id),
            parent_span_id=own,
            flags=_OF_OURS,
            name=_legal(f"publish {target.name}"),
            kind=Span.SPAN_KIND_PRODUCER,
            start_time_unix_nano=sent,
            end_time_unix_nano=sent + round(target.seconds * 1e9),
            attributes=_pairs(_copy(target)),
        )


def _event(record: AuditRecord, durable: str) -> dict[str, str | int]:
    return {
        "messaging.system": "nats",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.name": record.subject,
        "messaging.consumer.group.name": durable,
        "messaging.message.id": record.event_id,
        "messaging.message.conversation_id": record.correlation_id,
        "error.type": record.code,
        "event_gateway.route": record.route,
        "event_gateway.outcome": record.outcome.value,
        "event_gateway.step": record.step,
        "event_gateway.reason": record.reason,
        "event_gateway.event.type": record.event_type,
        "event_gateway.event.source": record.event_source,
        "event_gateway.stream": record.stream,
        "event_gateway.sequence": record.sequence,
        "event_gateway.attempts": record.attempts,
        "event_gateway.deliveries": record.deliveries,
        "event_gateway.config": record.config,
    }


def _copy(target: Any) -> dict[str, str | int]:
    return {
        "messaging.system": "nats",
        "messaging.operation.name": "publish",
        "messaging.operation.type": "send",
        "messaging.destination.name": target.subject,
        "messaging.message.id": target.message_id,
        "event_gateway.target": target.name,
        "event_gateway.stream": target.stream,
        "event_gateway.sequence": target.sequence,
        "event_gateway.duplicate": target.duplicate,
        "event_gateway.tries": target.tries,
    }


def _pairs(attributes: Mapping[str, str | int]) -> Any:
    """Attributes as OTLP has them, in mappings that protobuf takes for messages; a text that is empty is left out."""
    return [{"key": name, "value": _value(value)} for name, value in attributes.items() if value != ""]


def _value(value: str | int) -> dict[str, Any]:
    if isinstance(value, str):
        return {"string_value": _legal(value)}
    return {"bool_value": value} if isinstance(value, bool) else {"int_value": value}


def _legal(text: str) -> str:
    """A text of an event may hold what has no UTF-8; protobuf would refuse the whole batch for it."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()
