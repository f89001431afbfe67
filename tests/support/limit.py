"""A test that never ends would take the report of all others with it: it fails after LIMIT, and says what it waits for.

There is a timer of the process for it, whose signal interrupts whatever the test is at: its set-up, itself, or the end
of its event loop, which waits for every task.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import signal
from collections.abc import Iterator
from types import FrameType

import pytest

LIMIT = 300.0
"""Seconds; the longest tests take ten to twenty of them on a machine that does nothing else."""
LONG_FORMS = ("CHAOS_EVENTS", "CHAOS_ROUNDS", "DLQ_LETTERS", "GATEWAY_RELOADS", "ORDER_ROUNDS", "PERMISSIONS_ALL")
"""With one of these in the environment tests take as long as they are told to."""
_AGAIN = 5.0
"""Seconds to the next try: a task that is running keeps the first one to itself."""


@contextlib.contextmanager
def limited(seconds: float = LIMIT) -> Iterator[None]:
    """Fail what takes longer."""
    if any(name in os.environ for name in LONG_FORMS):
        yield
        return

    def over(_number: int, _frame: FrameType | None) -> None:
        pytest.fail(f"not at its end after {seconds:g} s; its tasks:\n{_tasks()}")

    before = signal.signal(signal.SIGALRM, over)
    signal.setitimer(signal.ITIMER_REAL, seconds, _AGAIN)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _tasks() -> str:
    told = io.StringIO()
    with contextlib.suppress(RuntimeError):
        for task in asyncio.all_tasks():
            task.print_stack(limit=3, file=told)
    return told.getvalue()
