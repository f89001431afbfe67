"""Clients that were moved away from: each stays until the answers under way are there, and is closed then."""

from __future__ import annotations

import asyncio
import logging

import nats.errors

from .wire import Wire

log = logging.getLogger("gateway.nats")

GRACE = 2.0
"""Seconds a client stays that we moved away from: requests under way have their answers by it."""
CLOSES_IN = 3.0
"""Seconds a client may take to close."""


class Partings:
    """The clients of one connection that are on their way out."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._tasks)

    def add(self, wire: Wire) -> None:
        """Close a client in a while."""
        task = asyncio.get_running_loop().create_task(self._part(wire))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def hurry(self) -> None:
        """Close all of them now."""
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(set(self._tasks))

    @staticmethod
    async def _part(wire: Wire) -> None:
        try:
            await asyncio.sleep(GRACE)
        finally:
            await close(wire)


async def close(wire: Wire) -> None:
    """Close a client for good; one that does not do so in time is let go."""
    try:
        await asyncio.wait_for(wire.close(), CLOSES_IN)
    except (TimeoutError, nats.errors.Error, OSError) as error:
        log.warning("connection did not close cleanly: %s", error, extra={"event": "nats.close-failed"})
