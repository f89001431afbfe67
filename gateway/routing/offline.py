"""The context of components that are compiled without a server: by `gateway check` and in tests of a route."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any

from ..config import model
from ..errors import Reject, Retry
from ..event import PubAck
from ..lent import Counter, Gauge, Histogram, KeyValueBucket
from ..records import Message, StoredMessage


class NullMetrics:
    """Metrics nobody reads."""

    def counter(self, name: str, labels: Mapping[str, str] | None = None) -> Counter:
        """A counter that counts nothing."""
        return _Null()

    def gauge(self, name: str, labels: Mapping[str, str] | None = None) -> Gauge:
        """A gauge that shows nothing."""
        return _Null()

    def histogram(self, name: str, labels: Mapping[str, str] | None = None) -> Histogram:
        """A histogram that keeps nothing."""
        return _Null()


class _Null:
    def inc(self, amount: float = 1) -> None: ...

    def set(self, value: float) -> None: ...

    def observe(self, amount: float) -> None: ...


class OfflineContext:
    """A context without a server: publishing and buckets ask for another try, since there is nobody to serve them."""

    def __init__(self, gateway: str, route: str, plugin: str, settings: Any) -> None:
        self.gateway = gateway
        self.route = route
        self.log = logging.getLogger(f"gateway.plugin.{plugin}")
        self.settings = settings
        self.metrics = NullMetrics()

    async def kv(self, bucket: str) -> KeyValueBucket:
        """There is no bucket without a server."""
        raise Retry(f"no server to open the bucket {bucket!r} on")

    async def publish(self, subject: str, data: bytes, headers: Mapping[str, str] | None = None) -> PubAck:
        """There is nobody to publish to."""
        raise Retry("no server to publish to")

    async def publish_all(self, messages: Sequence[Message], limit: float = 4.0) -> list[PubAck | Retry | Reject]:
        """There is nobody to publish to."""
        return [Retry("no server to publish to", code="disconnected") for _ in messages]

    async def recent(self, subject: str, limit: int = 1000) -> AsyncIterator[StoredMessage]:
        """There is nothing to read."""
        raise Retry("no server to read from", code="disconnected")
        yield  # a generator, like the real one


def offline_contexts(config: model.Config) -> Callable[[str, str], OfflineContext]:
    """Makes contexts for compiling without a server."""

    def make(plugin: str, route: str) -> OfflineContext:
        return OfflineContext(config.name, route, plugin, config.plugins.settings.get(plugin))

    return make
