"""Events as steps see them: immutable, decoded as far as they are read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from .delivery import Delivery, Meta, Origin
from .errors import EventError
from .headers import NO_HEADERS, Headers
from .missing import MISSING
from .paths import Path, cut, path_of, put, walk
from .records import Attributes, AuditRecord, Drop, Encoded, Outcome, PubAck, TargetRecord

__all__ = [
    "Attributes",
    "AuditRecord",
    "Delivery",
    "Drop",
    "Encoded",
    "Event",
    "Meta",
    "Origin",
    "Outcome",
    "PubAck",
    "Reader",
    "TargetRecord",
]


class Reader:
    """Turns bytes into a body, as far as somebody asks. A route makes one from its codec.

    `peek` decodes only `keys` of an object, `split` every key but leaves the values raw; both are None for a codec
    that can only decode as a whole. All of them raise DecodeError, and `peek` and `split` return MISSING for a body
    that is no object.
    """

    __slots__ = ("attributes", "decode", "keys", "leaf", "peek", "split")

    def __init__(
        self,
        decode: Callable[[bytes, Headers, str], Any],
        attributes: Callable[[Any, Headers], Attributes],
        *,
        keys: frozenset[str] = frozenset(),
        peek: Callable[[bytes], Any] | None = None,
        split: Callable[[bytes], Any] | None = None,
        leaf: Callable[[msgspec.Raw], Any] | None = None,
    ) -> None:
        self.decode = decode
        self.attributes = attributes
        self.keys = keys
        self.peek = peek
        self.split = split
        self.leaf = leaf


class Event:
    """One event, immutable: `set`, `delete` and `replace` give new ones that share what they do not touch.

    The body is decoded as far as it is read. Reading may therefore raise DecodeError; the route turns that into
    `decode-error`.
    """

    __slots__ = (
        "_attributes",
        "_body",
        "_changed",
        "_delivery",
        "_headers",
        "_key",
        "_meta",
        "_own_headers",
        "_peeked",
        "_reader",
        "_subject",
    )

    def __init__(self, reader: Reader, delivery: Delivery, meta: Meta) -> None:
        """Open a delivery; decodes what the route declared, raises DecodeError."""
        self._reader = reader
        self._delivery = delivery
        self._meta = meta
        self._subject = delivery.subject
        self._key: str | None = None
        self._headers: Headers | None = None
        self._own_headers = False
        self._attributes: Attributes | None = None
        self._changed = False
        self._body: Any = MISSING
        self._peeked: Any = MISSING
        if reader.peek is not None:
            self._peeked = reader.peek(delivery.data)
        if self._peeked is MISSING:
            self._body = reader.decode(delivery.data, self.headers, delivery.subject)

    @property
    def subject(self) -> str:
        """The subject it was stored under, or the one a transform gave it."""
        return self._subject

    @property
    def headers(self) -> Headers:
        """The sender's headers, or those a transform gave it: case-insensitive, one value a name."""
        if self._headers is None:
            block = self._delivery.header_block
            self._headers = Headers.parse(block) if block else NO_HEADERS
        return self._headers

    @property
    def key(self) -> str | None:
        """What tells the copies of a split apart in message ids, when a transform set it."""
        return self._key

    @property
    def meta(self) -> Meta:
        """Where it came from; does not change on the way."""
        return self._meta

    @property
    def body(self) -> Any:
        """The whole decoded body as plain data. Not to be changed in place: use `set`, `delete`, `replace`."""
        body = self._load()
        if type(body) is dict and self._reader.leaf is not None:
            leaf = self._reader.leaf
            for key, value in body.items():
                if type(value) is msgspec.Raw:
                    body[key] = leaf(value)
        return body

    @property
    def view(self) -> Any:
        """The body with at least the keys the route's steps declared decoded; others are missing or raw.

        For built-in filters and codecs, which read only what they declared.
        """
        if self._peeked is not MISSING:
            return self._peeked
        body, reader = self._body, self._reader
        if reader.leaf is not None and type(body) is dict:
            for key in reader.keys:
                value = body.get(key)
                if type(value) is msgspec.Raw:
                    body[key] = reader.leaf(value)
        return body

    @property
    def encodable(self) -> Any:
        """The body for the codec it came in: values nobody read may still be raw."""
        return self._load()

    @property
    def changed(self) -> bool:
        """Whether a transform gave it another body."""
        return self._changed

    @property
    def own_headers(self) -> bool:
        """Whether a transform gave it other headers."""
        return self._own_headers

    def _load(self) -> Any:
        """Make `_body` complete: raw values where the codec can split, else the whole body decoded."""
        if self._body is MISSING:
            reader, data = self._reader, self._delivery.data
            body = MISSING if reader.split is None else reader.split(data)
            if body is MISSING:
                body = reader.decode(data, self.headers, self._delivery.subject)
            else:
                body.update(self._peeked)
            self._body = body
        return self._body

    def top(self, key: str) -> Any:
        """The value at a top-level `key`, or MISSING; decodes no more than that."""
        if self._body is MISSING and key in self._reader.keys:
            return self._peeked.get(key, MISSING)
        body = self._load()
        if type(body) is not dict:
            return walk(body, (key,))
        value = body.get(key, MISSING)
        if type(value) is msgspec.Raw and self._reader.leaf is not None:
            value = body[key] = self._reader.leaf(value)
        return value

    def get(self, path: str | Path, default: Any = None) -> Any:
        """The value at `path`, or `default`; give MISSING as default to tell absent from null."""
        value = (path_of(path) if isinstance(path, str) else path).read(self)
        return default if value is MISSING else value

    def set(self, path: str | Path, value: Any) -> Event:
        """A new event with `value` at `path`; missing objects are made, list items never (EventError)."""
        steps = self._writable(path)
        return self.with_body(put(self._open(steps), steps, value))

    def delete(self, path: str | Path) -> Event:
        """A new event without what is at `path`; this one when nothing is there."""
        steps = self._writable(path)
        body = self._open(steps)
        shorter = cut(body, steps)
        return self if shorter is body else self.with_body(shorter)

    def replace(
        self,
        *,
        body: Any = MISSING,
        subject: str | None = None,
        headers: Mapping[str, str] | None = None,
        key: str | None = None,
    ) -> Event:
        """A new event with the parts given; the others are this one's. TypeError for what is no text."""
        texts = [text for text in (subject, key) if text is not None]
        for text in texts if headers is None else (*texts, *headers, *headers.values()):
            if not isinstance(text, str):
                raise TypeError(f"subject, key and headers are texts, not {type(text).__name__}")
        event = self._copy() if body is MISSING else self.with_body(body)
        if subject is not None:
            event._subject = subject
        if headers is not None:
            event._headers = Headers(headers)
            event._own_headers = True
            event._attributes = None
        if key is not None:
            event._key = key
        return event

    @property
    def id(self) -> str:
        """The codec's id, else the `Nats-Msg-Id` it came with, else `<stream>:<sequence>`."""
        known = (self._attributes or self.attributes).id
        if known is not None:
            return known
        if self._delivery.header_block:
            message_id = self.headers.get("Nats-Msg-Id")
            if message_id:
                return message_id
        return f"{self._meta.stream}:{self._meta.sequence}"

    @property
    def type(self) -> str | None:
        """What kind of event it is, such as `OrderCreated`."""
        return self.attributes.type

    @property
    def source(self) -> str | None:
        """Who sent it, such as `com.shop.orders`."""
        return self.attributes.source

    @property
    def time(self) -> datetime | None:
        """When it happened, by its sender's clock; None without a readable time. Aware: UTC where no zone is given."""
        time = self.attributes.time
        if isinstance(time, str):
            try:
                time = datetime.fromisoformat(time)
            except ValueError:
                return None
        if time is not None and time.tzinfo is None:
            return time.replace(tzinfo=UTC)
        return time

    @property
    def time_text(self) -> str | None:
        """The time as text: the sender's own, or RFC 3339."""
        time = self.attributes.time
        return time.isoformat().replace("+00:00", "Z") if isinstance(time, datetime) else time

    @property
    def correlation_id(self) -> str:
        """The incoming `Gateway-Correlation-Id`, else the codec's correlation id, else the event's id."""
        if self._delivery.header_block or self._own_headers:
            kept = self.headers.get("Gateway-Correlation-Id")
            if kept:
                return kept
        return (self._attributes or self.attributes).correlation_id or self.id

    @property
    def attributes(self) -> Attributes:
        """The codec's attributes of the event as it is now."""
        if self._attributes is None:
            self._attributes = self._reader.attributes(self.view, self.headers)
        return self._attributes

    def _writable(self, path: str | Path) -> tuple[str, ...]:
        steps = (path_of(path) if isinstance(path, str) else path).steps
        if not steps:
            raise EventError("transform-error", f"{path} is read-only")
        return steps

    def _open(self, steps: tuple[str, ...]) -> Any:
        """The body with what `steps` lead through decoded; a value to be replaced as a whole may stay raw."""
        if len(steps) > 1:
            self.top(steps[0])
        return self._load()

    def _copy(self) -> Event:
        event = object.__new__(Event)
        event._reader = self._reader
        event._delivery = self._delivery
        event._meta = self._meta
        event._subject = self._subject
        event._key = self._key
        event._headers = self._headers
        event._own_headers = self._own_headers
        event._attributes = self._attributes
        event._changed = self._changed
        event._body = self._body
        event._peeked = self._peeked
        return event

    def with_body(self, body: Any) -> Event:
        """A new event with another body: `replace(body=...)` for those who do it for every event."""
        event = object.__new__(Event)
        event._reader = self._reader
        event._delivery = self._delivery
        event._meta = self._meta
        event._subject = self._subject
        event._key = self._key
        event._headers = self._headers
        event._own_headers = self._own_headers
        event._attributes = None
        event._changed = True
        event._body = body
        event._peeked = MISSING
        return event

    def __repr__(self) -> str:
        """Identity only: a body in a log would be a leak."""
        return f"Event({self._meta.stream}:{self._meta.sequence} on {self._meta.route})"
