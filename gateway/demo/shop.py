"""The demo's shop: publishes orders at a steady rate and counts what the server has stored."""

from __future__ import annotations

import asyncio
import time

from ..config.model import Nats
from ..errors import GatewayError, Retry
from ..jetstream.api import ApiError, ApiUnavailable, JetStreamApi
from ..jetstream.connection import Connection
from ..jetstream.context import JetStreamContext, Services
from ..routing.offline import NullMetrics
from .orders import Message, shop

_TICK = 0.02
"""Seconds between two batches: shorter than anyone sees, long enough to publish some at once."""
_AT_ONCE = 200
_SUBJECT = "orders.created"
_STREAM = 10.0
"""Seconds the gateway may take to make the streams its config declares."""


class Shop:
    """A producer with a connection of its own, as a real one would be."""

    def __init__(self, url: str) -> None:
        self.sent = 0
        """Messages the stream has acknowledged."""
        self._connection = Connection(Nats(servers=[url]), "demo shop")
        self._api = JetStreamApi(self._connection)
        services = Services(self._api, "_INBOX")
        self._context = JetStreamContext(services, "demo", "shop", "demo", None, NullMetrics())
        self._orders = shop()

    async def open(self) -> None:
        """Connect, and wait until a stream takes orders; raises GatewayError when none does."""
        there = asyncio.Event()
        self._connection.changed.append(lambda connected: there.set() if connected else None)
        self._connection.start()
        await there.wait()
        deadline = time.monotonic() + _STREAM
        while not await self._api.takers(_SUBJECT):
            if time.monotonic() > deadline:
                raise GatewayError(f"no stream takes {_SUBJECT}, where the demo's shop publishes: declare one")
            await asyncio.sleep(_TICK)

    async def close(self) -> None:
        """Disconnect."""
        await self._connection.close()

    async def publish(self, rate: float, stop: asyncio.Event) -> None:
        """Publish `rate` orders a second until `stop`; one that cannot keep up publishes as fast as it can."""
        start = time.monotonic()
        begun = 0
        while not stop.is_set():
            due = min(int((time.monotonic() - start) * rate) - begun, _AT_ONCE)
            begun += due
            self.sent += sum(await asyncio.gather(*(self._stored(next(self._orders)) for _ in range(due))))
            await asyncio.sleep(_TICK)

    async def waiting(self, stream: str, durable: str) -> int:
        """How many messages of `stream` nobody has settled for the durable; 0 when that cannot be known."""
        try:
            info = await self._api.request(f"CONSUMER.INFO.{stream}.{durable}")
        except (ApiError, ApiUnavailable):
            return 0
        return int(info["num_pending"]) + int(info["num_ack_pending"])

    async def _stored(self, message: Message) -> bool:
        try:
            await self._context.publish(message.subject, message.data)
        except Retry:
            return False
        return True
