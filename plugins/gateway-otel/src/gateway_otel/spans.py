"""Audit records become spans: which ones, with which ids, attributes and links. Pure: no clock, no network.

Names are those of OpenTelemetry's conventions for messaging; what they have no word for is `event_gateway.*`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
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
        if record.trace_id and not record.sampled:
            return False
        if self._dead_letters and record.outcome is Outcome.DEAD_LETTERED:
            return True
        if record.trace_id:
            return int(record.trace_id[16:], 16) < self._traced
        return int.from_bytes(_own_ids(record)[8:16], "big") < self._begun


def _bound(ratio: float) -> int:
    return round(ratio * (1 << 64))


def _own_ids(record: AuditRecord) -> bytes:
    """Trace id and span id, 16 and 8 bytes, of an event that came without a trace; again the same when told again."""
    return hashlib.blake2b(record.id.encode(), digest_size=24).digest()


def request_of(
    records: Sequence[AuditRecord], resource: Mapping[str, str], durable_of: Callable[[AuditRecord], str]
) -> bytes:
    """One request with a span for each record. All of them are of one gateway process."""
    first = records[0]
    known = {**resource, "service.instance.id": first.instance, "event_gateway.name": first.gateway}
    spans = [span_of(record, durable_of(record)) for record in records]
    scope = {"scope": {"name": "gateway_otel"}, "spans": spans}
    # Protobuf takes mappings for messages, which its type stubs do not know.
    group: Any = {"resource": {"attributes": _pairs(known)}, "scope_spans": [scope]}
    data: bytes = ExportTraceServiceRequest(resource_spans=[group]).SerializeToString()
    return data


def span_of(record: AuditRecord, durable: str) -> Span:
    """The span of one event on one route. Its id is the one that the copies carry in their `traceparent`."""
    # Written straight into OTLP's messages: the SDK's spans and encoder take five times as long, which is felt because
    # Python gives the event loop no other core.
    end = (record.time - _EPOCH) // _MICROSECOND * 1000
    known: dict[str, Any] = {
        "name": _legal(f"process {record.route}"),
        "kind": Span.SPAN_KIND_CONSUMER,
        "start_time_unix_nano": max(0, end - round(record.seconds * 1e9)),
        "end_time_unix_nano": end,
        "attributes": _pairs(_attributes(record, durable)),
    }
    if record.outcome is Outcome.DEAD_LETTERED:
        known["status"] = {"code": Status.STATUS_CODE_ERROR, "message": _legal(f"{record.code}: {record.reason}")}
    if not record.trace_id:
        ids = _own_ids(record)
        return Span(trace_id=ids[:16], span_id=ids[16:], flags=_OF_OURS, **known)
    trace_id, parent = bytes.fromhex(record.trace_id), bytes.fromhex(record.parent_span_id)
    link: Any = {"trace_id": trace_id, "span_id": parent, "flags": _OF_THE_SENDER}
    return Span(
        trace_id=trace_id,
        span_id=bytes.fromhex(record.span_id),
        parent_span_id=parent,
        flags=_OF_THE_SENDER,
        # The conventions ask for the link also where the producer is the parent.
        links=[link],
        **known,
    )


def _attributes(record: AuditRecord, durable: str) -> dict[str, str | int | list[str]]:
    targets = [f"{target.name} {target.stream} {target.sequence} {target.subject}" for target in record.targets]
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
        "event_gateway.targets": targets,
    }


def _pairs(attributes: Mapping[str, str | int | list[str]]) -> list[dict[str, Any]]:
    """Attributes as OTLP has them; what is empty is not known and left out."""
    return [{"key": name, "value": _value(value)} for name, value in attributes.items() if value not in ("", [])]


def _value(value: str | int | list[str]) -> dict[str, Any]:
    if isinstance(value, str):
        return {"string_value": _legal(value)}
    if isinstance(value, int):
        return {"int_value": value}
    return {"array_value": {"values": [{"string_value": _legal(part)} for part in value]}}


def _legal(text: str) -> str:
    """A text of an event may hold what has no UTF-8; protobuf would refuse the whole batch for it."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()
