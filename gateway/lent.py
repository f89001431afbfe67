"""What the gateway lends components, and tells life-cycle hooks: Protocols and frozen info objects, no code."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Protocol

import msgspec

from .errors import Reject, Retry
from .event import PubAck
from .records import Message, StoredMessage


class Changes(Protocol):
    """Changes of a bucket as they come: key, and the value or None for a deletion. Ends like `watch`, with Retry."""

    def __aiter__(self) -> Changes: ...
    async def __anext__(self) -> tuple[str, bytes | None]: ...

    async def aclose(self) -> None:
        """Watch no longer."""
        ...


class KeyValueBucket(Protocol):
    """A JetStream key-value bucket, as far as components need one."""

    async def get(self, key: str) -> bytes | None:
        """The newest value, or None when there is none."""
        ...

    async def put(self, key: str, value: bytes) -> int:
        """Store a value; returns its revision."""
        ...

    def watch(self, key: str = ">") -> AsyncIterator[tuple[str, bytes | None]]:
        """The present values and then every change; None is a deletion.

        Raises Retry when a change may have been missed, over a lost connection or a bucket that is gone: begin anew.
        """
        ...

    async def changes(self, key: str = ">") -> Changes:
        """Every change from now on; it is being watched when this returns."""
        ...


class Counter(Protocol):
    """A metric that only grows."""

    def inc(self, amount: float = 1) -> None: ...


class Gauge(Protocol):
    """A metric that goes up and down."""

    def set(self, value: float) -> None: ...


class Histogram(Protocol):
    """A metric that counts observations by size."""

    def observe(self, amount: float) -> None: ...


class Metrics(Protocol):
    """Metrics of a plugin; their names begin with `event_gateway_plugin_<plugin>_`.

    Ask for them in `prepare` or `open` and keep them. Label values come from the config or a closed list, never from
    events.
    """

    def counter(self, name: str, labels: Mapping[str, str] | None = None) -> Counter:
        """A metric that only grows: `inc(amount)`. Asked for twice, it is the same one."""
        ...

    def gauge(self, name: str, labels: Mapping[str, str] | None = None) -> Gauge:
        """A metric that goes up and down: `set(value)`."""
        ...

    def histogram(self, name: str, labels: Mapping[str, str] | None = None) -> Histogram:
        """A metric that counts observations by size: `observe(amount)`."""
        ...


class Context(Protocol):
    """What the gateway lends a component. The built-ins use nothing else."""

    @property
    def gateway(self) -> str:
        """The gateway's name."""
        ...

    @property
    def route(self) -> str:
        """The route's name; empty for a shared component."""
        ...

    @property
    def log(self) -> logging.Logger:
        """A logger that names plugin and route; give a warning its `event`: `extra={"event": "acme.stale"}`."""
        ...

    @property
    def settings(self) -> Any:
        """The plugin's own settings (`plugins.settings.<plugin>`), of the type its `gateway_settings` gave."""
        ...

    @property
    def metrics(self) -> Metrics:
        """Metrics under the plugin's own prefix."""
        ...

    async def kv(self, bucket: str) -> KeyValueBucket:
        """Open a key-value bucket that exists."""
        ...

    async def publish(self, subject: str, data: bytes, headers: Mapping[str, str] | None = None) -> PubAck:
        """Publish to a stream and wait for its word; raises Retry when none comes."""
        ...

    async def publish_all(self, messages: Sequence[Message], limit: float = 4.0) -> list[PubAck | Retry | Reject]:
        """Publish many at once and wait for a word on each, at most `limit` seconds. Answers in the same order.

        They are sent in order, and stored in that order unless the stream refuses some. A Retry says that a message is
        not stored (`stream-full`, `no-stream`, ...) or that nobody knows (`timeout`, `disconnected`); a Reject, that
        the stream will never take it as it is. Raises nothing for a message; ValueError for one that may not be sent.
        """
        ...

    def recent(self, subject: str, limit: int = 1000) -> AsyncIterator[StoredMessage]:
        """What a stream has stored under `subject`, the newest first, at most `limit` messages.

        Needs permission to read there. Raises Retry when it cannot be had now, or, with the code `no-stream`, when no
        stream takes the subject and, with `no-permission`, when reading is denied.
        """
        ...


class GatewayInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What life-cycle hooks are told of the gateway."""

    name: str
    instance: str
    """This process among those with one name."""
    version: str
    config: str
    """Digest of the config."""


class RouteInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What life-cycle hooks are told of a route."""

    gateway: str
    name: str
    description: str
    stream: str
    durable: str
    targets: tuple[str, ...]
