"""Steps that have to be waited for: async ones in a task with a time limit, blocking ones in a thread of their own."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
from collections import Counter
from collections.abc import Coroutine
from typing import Any

import msgspec

from ..routing.route import Step
from ..routing.run import Again, Failed, Suspended, failed_step
from .faults import Faults
from .worker import Workers

GRACE = 1.0
"""Seconds a cancelled step has to end; after that it counts as stuck."""


class Answer(msgspec.Struct, frozen=True):
    """What a step answered."""

    value: Any


class StepRunner:
    """Waits for the steps of one route."""

    def __init__(self, faults: Faults, limit: float, workers: Workers) -> None:
        self._faults = faults
        self._limit = limit
        self._workers = workers
        self._stuck: Counter[str] = Counter()

    async def run(self, paused: Suspended) -> Answer | Again | Failed:
        """Wait for a suspended step; a time-out is a passing fault of the event."""
        step = paused.step
        begun = asyncio.Event()
        call = asyncio.ensure_future(self._call(paused, begun))
        try:
            await self._turn(paused, begun)
            done, _ = await asyncio.wait({call}, timeout=self._limit)
            if not done:
                await self._end(step, call)
                return Again(step.label, "step-timeout", f"{step.label} took longer than {self._limit:g} s")
        except asyncio.CancelledError:
            call.cancel()
            raise
        try:
            return call.result()
        except asyncio.CancelledError:
            return Again(step.label, "step-timeout", f"{step.label} was cancelled from inside")

    async def _turn(self, paused: Suspended, begun: asyncio.Event) -> None:
        """A blocking call may have to wait for others of its component: the limit is for each call alone.

        Behind one that does not end the route is stuck, even when nobody waits for that one any more, because its
        event was given away.
        """
        step = paused.step
        while paused.awaitable is None and not begun.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(begun.wait(), self._limit)
            if not begun.is_set() and self._workers.of(step.component).busy_for > self._limit:
                await self._held_up(step, begun.wait())
        await begun.wait()

    async def _held_up(self, step: Step, until: Coroutine[Any, Any, Any]) -> None:
        """The route is down until a call returns that does not end."""
        key = f"step {step.label}"
        self._stuck[key] += 1
        self._faults.set(key, "step-stuck", f"{step.label} does not end after its time limit")
        try:
            await until
        finally:
            self._stuck[key] -= 1
            if not self._stuck[key]:
                self._faults.clear(key)

    async def _call(self, paused: Suspended, begun: asyncio.Event) -> Answer | Again | Failed:
        step = paused.step
        try:
            if paused.awaitable is not None:
                begun.set()
                return Answer(await paused.awaitable)
            value, error = await self._workers.of(step.component).call(lambda: step.call(paused.event), begun.set)
            if error is not None:
                return failed_step(step, error)
            return Answer(await value if inspect.isawaitable(value) else value)
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # noqa: BLE001 - whatever a component raises is the event's end only
            return failed_step(step, error)
        finally:
            begun.set()

    async def _end(self, step: Step, call: asyncio.Future[Any]) -> None:
        """Cancel a call; one that survives keeps its event in the window and its route down until it returns."""
        pending = {call}
        if not step.blocking:
            # A thread cannot be cancelled; cancelling the future would only hide that it still runs.
            call.cancel()
            _, pending = await asyncio.wait({call}, timeout=GRACE)
        if not pending:
            return
        await self._held_up(step, asyncio.wait({call}))
