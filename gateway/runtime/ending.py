"""Tasks that have to end."""

from __future__ import annotations

import asyncio
from typing import Any


async def ended(task: asyncio.Task[Any], again: float) -> None:
    """Cancel a task, every `again` seconds until it has ended, whatever it raises.

    Once may not do: up to Python 3.11 a cancellation is lost when what `asyncio.wait_for` waits for ends just then.
    """
    while not task.done():
        task.cancel()
        await asyncio.wait({task}, timeout=again)
