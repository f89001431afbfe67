"""What an event becomes on the wire: one copy per target and part, with subject, headers and bytes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ..errors import EventError
from ..event import Delivery, Encoded, Event, PubAck
from ..headers import MAX_BLOCK, Headers, block_of, header_line, name_is_safe, value_is_safe
from ..missing import MISSING
from ..subjects import subject_fault
from ..trace import span_of_message
from .route import CompiledRoute, CompiledTarget, MessageIds
from .run import Failed, one_line, where
from .traces import TraceLine, passed_on, trace_line

MAX_SUBJECT = 3072
"""Bytes of a subject: the server closes the connection over a control line of more than 4 KiB."""
_ID_LENGTH = 1024
_NONE: list[tuple[bytes, bytes]] = []
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_HOPS = re.compile(rb"\r\ngateway-hops:[ \t]*(\d{1,6})[ \t]*\r\n", re.IGNORECASE)


class Copy:
    """One message to one target, from first try to PubAck."""

    __slots__ = (
        "ack",
        "after",
        "awaiting",
        "code",
        "data",
        "deadline",
        "fault",
        "first_failed",
        "header_block",
        "message_id",
        "refused_at",
        "stored_at",
        "subject",
        "target",
        "tokens",
        "tries",
    )

    def __init__(
        self, target: CompiledTarget | None, subject: str, header_block: bytes, data: bytes, message_id: str
    ) -> None:
        self.target = target
        """None for a dead letter."""
        self.subject = subject
        self.header_block = header_block
        self.data = data
        self.message_id = message_id
        self.ack: PubAck | None = None
        self.code = ""
        """Set when it can never be stored; `fault` says why."""
        self.fault = ""
        self.after: Copy | None = None
        """The copy that waits for its fate, on an ordered route."""
        self.tokens: tuple[int, ...] = ()
        """Publishes of it that may still be answered."""
        self.awaiting = False
        """Written, and not yet answered."""
        self.deadline = 0.0
        """When the answer is overdue, or the pause over."""
        self.tries = 0
        self.first_failed = 0.0
        self.refused_at = 0.0
        self.stored_at = 0.0
        """When its stream acknowledged it, on a route with audits; 0 where this process did not see it."""

    @property
    def size(self) -> int:
        """Bytes that count against the server's max_payload."""
        return len(self.header_block) + len(self.data)

    @property
    def shown_subject(self) -> str:
        """What may be told of its subject: where that is made of the event, the template."""
        target = self.target
        return self.subject if target is None or target.constant else str(target.subject)

    @property
    def shown_size(self) -> str:
        """The same for people, who did not write most of the headers."""
        return f"{self.size} bytes, {len(self.header_block)} of them headers"

    @property
    def open(self) -> bool:
        """Whether it is neither stored nor given up."""
        return self.ack is None and not self.code

    def refuse(self, code: str, fault: str) -> None:
        """It can never be stored."""
        self.code = code
        self.fault = one_line(fault)


def hops_of(header_block: bytes) -> int:
    """How many gateways the event has passed; anything but a number counts as none."""
    found = _HOPS.search(header_block) if header_block else None
    return int(found[1]) if found else 0


def copies(
    route: CompiledRoute, ids: MessageIds, delivery: Delivery, source: Event, events: list[Event], max_payload: int
) -> list[Copy] | Failed:
    """One copy for each event and target; a copy that can never be published has its `code` set.

    `source` is the event as it came: correlation and causation are its. Failed when a transform broke the
    contract (two parts with one key) or a body cannot be encoded at all.
    """
    if len(events) > 1:
        keys = [event.key for event in events if event.key is not None]
        if len(keys) != len(set(keys)):
            return Failed("transforms", "transform-error", "two parts of a split have the same key")
    block = delivery.header_block
    came, trace = passed_on(block) if block else (_NONE, None)
    begun = None
    if route.begins is not None and trace is None:
        begun = trace = trace_line(ids.begin(delivery.sequence, route.begins))
    own = _own_lines(source, hops_of(block) + 1 if block else 1)
    targets = route.targets
    if route.redrive is not None:
        own += "".join(f"{name}: {value}\r\n" for name, value in route.redrive.marks(delivery.sequence).items())
        targets = tuple(target for target in targets if route.redrive.wants(target.name, delivery.sequence))
    made: list[Copy] = []
    for ordinal, event in enumerate(events):
        body: Encoded | Failed | None = None
        codec = None
        inherited = kept = came
        goes_on = trace
        unsafe: Failed | None = None
        if event.own_headers:
            try:
                inherited, goes_on = passed_on(_block_from(event.headers))
                # A trace that a transform took away stays away; one that begins here was none it could have seen.
                goes_on = goes_on or begun
            except EventError as error:
                unsafe = Failed("publish", error.code, error.message)
        for target in targets:
            if unsafe is not None:
                body = unsafe
            elif body is None or target.codec is not codec:
                body, anew = _encode(target, event, delivery)
                codec = target.codec
                kept = _without(inherited, target.owned) if anew and target.owned is not None else inherited
            message_id = ids.copy(target.name, delivery.sequence, ordinal, event.key)
            made.append(_copy(target, event, body, message_id, kept, goes_on, own, max_payload))
    return made


def _copy(
    target: CompiledTarget,
    event: Event,
    body: Encoded | Failed,
    message_id: str,
    inherited: list[tuple[bytes, bytes]],
    trace: TraceLine | None,
    own: str,
    max_payload: int,
) -> Copy:
    copy = Copy(target, "", b"", b"", message_id)
    if isinstance(body, Failed):
        copy.refuse(body.code, body.message)
        return copy
    try:
        subject = target.subject.constant
        copy.subject = _checked(target.subject.subject(event)) if subject is None else subject
        copy.header_block = _head(target, event, body, message_id, inherited, trace, own)
    except EventError as error:
        copy.refuse(error.code, error.message)
        return copy
    copy.data = body.data
    head = len(copy.header_block)
    if head + len(body.data) > max_payload:
        copy.refuse("too-large", f"{copy.size} bytes with headers, the server takes {max_payload}")
    elif head > MAX_BLOCK:
        copy.refuse("too-large", f"{head} bytes of headers, the server takes {MAX_BLOCK}")
    return copy


def _checked(subject: str) -> str:
    """Placeholders were checked one by one; together they can still be too long or begin like the server's own."""
    if len(subject) > MAX_SUBJECT // 4 and len(subject.encode("utf-8", "surrogatepass")) > MAX_SUBJECT:
        raise EventError("unsafe-subject", "the subject is longer than 3 KiB")
    if "\ud800" <= max(subject) <= "\udfff" or subject_fault(subject):
        raise EventError("unsafe-subject", "the subject is not legal")
    return subject


def _encode(target: CompiledTarget, event: Event, delivery: Delivery) -> tuple[Encoded | Failed, bool]:
    """The bytes of the body, and whether they are new: it keeps those it came in when nothing asks for others."""
    try:
        if target.same_codec and not event.changed and not (target.rewrites and target.rewrites(event.headers)):
            return Encoded(delivery.data), False
        encoded = target.encode(event.encodable if target.same_codec else event.body, event.headers)
    except EventError as error:
        return Failed("encode", error.code, one_line(error.message)), True
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 - a codec that cannot write this body must not stop the lane
        return Failed("encode", "encode-error", where(error)), True
    if (
        type(encoded) is not Encoded
        or type(encoded.data) is not bytes
        or (encoded.headers and not _are_texts(encoded.headers))
    ):
        return Failed("encode", "encode-error", "a codec answers Encoded with bytes and headers of texts"), True
    return encoded, True


def _are_texts(headers: object) -> bool:
    return isinstance(headers, Mapping) and all(
        isinstance(name, str) and isinstance(value, str) for name, value in headers.items()
    )


def _without(inherited: list[tuple[bytes, bytes]], owned: re.Pattern[bytes]) -> list[tuple[bytes, bytes]]:
    """The sender's headers but for those that were part of the body's old form."""
    return [line for line in inherited if not owned.fullmatch(line[0])]


def _head(
    target: CompiledTarget,
    event: Event,
    body: Encoded,
    message_id: str,
    inherited: list[tuple[bytes, bytes]],
    trace: TraceLine | None,
    own: str,
) -> bytes:
    """The header block of one copy: the sender's, the gateway's, the codec's, the target's, in this order."""
    # Older servers look for the first place a control header's name stands, so event data comes after them all.
    expected = "" if target.stream is None else f"Nats-Expected-Stream: {target.stream}\r\n"
    head = f"NATS/1.0\r\nNats-Msg-Id: {message_id}\r\n{expected}{own}"
    if not inherited and not target.rules and not body.headers and trace is None:
        return f"{head}\r\n".encode("utf-8", "surrogateescape")
    replaced = {rule.lower for rule in target.rules} | {_lower(name) for name in body.headers}
    made = [line for name, line in inherited if name not in replaced]
    if trace is not None and b"traceparent" not in replaced:
        before, after = trace
        made.append(before + span_of_message(message_id).encode() + after)
    taken = {rule.lower for rule in target.rules}
    made += [_safe_line(name, value) for name, value in body.headers.items() if _lower(name) not in taken]
    for rule in target.rules:
        value = None if rule.template is None else rule.template.header(event)
        if value is not None:
            made.append(header_line(rule.name, value))
    return b"".join((head.encode("utf-8", "surrogateescape"), *made, b"\r\n"))


def _block_from(headers: Headers) -> bytes:
    return block_of([_safe_line(name, value) for name, value in headers.items()])


def _lower(name: str) -> bytes:
    return name.lower().encode("utf-8", "surrogatepass")


def _safe_line(name: str, value: str) -> bytes:
    """A header a component made, perhaps of event data: it must not end its line and begin another."""
    if not name_is_safe(name) or not value_is_safe(value):
        raise EventError("unsafe-header", "a component made a header whose name or value is not legal")
    try:
        return header_line(name, value)
    except UnicodeEncodeError:
        raise EventError("unsafe-header", "a component made a header that is no text") from None


def _own_lines(source: Event, hops: int) -> str:
    """The gateway's own headers, the same on every copy of an event."""
    own_id = source.id
    identity = _header_id(own_id)
    known = source.correlation_id
    correlation = identity if known is own_id else _header_id(known)
    return f"Gateway-Hops: {hops}\r\nGateway-Correlation-Id: {correlation}\r\nGateway-Causation-Id: {identity}\r\n"


def _header_id(text: Any) -> str:
    """An id as a header value: event data, so without line ends and of bounded length."""
    line = text if isinstance(text, str) else ("" if text is MISSING else str(text))
    if not line.isprintable() or not line.isascii():
        line = _CONTROL.sub("_", line).encode("utf-8", "replace").decode()
    return line[:_ID_LENGTH]
