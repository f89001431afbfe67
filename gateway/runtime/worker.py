"""A thread for the blocking calls of one component, one after the other."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from queue import SimpleQueue
from threading import Thread
from typing import Any

from ..plugin import Component

Outcome = tuple[Any, BaseException | None]
"""What a call returned, or raised. A value: some exceptions mean something else to a future that raises them."""
Job = tuple[asyncio.Future[Outcome], Callable[[], Any], Callable[[], None]]


class Worker:
    """The thread is a daemon: an executor's would be joined at exit, so that one stuck call kept the process alive."""

    def __init__(self, name: str) -> None:
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._loop = asyncio.get_running_loop()
        self._since = 0.0
        Thread(target=self._work, name=name, daemon=True).start()

    @property
    def busy(self) -> bool:
        """Whether a call runs now."""
        return self._since > 0

    @property
    def busy_for(self) -> float:
        """Seconds the present call has taken; 0 when none runs."""
        since = self._since
        return time.monotonic() - since if since else 0.0

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
                self._since = time.monotonic()
                self._loop.call_soon_threadsafe(begun)
                try:
                    outcome: Outcome = (function(), None)
                except BaseException as error:  # noqa: BLE001 - it is handed on, whatever it is
                    outcome = (None, error)
                self._since = 0.0
                self._loop.call_soon_threadsafe(_resolve, future, outcome)


def _resolve(future: asyncio.Future[Outcome], outcome: Outcome) -> None:
    if not future.done():
        future.set_result(outcome)


class Workers:
    """The threads of blocking components: one each, of the route, or of the process for a component that is shared."""

    def __init__(self, shared: dict[int, Worker] | None = None) -> None:
        """`shared` holds the process's threads by the component's identity; their owner closes them."""
        self._shared = {} if shared is None else shared
        self._own: dict[int, Worker] = {}

    def of(self, component: Component) -> Worker:
        """The thread of a component, for all its calls: it need not be safe against itself."""
        threads = self._shared if component.shared else self._own
        worker = threads.get(id(component))
        if worker is None:
            worker = threads[id(component)] = Worker(f"gateway-{component.name}")
        return worker

    def close(self) -> None:
        """Let the route's own threads go; one that is stuck ends with the process."""
        for worker in self._own.values():
            worker.close()
        self._own.clear()
