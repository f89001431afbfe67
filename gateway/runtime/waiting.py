"""Steps that have to be waited for: async ones in a task with a time limit, blocking ones in a thread of their own."""

from __future__ import annotations

import asyncio
import inspect
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec

from ..plugin import Component
from ..routing.route import CompiledRoute, Step
from ..routing.run import Again, Failed, Suspended, failed_step
from .faults import Faults

GRACE = 1.0
"""Seconds a cancelled step has to end; after that it counts as stuck."""


class Answer(msgspec.Struct, frozen=True):
    """What a step answered."""

    value: Any


class StepRunner:
    """Waits for the steps of one route."""

    def __init__(self, route: CompiledRoute, faults: Faults, limit: float) -> None:
        self._faults = faults
        self._limit = limit
        self._threads: dict[int, ThreadPoolExecutor] = {}

    async def run(self, paused: Suspended) -> Answer | Again | Failed:
        """Wait for a suspended step; a time-out is a passing fault of the event."""
        step = paused.step
        call = asyncio.ensure_future(self._call(paused))
        try:
            done, _ = await asyncio.wait({call}, timeout=self._limit)
            if not done:
                await self._end(step, call)
                return Again(step.label, "step-timeout", f"{step.label} took longer than {self._limit:g} s")
        except asyncio.CancelledError:
            call.cancel()
            raise
        try:
            return Answer(call.result())
        except asyncio.CancelledError:
            return Again(step.label, "step-timeout", f"{step.label} was cancelled from inside")
        except Exception as error:  # noqa: BLE001 - whatever a component raises is the event's end, not the lane's
            return failed_step(step, error)

    async def _call(self, paused: Suspended) -> Any:
        if paused.awaitable is not None:
            return await paused.awaitable
        step = paused.step
        thread = self._thread(step.component)
        value = await asyncio.get_running_loop().run_in_executor(thread, step.call, paused.event)
        return await value if inspect.isawaitable(value) else value

    def _thread(self, component: Component) -> ThreadPoolExecutor:
        """One thread a component, for all its calls: it need not be safe against itself."""
        thread = self._threads.get(id(component))
        if thread is None:
            thread = ThreadPoolExecutor(1, thread_name_prefix=f"gateway-{component.name}")
            self._threads[id(component)] = thread
        return thread

    async def _end(self, step: Step, call: asyncio.Future[Any]) -> None:
        """Cancel a call; one that survives keeps its event in the window and its route down until it returns."""
        if step.blocking:
            # A thread cannot be cancelled; cancelling the future would only hide that it still runs.
            pending = {call}
        else:
            call.cancel()
            _, pending = await asyncio.wait({call}, timeout=GRACE)
        if pending:
            key = f"step {step.label}"
            self._faults.set(key, "step-stuck", f"{step.label} does not end after its time limit")
            try:
                await asyncio.wait({call})
            finally:
                self._faults.clear(key)
        if call.done() and not call.cancelled():
            call.exception()

    def close(self) -> None:
        """Let the threads go; one that is stuck ends with the process."""
        for thread in self._threads.values():
            thread.shutdown(wait=False, cancel_futures=True)
        self._threads.clear()
