"""Waiting on conditions: the only way tests wait."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar, overload

T = TypeVar("T")
PATIENCE = 30.0
"""Seconds a condition has: what takes milliseconds takes many of them on a machine that does other things as well. Not
more than the ack-wait of a route: what comes only with a redelivery has not come by itself.
"""
LONG = 90.0
"""Seconds for what takes many of them on a machine that does nothing else."""


@overload
async def eventually(
    condition: Callable[[], Awaitable[T]], timeout: float = ..., what: str = ..., interval: float = ...
) -> T: ...
@overload
async def eventually(condition: Callable[[], T], timeout: float = ..., what: str = ..., interval: float = ...) -> T: ...
async def eventually(
    condition: Callable[[], object], timeout: float = PATIENCE, what: str = "", interval: float = 0.01
) -> object:
    """Call `condition` (sync or async) until what it returns is true, and return that.

    An AssertionError inside counts as "not yet"; every other exception ends the wait. After `timeout` seconds the
    test fails with `what` and the last state seen. A condition that itself hangs is cut off at the deadline.
    """
    deadline = time.monotonic() + timeout
    last: object = "never evaluated"
    while True:
        try:
            outcome = condition()
            if inspect.isawaitable(outcome):
                outcome = await asyncio.wait_for(outcome, max(deadline - time.monotonic(), 0.05))
            if outcome:
                return outcome
            last = outcome
        except AssertionError as error:
            last = error
        except TimeoutError:
            last = "the condition itself did not come back"
        if time.monotonic() > deadline:
            name = what or getattr(condition, "__qualname__", "the condition")
            raise AssertionError(f"{name}: not within {timeout:g} s; last seen: {last!r}")
        await asyncio.sleep(interval)
