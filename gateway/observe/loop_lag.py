"""How late the event loop is: a timer that is late was held up by something that blocks."""

from __future__ import annotations

import asyncio

from ..runtime.stats import GatewayStats
from ..runtime.ticks import until_tick

INTERVAL = 0.5
"""Seconds between two looks."""


async def watch(stats: GatewayStats, interval: float = INTERVAL) -> None:
    """Ask to be woken every `interval` seconds and record by how much that was late; runs until cancelled."""
    loop = asyncio.get_running_loop()
    while True:
        now = loop.time()
        due = now + until_tick(now, interval)
        await asyncio.sleep(due - now)
        stats.loop_lag.observe(max(0.0, loop.time() - due))
