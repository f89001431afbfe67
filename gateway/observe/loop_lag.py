"""How late the event loop is: a timer that is late was held up by something that blocks."""

from __future__ import annotations

import asyncio

from ..runtime.stats import GatewayStats

INTERVAL = 0.5
"""Seconds between two looks."""


async def watch(stats: GatewayStats, interval: float = INTERVAL) -> None:
    """Ask to be woken every `interval` seconds and record by how much that was late; runs until cancelled."""
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + interval
        await asyncio.sleep(interval)
        stats.loop_lag.observe(max(0.0, loop.time() - due))
