"""A lease: of several processes one may do something now, told by a key of a bucket.

No clock of two hosts is compared. Whoever waits takes a lease over that has not changed for LEASE seconds of its own
clock; whoever holds one may act for HOLD seconds of its own, counted from before it asked. So a crashed holder blocks
nobody for long, and a slow one has lost its right before anybody else has it.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from ..errors import Retry
from .bucket import Bucket

log = logging.getLogger("gateway.nats")

LEASE = 6.0
"""Seconds after which a lease that does not change is taken to be a crashed holder's."""
HOLD = 3.0
"""Seconds a holder may act; what it asks a server for in the end must be answered within LEASE - HOLD."""
LOOK = 0.1
"""Seconds between two looks at somebody else's lease, at first."""


class Lease:
    """A right to act, for a time."""

    def __init__(self, revision: int, since: float) -> None:
        self.revision = revision
        self._since = since
        self.kept = False
        """Whether what was asked for under it may still be done: then it is not given back, and runs out by itself."""

    @property
    def left(self) -> float:
        """Seconds it may be acted in; none any more when it is negative."""
        return self._since + HOLD - time.monotonic()


@asynccontextmanager
async def held(
    bucket: Bucket, key: str, holder: str, patience: float, before: Lease | None = None
) -> AsyncIterator[Lease | None]:
    """Hold the lease `key`, given back in the end; None when others had it for `patience` seconds. Raises Retry.

    One that was kept `before` is taken again at once, if nobody else has had it since.
    """
    lease = await _take(bucket, key, holder.encode(), patience, before)
    try:
        yield lease
    finally:
        if lease is not None and not lease.kept:
            await _give_back(bucket, key, lease)


async def _take(bucket: Bucket, key: str, holder: bytes, patience: float, before: Lease | None) -> Lease | None:
    began = since = time.monotonic()
    seen, pause = -1, LOOK
    while True:
        revision, value = await bucket.entry(key)
        now = time.monotonic()
        if revision != seen:
            seen, since = revision, now
        ours_still = before is not None and before.revision == revision
        if value is None or ours_still or now - since > LEASE:
            ours = await bucket.swap(key, holder, revision)
            if ours is not None:
                return Lease(ours, now)
        if now - began > patience:
            return None
        await asyncio.sleep(pause * (0.8 + 0.4 * random.random()))
        pause = min(2 * pause, 1.0)


async def _give_back(bucket: Bucket, key: str, lease: Lease) -> None:
    try:
        await bucket.swap(key, None, lease.revision)
    except Retry as error:
        # It runs out by itself.
        log.debug("a lease was not given back: %s", error.message, extra={"event": "lease.kept", "key": key})
