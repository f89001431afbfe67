"""Records as columns of one INSERT. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from gateway import AuditRecord

from .schema import TABLE

MAX_KEY = 512
"""Characters of an id or name that are kept: an index row of PostgreSQL ends at 2.7 KB, and ids are event data."""

_encode = msgspec.json.Encoder().encode


def text(value: str) -> str:
    """A text as PostgreSQL takes it: neither NUL nor half a surrogate pair, or the batch would never be stored."""
    if value.isascii() and "\0" not in value:
        return value
    return value.replace("\0", "\ufffd").encode("utf-8", "replace").decode()


def _key(value: str) -> str:
    return text(value)[:MAX_KEY]


def _json(value: Any) -> str:
    """JSON without the escape for NUL, which jsonb refuses."""
    return text(_encode(_clean(msgspec.to_builtins(value))).decode())


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return text(value)
    if isinstance(value, dict):
        return {text(name): _clean(inner) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_clean(inner) for inner in value]
    return value


COLUMNS: dict[str, tuple[str, Callable[[AuditRecord], Any]]] = {
    "id": ("text", lambda record: text(record.id)),
    "time": ("timestamptz", lambda record: record.time),
    "gateway": ("text", lambda record: record.gateway),
    "instance": ("text", lambda record: text(record.instance)),
    "route": ("text", lambda record: record.route),
    "outcome": ("text", lambda record: record.outcome.value),
    "step": ("text", lambda record: text(record.step)),
    "code": ("text", lambda record: text(record.code)),
    "reason": ("text", lambda record: text(record.reason)),
    "event_id": ("text", lambda record: _key(record.event_id)),
    "event_type": ("text", lambda record: _key(record.event_type)),
    "event_source": ("text", lambda record: _key(record.event_source)),
    "subject": ("text", lambda record: text(record.subject)),
    "stream": ("text", lambda record: text(record.stream)),
    "sequence": ("bigint", lambda record: record.sequence),
    "targets": ("jsonb", lambda record: _json(record.targets)),
    "attempts": ("bigint", lambda record: record.attempts),
    "deliveries": ("bigint", lambda record: record.deliveries),
    "seconds": ("float8", lambda record: record.seconds),
    "correlation_id": ("text", lambda record: _key(record.correlation_id)),
    "causation_id": ("text", lambda record: _key(record.causation_id)),
    "trace_id": ("text", lambda record: record.trace_id),
    "span_id": ("text", lambda record: record.span_id),
    "parent_span_id": ("text", lambda record: record.parent_span_id),
    "config": ("text", lambda record: record.config),
    "plugins": ("jsonb", lambda record: _json(record.plugins)),
}
"""Column, its type, and its value of a record, in the order of the statement's arguments."""

# One statement, so one transaction and one flush of the log, for a whole batch; the arrays are sent in binary.
INSERT = (
    f"INSERT INTO {TABLE} ({', '.join(COLUMNS)}) "  # noqa: S608 - names of this file
    f"SELECT * FROM unnest({', '.join(f'${n}::{kind}[]' for n, (kind, _) in enumerate(COLUMNS.values(), 1))}) "
    "ON CONFLICT (id) DO NOTHING"
)


def arguments(records: Sequence[AuditRecord]) -> list[list[Any]]:
    """One array per column."""
    return [[value(record) for record in records] for _, value in COLUMNS.values()]
