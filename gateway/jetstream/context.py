"""What components may do with JetStream: publish and wait, read back, open key-value buckets."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import nats.errors

from ..errors import Reject, Retry
from ..event import PubAck
from ..lent import KeyValueBucket, Metrics
from ..records import Message, StoredMessage
from ..subjects import MAX_SUBJECT, subject_fault
from .api import JetStreamApi
from .batches import Batches
from .bucket import Bucket
from .reader import StreamReader


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

        The server closes the connection, which is every route's, over an illegal subject or too many bytes.
        """
        fault = subject_fault(subject)
        if fault is not None:
            raise ValueError(f"not to be published to: {fault}")
        size = len(data) + sum(len(name) + len(value.encode()) + 4 for name, value in (headers or {}).items()) + 12
        limit = self._connection.wire.max_payload
        if size > limit or len(subject.encode()) > MAX_SUBJECT:
            raise ValueError(f"{size} bytes with headers under a subject of {len(subject)}: the server takes {limit}")
        try:
            ack = await self._connection.wire.jetstream().publish(
                subject, data, headers=dict(headers) if headers else None
            )
        except (nats.errors.Error, TimeoutError, OSError) as error:
            raise Retry(f"publish to {subject}: {error or type(error).__name__}") from error
        return PubAck(ack.stream, ack.seq, bool(ack.duplicate))

    async def publish_all(self, messages: Sequence[Message], limit: float = 4.0) -> list[PubAck | Retry | Reject]:
        """Publish many at once, in order; a word on each, or the reason why there is none."""
        return await self._services.batches.publish(messages, limit)

    def recent(self, subject: str, limit: int = 1000) -> AsyncIterator[StoredMessage]:
        """What a stream has stored under `subject`, the newest first; raises Retry."""
        return self._services.reader.recent(subject, limit)
