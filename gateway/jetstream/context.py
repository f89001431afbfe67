"""What components may do with JetStream: publish and wait, read back, open key-value buckets."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from ..errors import Reject, Retry
from ..event import PubAck
from ..lent import KeyValueBucket, Metrics
from ..records import Message, StoredMessage
from .api import JetStreamApi
from .batches import Batches
from .bucket import Bucket
from .reader import StreamReader

PATIENCE = 5.0
"""Seconds one publish waits for its stream's word."""


class Services:
    """What all contexts of a process share: the API, publishing in batches, reading back."""

    def __init__(self, api: JetStreamApi, inbox_prefix: str) -> None:
        self.api = api
        self.batches = Batches(api.connection, inbox_prefix)
        self.reader = StreamReader(api, inbox_prefix)


class JetStreamContext:
    """The context of one component of one route."""

    def __init__(
        self, services: Services, gateway: str, route: str, plugin: str, settings: Any, metrics: Metrics
    ) -> None:
        self._services = services
        self._connection = services.api.connection
        self.gateway = gateway
        self.route = route
        self.settings = settings
        self.metrics = metrics
        self.log = logging.getLogger(f"gateway.plugin.{plugin}.{route}".rstrip("."))

    async def kv(self, bucket: str) -> KeyValueBucket:
        """Open a bucket that exists; raises Retry when it cannot be had now, ValueError for an illegal name."""
        return await Bucket.open(self._services.api, bucket)

    async def publish(self, subject: str, data: bytes, headers: Mapping[str, str] | None = None) -> PubAck:
        """Publish and wait for the stream's word; raises Retry when none comes, ValueError for what may not be sent.

        The server closes the connection, which is every route's, over an illegal subject or too many bytes; a header
        that ends its line would begin another one, which may be the server's own.
        """
        (word,) = await self._services.batches.publish([Message(subject, data, headers or {})], PATIENCE)
        if not isinstance(word, PubAck):
            raise Retry(f"publish to {subject}: {word.message}")
        return word

    async def publish_all(self, messages: Sequence[Message], limit: float = 4.0) -> list[PubAck | Retry | Reject]:
        """Publish many at once, in order; a word on each, or the reason why there is none."""
        return await self._services.batches.publish(messages, limit)

    def recent(self, subject: str, limit: int = 1000) -> AsyncIterator[StoredMessage]:
        """What a stream has stored under `subject`, the newest first; raises Retry."""
        return self._services.reader.recent(subject, limit)
