"""The end of an event: acknowledged or terminated, counted, and out of the window."""

from __future__ import annotations

import logging
from bisect import bisect_left
from collections.abc import Callable

from ..event import Outcome
from ..ports import Clock, Source
from ..routing.route import CompiledRoute
from ..routing.traces import told_trace
from ..trace import received
from .exemplars import exemplify
from .memory import tell_memory
from .stats import RouteStats
from .window import Entry, Window

log = logging.getLogger("gateway.route")

ROUNDS = 3
"""Longest pauses after which a parked event that did not come back to this process is not counted here any more."""


class Settler:
    """Settles events of one route, whose fate is stored, with the stream they came from."""

    def __init__(
        self,
        route: CompiledRoute,
        source: Source,
        stats: RouteStats,
        window: Window,
        clock: Clock,
        left: Callable[[Entry], None],
        verify: Callable[[], None],
    ) -> None:
        """`left` is called after each event; `verify` opens the source again, and what waits for that is asked for."""
        self._route = route
        self._source = source
        self._stats = stats
        self._window = window
        self._now = clock.monotonic
        self._time = clock.time
        self._left = left
        self._verify = verify
        self._remembers = route.has_memory
        config = route.config
        self._parked_for = ROUNDS * float(config.retry.max) + float(config.source.ack_wait)
        self._unsettled: list[Entry] = []
        """At their end, but it must first be seen that the stream is still the one they came from."""

    @property
    def looks(self) -> bool:
        """Whether any wait for the source to be seen."""
        return bool(self._unsettled)

    def unsettled(self) -> list[Entry]:
        """Those that waited for the source to be seen; they are settled now, or wait again."""
        entries, self._unsettled = self._unsettled, []
        return entries

    def forget(self) -> None:
        """The server has given everything in flight away."""
        self._unsettled.clear()

    def settle(self, entry: Entry) -> None:
        """Tell the source, and let the event go."""
        if not self._source.watched:
            self._unsettled.append(entry)
            self._verify()
            return
        delivery = entry.delivery
        outcome = entry.outcome
        stats = self._stats
        if outcome is Outcome.DEAD_LETTERED:
            code = entry.fault.code if entry.fault is not None else "other"
            self._source.term(delivery.token, code)
            stats.count_dead_letter(code)
            self._tell_of_letter(entry, code)
        else:
            self._source.ack(delivery.token)
        stats.outcomes[outcome] += 1
        # Not by `observe`: two calls for every event.
        duration, lag = stats.duration, stats.lag
        now, time = self._now(), self._time()
        taken = now - entry.received
        late = max(0.0, time - delivery.stored_ns / 1e9)
        place, lag_place = bisect_left(duration.bounds, taken), bisect_left(lag.bounds, late)
        duration.counts[place] += 1
        duration.total += taken
        lag.counts[lag_place] += 1
        lag.total += late
        if delivery.header_block and (duration.look_at[place] <= now or lag.look_at[lag_place] <= now):
            exemplify(delivery.header_block, now, time, (duration, place, taken), (lag, lag_place, late))
        self._window.remove(entry)
        if self._window.history:
            self._window.history.pop(delivery.sequence, None)
            if self._window.parked and self._window.parked.pop(delivery.sequence, None) is not None:
                stats.parked = len(self._window.parked)
        if self._remembers and entry.event is not None:
            tell_memory(self._route, entry.event, outcome)
        self._left(entry)

    def park(self, entry: Entry, code: str, why: str) -> str:
        """Count and tell an event that has no way out for now, and is not settled; returns what was told."""
        sequence = entry.delivery.sequence
        text = f"event {sequence} of {self._route.origin.stream} is parked: {why}"
        self._window.tries_of(entry)
        known = sequence in self._window.parked
        self._window.parked[sequence] = self._now() + self._parked_for
        if not known:
            self._stats.parked = len(self._window.parked)
            told = {"event": "event.parked", "route": self._route.name, "code": code, "sequence": sequence}
            log.error("%s", text, extra={**told, **_trace(entry)})
        return text

    def sweep(self, now: float) -> None:
        """A parked event that did not come back here is another replica's by now, or settled by it."""
        parked = self._window.parked
        if parked:
            for sequence in [sequence for sequence, until in parked.items() if until < now]:
                if sequence not in self._window.entries:
                    del parked[sequence]
            self._stats.parked = len(parked)

    def _tell_of_letter(self, entry: Entry, code: str) -> None:
        """What is in a dead letter's headers, so that nobody must look there first; the log holds back its repeats."""
        origin = self._route.origin
        sequence = entry.delivery.sequence
        told = {"event": "event.dead-lettered", "route": origin.route, "code": code, "step": entry.step}
        text = f"event {sequence} of {origin.stream} is a dead letter: {code} in {entry.step}: {entry.reason}"
        log.warning("%s", text, extra={**told, "sequence": sequence, **_trace(entry)})


def _trace(entry: Entry) -> dict[str, str]:
    """Its letter knows the trace that began with it."""
    came = received(entry.delivery.header_block)
    return told_trace(came if came or entry.letter is None else received(entry.letter.header_block))
