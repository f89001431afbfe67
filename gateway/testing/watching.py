"""Calls a component as a loop of a route would, and measures how long it holds that loop up."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

T = TypeVar("T")
BLOCKED = 0.1
"""Seconds for which every other route may wait for one call, at the most."""
LIMIT = 5.0
"""Seconds a call may take; the `timeout` of a route unless it says otherwise."""
_BEAT = 0.005
_GRACE = 1.0


class Unended(Exception):
    """A call that took longer than LIMIT."""

    def __init__(self) -> None:
        super().__init__(f"a call takes longer than {LIMIT:g} s, the time limit of a route")


def watched(make: Callable[[], Coroutine[Any, Any, T]]) -> tuple[T, float]:
    """Run a coroutine to its end: what it gives, and the seconds for which nothing else could run, at the longest.

    Raises what it raises, and Unended.
    """
    run = _Run(make)
    return run.wait(), run.held_up


class _Run(Generic[T]):
    """One call in a thread with a loop of its own, beside something that wants to run all the time."""

    def __init__(self, make: Callable[[], Coroutine[Any, Any, T]]) -> None:
        self._make = make
        self._before = self.held_up = 0.0
        self._done: list[T] = []
        self._failed: list[BaseException] = []

    def wait(self) -> T:
        """Run it; raises what it raises, and Unended."""
        # Nothing can end a call that holds its thread for ever; the process must not wait for it.
        thread = threading.Thread(target=self._work, daemon=True)
        thread.start()
        thread.join(LIMIT + _GRACE)
        if thread.is_alive():
            raise Unended
        if self._failed:
            raise self._failed[0]
        return self._done[0]

    def _work(self) -> None:
        try:
            self._done.append(asyncio.run(self._run()))
        except BaseException as error:  # noqa: BLE001 - it is raised again where the caller waits
            self._failed.append(error)

    async def _run(self) -> T:
        self._before = time.perf_counter()
        beating = asyncio.create_task(self._beat())
        call = asyncio.ensure_future(self._make())
        try:
            done, _ = await asyncio.wait({call}, timeout=LIMIT)
            self._mark()
            if not done:
                raise Unended
            return call.result()
        finally:
            call.cancel()
            beating.cancel()

    async def _beat(self) -> None:
        while True:
            self._mark()
            await asyncio.sleep(_BEAT)

    def _mark(self) -> None:
        now = time.perf_counter()
        self.held_up = max(self.held_up, now - self._before)
        self._before = now
