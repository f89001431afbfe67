"""What the gateway says of an event: its outcome, a stream's word, a codec's attributes, the audit record."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum

import msgspec


class Outcome(StrEnum):
    """What became of an event on a route; the same words in metrics, logs and audit."""

    PUBLISHED = "published"
    """Every target stream acknowledged its copy."""
    FILTERED = "filtered"
    """A filter decided against it."""
    DROPPED = "dropped"
    """A transform dropped it."""
    DEAD_LETTERED = "dead_lettered"
    """It is in the dead-letter stream."""


class Drop:
    """Returned by a transform: this event ends here, as intended, for `reason` (one line, no event data)."""

    __slots__ = ("reason",)

    def __init__(self, reason: str = "") -> None:
        self.reason = reason

    def __repr__(self) -> str:
        return f"Drop({self.reason!r})"


class Attributes(msgspec.Struct, frozen=True, gc=False):
    """What a codec knows of an event beside its body; None where it does not say."""

    id: str | None = None
    type: str | None = None
    source: str | None = None
    time: datetime | str | None = None
    """A text is RFC 3339; it is parsed when somebody asks for `event.time`."""
    correlation_id: str | None = None


class Encoded(msgspec.Struct, frozen=True, gc=False):
    """What a codec makes of a body: the bytes to publish and the headers to add."""

    data: bytes
    headers: Mapping[str, str] = {}


class PubAck(msgspec.Struct, frozen=True, gc=False):
    """A stream's word that it stored a message."""

    stream: str
    seq: int
    duplicate: bool = False


class Message(msgspec.Struct, frozen=True, gc=False):
    """What a component has the gateway publish."""

    subject: str
    data: bytes
    headers: Mapping[str, str] = {}


class StoredMessage(msgspec.Struct, frozen=True, gc=False):
    """A message as a stream holds it."""

    stream: str
    sequence: int
    subject: str
    data: bytes
    header_block: bytes = b""
    stored_ns: int = 0
    """When the stream stored it, ns since the epoch."""


class TargetRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One copy in an audit record: where it went and what the stream said."""

    name: str
    subject: str = ""
    stream: str = ""
    sequence: int = 0
    duplicate: bool = False
    message_id: str = ""
    tries: int = 0
    """Failed tries before the one that the stream acknowledged."""
    after: float = 0.0
    """Seconds from the event's receipt to that try; 0, as `seconds`, where an earlier delivery had the copy stored."""
    seconds: float = 0.0
    """Seconds until the stream acknowledged it."""
    span_id: str = ""
    """The span in which it was published, below the event's: its `traceparent` names it. Empty without a trace."""


class AuditRecord(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What became of one event on one route. Never holds the body."""

    id: str
    """`gateway/stream/creation time/sequence/route`: the same again when the event is told again after a crash."""
    time: datetime
    gateway: str
    instance: str
    route: str
    outcome: Outcome
    step: str = ""
    code: str = ""
    reason: str = ""
    event_id: str = ""
    event_type: str = ""
    event_source: str = ""
    subject: str = ""
    stream: str = ""
    sequence: int = 0
    targets: tuple[TargetRecord, ...] = ()
    attempts: int = 1
    deliveries: int = 1
    seconds: float = 0.0
    correlation_id: str = ""
    causation_id: str = ""
    trace_id: str = ""
    """From the `traceparent` the event came with, or of the trace that begins here where an audit makes spans; like the
    next three empty or false without one.
    """
    span_id: str = ""
    """The span of this event on this route; those of its copies (`targets`) are below it."""
    parent_span_id: str = ""
    """The sender's span, or for a redrive the one in which the letter was published; empty where the trace begins."""
    sampled: bool = False
    """Whether whoever began the trace had it recorded."""
    config: str = ""
    plugins: dict[str, str] = {}
