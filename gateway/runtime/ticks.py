"""Timers that fall together: an idle process is woken once for all of them, and a wake-up costs more than the work."""

from __future__ import annotations


def until_tick(now: float, period: float) -> float:
    """Seconds to the clock's next multiple of `period`, which is whole milliseconds; never 0.

    In whole milliseconds, as the event loop counts: a remainder of floats is just below `period` now and then, and the
    timer would fire twice.
    """
    every = round(period * 1000)
    return (every - round(now * 1000) % every) / 1000
