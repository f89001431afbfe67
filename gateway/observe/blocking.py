"""Finds out who blocks the event loop: a thread looks at the loop's stack when the loop has not turned for a while.

Timing every call of a step would cost each event as much as a filter does; a look at the stack costs nothing until
there is something to see. It works for code that keeps the interpreter to itself too (a regular expression, a
library in C): the thread gets its turn the moment such a call returns, still inside the component's method.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import CodeType, FrameType

import msgspec

from ..plugin import Component
from ..runtime.ticks import SELDOM, Pace

log = logging.getLogger("gateway.plugins")

LOOK = 0.1
"""Seconds between two looks of the thread while a beat of the loop is missing."""
BLOCKED = 0.25
"""Seconds without a beat after which the loop counts as blocked, and the thread looks; every route waits meanwhile.
While every route only waits for events, a beat is due seldom, and so much later it is missing.
"""
QUIET = 60.0
"""Seconds between two log lines about the same component of the same route."""


class Culprit(msgspec.Struct, frozen=True):
    """What the loop was doing when it did not turn."""

    frame: FrameType
    component: Component | None
    """None when no component was at work: a plugin's hook, or the gateway itself."""
    method: str
    where: str
    """`file:line`, of the component's own code."""


def culprit(frame: FrameType | None) -> Culprit | None:
    """The innermost component at work on a stack, or the innermost function there is."""
    innermost = frame
    while frame is not None:
        owner = frame.f_locals.get("self")
        # Not isinstance: a proxy that has `self` for a name may run code of its own when asked what it is.
        if issubclass(type(owner), Component):
            return Culprit(frame, owner, frame.f_code.co_name, _place(frame))
        frame = frame.f_back
    return None if innermost is None else Culprit(innermost, None, innermost.f_code.co_name, _place(innermost))


def _codes(frame: FrameType | None) -> Iterator[CodeType]:
    while frame is not None:
        yield frame.f_code
        frame = frame.f_back


def _place(frame: FrameType) -> str:
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


def _at_it(suspects: list[Culprit]) -> bool:
    """Whether it is one call that lasts, or one component whose calls leave the loop no time, and not a busy moment."""
    last = suspects[-1]
    if len(suspects) > 1 and suspects[-2].frame is last.frame:
        return True
    if last.component is None:
        return False
    return len(suspects) > 3 and all(one.component is last.component for one in suspects[-4:])


class BlockWatch:
    """Watches one event loop from a thread; every blockage is logged once, with plugin, route and place."""

    def __init__(self, owner_of: Callable[[type[Component]], str], pace: Pace | None = None) -> None:
        """`owner_of` gives the name of the plugin that offers a component; the loop beats at this `pace`."""
        self._pace = pace or Pace()
        self._owner_of = owner_of
        self._beat = 0.0
        self._stopped = False
        self._wake = threading.Event()
        """Set to have the thread look anew: what it waits for has changed."""
        self._task: asyncio.Task[None] | None = None
        self._thread = 0
        self._told: dict[tuple[str, str, str], float] = {}
        self._beneath: frozenset[CodeType] = frozenset()
        """What is on the stack whatever the loop does: the loop itself, and who runs it."""

    def start(self) -> None:
        """Begin, on the loop to be watched."""
        self._beat = time.monotonic()
        self._thread = threading.get_ident()
        self._pace.stirred.append(self._quicken)
        self._task = asyncio.get_running_loop().create_task(self._beats())
        threading.Thread(target=self._watch, name="gateway-block-watch", daemon=True).start()

    def stop(self) -> None:
        """End."""
        self._stopped = True
        self._wake.set()
        if self._task is not None:
            self._task.cancel()
            self._task = None
            self._pace.stirred.remove(self._quicken)

    async def _beats(self) -> None:
        self._beneath = frozenset(_codes(sys._getframe()))
        while True:
            self._beat = time.monotonic()
            await self._pace.tick()

    def _quicken(self) -> None:
        """The loop turns, and is about to work on an event: from now on a beat is missed soon."""
        self._beat = time.monotonic()
        self._wake.set()

    def _watch(self) -> None:
        reported = 0.0
        suspects: list[Culprit] = []
        looked_at, used = time.monotonic(), time.process_time()
        pause = LOOK
        while True:
            self._wake.wait(pause)
            self._wake.clear()
            if self._stopped:
                return
            now, cpu, beat = time.monotonic(), time.process_time(), self._beat
            # Late ourselves, and the processor was busy: the interpreter was kept from us. A process that was stopped,
            # or a machine that slept, is late as well, but has computed nothing.
            kept = now - looked_at - pause > BLOCKED and cpu - used > (now - looked_at) / 4
            looked_at, used = now, cpu
            # Without another beat the loop counts as blocked then, and not before.
            late = BLOCKED + SELDOM if self._pace.calm else BLOCKED
            pause = max(LOOK, beat + late - now)
            if beat == reported or now - beat < late:
                suspects.clear()
                continue
            found = culprit(sys._current_frames().get(self._thread))
            if found is None:
                continue
            suspects.append(found)
            if kept or _at_it(suspects):
                reported = beat
                self._report(found, now - beat)

    def _report(self, found: Culprit, seconds: float) -> None:
        component = found.component
        starved = component is None and self._waits(found.frame)
        plugin = "" if component is None else self._owner_of(type(component))
        # One with an __init__ of its own may have none.
        route = getattr(getattr(component, "context", None), "route", "")
        name = "" if component is None else component.name
        key = (plugin, route, "" if starved else name or found.where)
        now = time.monotonic()
        if now - self._told.get(key, -QUIET) < QUIET:
            return
        if len(self._told) > 1000:
            self._told.clear()
        self._told[key] = now
        told = {"event": "loop.blocked", "seconds": seconds}
        if starved:
            log.warning(
                "the event loop had no turn for %.2f s, and no component was at work on it: the process was given no "
                "processor, or a thread kept the interpreter to itself",
                seconds,
                extra={**told, "code": "loop-starved"},
            )
            return
        told["where"] = found.where
        if component is None:
            log.warning("the event loop does not turn: in %s at %s", found.method, found.where, extra=told)
            return
        log.warning(
            "plugin %s blocks every route: %s.%s%s has held the event loop for %.2f s, at %s; "
            "make it async, or let it say blocking = True",
            plugin,
            name,
            found.method,
            f" of route {route}" if route else "",
            seconds,
            found.where,
            extra={**told, "plugin": plugin, "route": route, "component": name},
        )

    def _waits(self, frame: FrameType) -> bool:
        """Whether the loop has nothing at work on it, and only waits for its turn."""
        return frame.f_code in self._beneath or frame.f_globals.get("__name__") == "selectors"
