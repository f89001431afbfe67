"""A thread for the blocking calls of one component, one after the other."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from queue import SimpleQueue
from threading import Thread
from typing import Any

Outcome = tuple[Any, BaseException | None]
"""What a call returned, or raised. A value: some exceptions mean something else to a future that raises them."""
Job = tuple[asyncio.Future[Outcome], Callable[[], Any], Callable[[], None]]


class Worker:
    """The thread is a daemon: an executor's would be joined at exit, so that one stuck call kept the process alive."""

    def __init__(self, name: str) -> None:
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._loop = asyncio.get_running_loop()
        Thread(target=self._work, name=name, daemon=True).start()

    def call(self, function: Callable[[], Any], begun: Callable[[], None] = lambda: None) -> asyncio.Future[Outcome]:
        """Call `function` when its turn comes, and `begun`, on the loop, just before; a cancelled one is left out."""
        future: asyncio.Future[Outcome] = self._loop.create_future()
        self._jobs.put((future, function, begun))
        return future

    def close(self) -> None:
        """End after the calls that wait; does not wait for them."""
        self._jobs.put(None)

    def _work(self) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            while job := self._jobs.get():
                future, function, begun = job
                if future.cancelled():
                    continue
                self._loop.call_soon_threadsafe(begun)
                try:
                    outcome: Outcome = (function(), None)
                except BaseException as error:  # noqa: BLE001 - it is handed on, whatever it is
                    outcome = (None, error)
                self._loop.call_soon_threadsafe(_resolve, future, outcome)


def _resolve(future: asyncio.Future[Outcome], outcome: Outcome) -> None:
    if not future.done():
        future.set_result(outcome)
