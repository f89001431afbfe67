"""The time each step of a route takes, where its config asks for it.

A route is made anew of timed parts before it starts, so that one that does not ask pays nothing: no call, no question
whether it did.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from inspect import isawaitable
from typing import Any

import msgspec

from ..event import Event, Reader
from ..missing import MISSING
from ..routing.route import CompiledRoute, Step
from .journey import Journey
from .ordered_journey import OrderedJourney
from .stats import AUDIT, DECODE, PUBLISH, Buckets, RouteStats
from .window import Entry

Now = Callable[[], float]
"""The monotonic clock, in seconds."""


def time_steps(route: CompiledRoute, stats: RouteStats) -> None:
    """Prepare the stats of a route that asks for the time of its steps."""
    waits = route.audits and route.config.audit_mode == "required"
    stats.time_steps(*([AUDIT] if waits else []))


def timed(route: CompiledRoute, stats: RouteStats, now: Now) -> CompiledRoute:
    """The same route, its codec and steps timed, if the stats were prepared for it; else the route itself."""
    durations = stats.step_durations
    if not durations:
        return route
    steps = tuple(
        msgspec.structs.replace(step, call=_timed_call(step, durations[step.label], now)) for step in route.steps
    )
    return msgspec.structs.replace(route, steps=steps, reader=_timed_reader(route.reader, durations[DECODE], now))


def journey_for(route: CompiledRoute, stats: RouteStats) -> type[Journey]:
    """What takes the events of a route to their end."""
    if route.config.ordering == "none":
        return TimedJourney if stats.step_durations else Journey
    return TimedOrderedJourney if stats.step_durations else OrderedJourney


class TimedJourney(Journey):
    """A journey that times what is no component: the copies on their way, and the wait for required audits."""

    def _ended(self, entry: Entry, step: str | None) -> None:
        """Observe the step, or nothing where it came to no end of its own."""
        if entry.since is not None and step is not None:
            self._stats.step_durations[step].observe(self._now() - entry.since)
        entry.since = None

    def _process(self, entry: Entry) -> None:
        entry.since = None
        super()._process(entry)

    def _publish(self, entry: Entry, events: list[Event]) -> None:
        entry.since = self._now()
        super()._publish(entry, events)

    def copies_settled(self, entry: Entry) -> None:
        """Every copy is stored or given up; or the dead letter is, which is no step."""
        self._ended(entry, PUBLISH if entry.letter is None else None)
        super().copies_settled(entry)

    def _finish(self, entry: Entry) -> None:
        if AUDIT in self._stats.step_durations:
            entry.since = self._now()
        super()._finish(entry)

    def audited(self, entry: Entry) -> None:
        """Its record is safe."""
        self._ended(entry, AUDIT if self._window.holds(entry) else None)
        super().audited(entry)


class TimedOrderedJourney(TimedJourney, OrderedJourney):
    """The same for an ordered route."""


def _timed_call(step: Step, buckets: Buckets, now: Now) -> Callable[[Event], Any]:
    """The step's call, which observes how long it took, however it ends; with what it waits for."""
    call = step.call

    def at_once(event: Event) -> Any:
        begun = now()
        try:
            return call(event)
        finally:
            buckets.observe(now() - begun)

    async def waited_for(awaitable: Awaitable[Any], begun: float) -> Any:
        try:
            return await awaitable
        finally:
            buckets.observe(now() - begun)

    def perhaps_later(event: Event) -> Any:
        begun = now()
        value = None
        try:
            value = call(event)
        finally:
            later = isawaitable(value)
            if not later:
                buckets.observe(now() - begun)
        return waited_for(value, begun) if later else value

    return perhaps_later if step.is_async or step.may_wait or step.blocking else at_once


def _timed_reader(reader: Reader, buckets: Buckets, now: Now) -> Reader:
    """A reader that observes its first look at an event; what steps have decoded later on is part of their time."""
    peek, decode = reader.peek, reader.decode

    def timed_decode(*message: Any) -> Any:
        begun = now()
        try:
            return decode(*message)
        finally:
            buckets.observe(now() - begun)

    def timed_peek(data: bytes) -> Any:
        assert peek is not None
        begun = now()
        found = None
        try:
            found = peek(data)
        finally:
            # A body that is no object is decoded as a whole next, and observed there.
            if found is not MISSING:
                buckets.observe(now() - begun)
        return found

    return Reader(
        timed_decode,
        reader.attributes,
        keys=reader.keys,
        peek=None if peek is None else timed_peek,
        split=reader.split,
        leaf=reader.leaf,
    )
