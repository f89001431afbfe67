"""Clients that were moved away from: one that is connected stays until the answers under way are there."""

from __future__ import annotations

import asyncio
import contextlib
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
        """Close a client: in a while if it is connected, and at once if it is not, or no more."""
        wire.given_up = True
        # A loss is the end of it. It would go on to sign in as nobody wants it to, and be refused.
        wire.options["allow_reconnect"] = False
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
            if wire.is_connected:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(wire.ended.wait(), GRACE)
        finally:
            await close(wire)


async def close(wire: Wire) -> None:
    """Close a client for good; one that does not do so in time is let go."""
    try:
        await asyncio.wait_for(wire.close(), CLOSES_IN)
    except (TimeoutError, nats.errors.Error, OSError) as error:
        log.warning("connection did not close cleanly: %s", error, extra={"event": "nats.close-failed"})
