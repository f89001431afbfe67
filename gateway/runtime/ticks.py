"""Timers that fall together: an idle process is woken once for all of them, and a wake-up costs more than the work."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

OFTEN = 0.1
"""Seconds between two ticks while anything is under way."""
SELDOM = 0.5
"""Seconds between two ticks while every route only waits for events."""


def until_tick(now: float, period: float) -> float:
    """Seconds to the clock's next multiple of `period`, which is whole milliseconds; never 0.

    In whole milliseconds, as the event loop counts: a remainder of floats is just below `period` now and then, and the
    timer would fire twice.
    """
    every = round(period * 1000)
    return (every - round(now * 1000) % every) / 1000


class Pace:
    """The ticks of what looks after the gateway: seldom while it is calm, and often again with the first event."""

    def __init__(self) -> None:
        self.calm = False
        """Whether every route only waits for events."""
        self.stirred: list[Callable[[], None]] = []
        """Called when that ends, before the event that ends it is worked on."""
        self._waiting: set[asyncio.Future[None]] = set()

    def rest(self) -> None:
        """Nothing is under way."""
        self.calm = True

    def stir(self) -> None:
        """Something is."""
        if not self.calm:
            return
        self.calm = False
        for tell in self.stirred:
            tell()
        for waiting in self._waiting:
            _end(waiting)

    async def tick(self) -> None:
        """Wait for the next tick."""
        loop = asyncio.get_running_loop()
        if self.calm:
            waiting = loop.create_future()
            timer = loop.call_later(until_tick(loop.time(), SELDOM), _end, waiting)
            self._waiting.add(waiting)
            try:
                await waiting
            finally:
                timer.cancel()
                self._waiting.discard(waiting)
            if self.calm:
                return
        await asyncio.sleep(until_tick(loop.time(), OFTEN))


def _end(waiting: asyncio.Future[None]) -> None:
    if not waiting.done():
        waiting.set_result(None)
