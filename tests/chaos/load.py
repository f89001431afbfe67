"""A steady load that outlives every fault: each event is published, with its id, until a stream has it."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable

from nats.aio.client import Client

from tests.support.publisher import Message, Publisher

_WINDOW = 2000
"""Events that may wait for their PubAck; in an outage the load stops there, and catches up afterwards."""


class Load:
    """Events 0, 1, 2, ... at a steady rate; what it has published is what the source must hold."""

    def __init__(self, publisher: Publisher, event: Callable[[int], Message], rate: float) -> None:
        self._publisher = publisher
        self._event = event
        self._rate = rate
        self._stop = asyncio.Event()
        self.sent = 0

    @property
    def stored(self) -> int:
        """How many a stream has acknowledged."""
        return self._publisher.stored

    async def run(self, settle: float) -> None:
        """Publish until told to stop; comes back when every event is stored, `settle` seconds later at most."""
        began = time.monotonic()
        while not self._stop.is_set():
            while self.sent < (time.monotonic() - began) * self._rate and not self._stop.is_set():
                await self._publisher.publish(*self._event(self.sent))
                self.sent += 1
            await asyncio.sleep(0.02)
        await self._publisher.settled(settle)

    async def reached(self, events: int, timeout: float) -> None:
        """Wait until so many are stored."""
        await self._publisher.reached(events, timeout)

    def stop(self) -> None:
        """Publish no more."""
        self._stop.set()


@contextlib.asynccontextmanager
async def steady(nc: Client, event: Callable[[int], Message], rate: float, settle: float = 90.0) -> AsyncIterator[Load]:
    """A load while the block runs; every event is stored when it is left."""
    async with Publisher(nc, window=_WINDOW) as publisher:
        load = Load(publisher, event, rate)
        async with asyncio.TaskGroup() as group:
            group.create_task(load.run(settle))
            yield load
            load.stop()
