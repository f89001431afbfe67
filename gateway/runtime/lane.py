"""The lane of one route: takes deliveries, runs the steps, gets the copies stored, and only then settles.

Everything is a short synchronous call from the edge or from the sweep; a task exists only where a step has to be
waited for. Every way through ends in `_settle`, in a hand-over to the server, or in the window.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable

from ..event import Delivery
from ..ports import Backlog, Clock, Publisher, Source, SourceInfo
from ..routing.route import CompiledRoute
from .bucket import TokenBucket
from .faults import PARKED, Faults
from .journey import Journey
from .stats import RouteStats
from .window import Entry, Phase, Window
from .worker import Workers

log = logging.getLogger("gateway.route")

UNHEARD = "source"
"""The fault of a source that is open and silent; its first sign of life clears it."""
MIN_SHARE = 64 << 10
"""Bytes a pull request asks for at least, as long as the window has room for them."""
REST = 1.0
"""Seconds between two whole sweeps of a lane that only waits for events: nothing it waits for is told by the sweep."""


class Lane:
    """One route at work. All methods are called on the event loop; none of those the edge calls raises."""

    def __init__(
        self,
        route: CompiledRoute,
        source: Source,
        publisher: Publisher,
        stats: RouteStats,
        clock: Clock,
        instance: str = "",
        workers: Workers | None = None,
        journey: type[Journey] = Journey,
    ) -> None:
        """`workers` are the threads of the route's blocking components; whoever gave them closes them."""
        config = route.config
        self.route = route
        self.stats = stats
        self.window = Window()
        self.faults = Faults(stats, clock.time)
        self._source = source
        self._publisher = publisher
        self._now = clock.monotonic
        told = self._left, self._verify, workers or Workers()
        self._journey = journey(route, source, publisher, stats, self.window, self.faults, clock, instance, *told)
        self._sender = self._journey.sender
        self.settler = self._journey.settler
        self.answered = self._sender.answered
        """A stream answered a publish."""
        self.give_back = self._journey.hand_back
        """An event can have no end here: it goes back to its source."""
        self._bucket = None if config.rate is None else TokenBucket(float(config.rate), clock)
        self._free, self._spare = self._bucket is None, 0
        """Whether what arrives may begin at once if there is room; entries of the window that take none of it."""
        self._waiting: deque[Entry] = deque()
        self._created = ""
        self._ack_wait = float(config.source.ack_wait)
        self._max_in_flight = config.max_in_flight
        self._max_bytes = int(config.max_in_flight_bytes)
        self._refill_at = max(1, config.max_in_flight // 4)
        self._ready = self._draining = self._succeeded = False
        self._last_sweep, self._rests_until = clock.monotonic(), 0.0
        self.resting = False
        """Whether it was found to rest, and no event has come since."""
        self.stir: Callable[[], None] = lambda: None
        """Called with what ends a rest, most often an event: sweeps are seldom while every lane rests."""
        self.lost = asyncio.Event()
        """Set when the source must be opened again."""
        self.empty = asyncio.Event()
        """Set while nothing is in flight and the lane drains."""
        self.lost_reason = ("", "")
        """Code and text of the last loss of the source."""

    # ------------------------------------------------------------------ life, called by the supervisor

    def start(self, info: SourceInfo) -> None:
        """The source is open: go on with what waited, and pull."""
        if info.created != self._created:
            if self._created:
                self._forget("the stream was created anew")
                self.window.history.clear()
                self.window.stored.clear()
                self.none_parked()
            self._created = info.created
        if info.ack_wait < self._ack_wait:
            soon = self._now() + info.ack_wait / 2
            for entry in self.window.entries.values():
                entry.progress_due = min(entry.progress_due, soon)
        self._ack_wait = info.ack_wait
        self._journey.start(info.created, info.ack_wait)
        self._ready = True
        self.faults.heed(info.remarks)
        self.lost_reason = ("", "")
        self._last_sweep, self._rests_until, self.resting = self._now(), 0.0, False
        self.stir()
        self._sender.resend()
        self._work_off()
        self.refill()

    def inherit(self, before: Lane) -> None:
        """Take over what the lane before, of the same route and durable, knows of events that come again."""
        self._created = before._created
        window, known = self.window, before.window
        window.history, window.stored, window.parked = known.history, known.stored, known.parked
        self.stats.parked = before.stats.parked

    def none_parked(self) -> None:
        """The consumer holds nothing: what was parked is settled by a replica, or gone from the stream."""
        self.window.parked.clear()
        self.stats.parked = 0

    def looked(self, backlog: Backlog) -> None:
        """The consumer was looked at."""
        if not backlog.unsettled:
            self.none_parked()
            if not self.window.entries and not backlog.pending:
                # What was handed back and never came again is settled elsewhere, or not in the stream any more. A
                # consumer that was set back has it still to give.
                self.window.history.clear()
                self.window.stored.clear()
        elif not self._sender.any_open:
            self.settler.sweep(self._now())
        self.faults.heed(backlog.remarks)

    def pause(self) -> None:
        """The source is not open: what arrives waits."""
        self._ready = False

    def disconnected_for(self, seconds: float) -> None:
        """The connection is back after a gap; after one longer than ack-wait the server has given everything away."""
        if seconds > self._ack_wait:
            self._forget(f"the connection was away for {seconds:.0f} s, longer than ack-wait")

    def begin_drain(self, *, succeeded: bool = False) -> None:
        """Take nothing more; what arrives goes back at once.

        With a successor waiting, what targets cannot take now goes back too: they may be what the reload mends.
        """
        self._draining = True
        self._succeeded = succeeded
        for entry in list(self._waiting):
            self._journey.hand_back(entry, 0.0)
        self._waiting.clear()
        self._give_up_held()
        self._left()

    def _give_up_held(self) -> None:
        if self._draining and self._succeeded:
            for entry in [entry for entry in self.window.entries.values() if self._sender.holds(entry)]:
                self._journey.hand_back(entry, 0.0)

    async def audits_told(self, seconds: float) -> None:
        """Wait until the audits know of every event that is settled."""
        await self._journey.auditor.told(min(seconds, float(self.route.config.timeout)))

    def end_drain(self) -> None:
        """Give back what is still in flight."""
        for entry in list(self.window.entries.values()):
            self._journey.hand_back(entry, 0.0)
        self.close()

    def close(self) -> None:
        """Let go of everything; nothing is settled by this."""
        self._ready = False
        self._journey.close()

    # ------------------------------------------------------------------ called by the edge

    def delivered(self, delivery: Delivery) -> None:
        """A message arrived, for the first time or again."""
        stats = self.stats
        stats.received += 1
        stats.received_bytes += delivery.size
        if delivery.deliveries > 1:
            stats.redeliveries += 1
        now = self._now()
        known = self.window.entries.get(delivery.sequence)
        if known is not None:
            # Still being worked on: only the token that settles it is new.
            known.delivery.token = delivery.token
            known.delivery.deliveries = delivery.deliveries
            known.progress_due = now + self._ack_wait / 2
            return
        if self._draining:
            self._source.nak(delivery.token)
            return
        if self.resting:
            self.resting = False
            self.stir()
        entry = Entry(delivery, now, now + self._ack_wait / 2)
        self.window.add(entry)
        # The usual case without a call: each event comes by here.
        free = self._free and self.window.split <= self._max_bytes
        if self._ready and not self._waiting and (free or self._may_begin()):
            self._journey.begin(entry)
        else:
            self._waiting.append(entry)

    def pull_ended(self) -> None:
        """A pull request ended early; after a refusal the sweep asks again, and soon."""
        self.refill()
        if self.resting and not self._source.wanted:
            self.resting = False
            self.stir()

    def source_lost(self, code: str, text: str) -> None:
        """The consumer is gone; the supervisor opens it again."""
        self.lost_reason = (code, text)
        self.pause()
        self.lost.set()

    def _verify(self) -> None:
        """Before an event is settled, or asked for, after a long hold: is it still the stream we know?

        Whoever comes while that is looked at has the same answer.
        """
        if self._ready:
            self.source_lost("source-unwatched", "nothing was asked of the consumer for a while")

    # ------------------------------------------------------------------ called by the sweep, ten times a second

    @property
    def rests(self) -> bool:
        """Whether a sweep would find nothing to do: asked for every route again and again, so it asks little."""
        now = self._now()
        self.resting = now < self._rests_until and not self.window.entries and self._source.wanted > 0
        if self.resting:
            self._last_sweep = now
        return self.resting

    def sweep(self) -> None:
        """Everything that depends on time: in-progress, time-outs, pauses, probes, the watchdog of the pulls."""
        now = self._now()
        asleep, self._last_sweep = now - self._last_sweep, now
        self.stats.in_flight = len(self.window.entries)
        if asleep > self._ack_wait:
            self._forget(f"this process stood still for {asleep:.0f} s, longer than ack-wait")
        if not self._publisher.connected:
            return
        for entry in list(self.window.entries.values()):
            if entry.progress_due <= now:
                self._source.progress(entry.delivery.token)
                entry.progress_due = now + self._ack_wait / 2
            # Copies are sent without the source, too: when its stream is gone, this window is all there is of it.
            if entry.due <= now and (self._ready or entry.phase is Phase.SENDING):
                try:
                    if entry.phase is Phase.PAUSED:
                        self._journey.begin(entry)
                    elif entry.phase is Phase.SENDING:
                        self._sender.due(entry, now)
                except Exception:
                    # A fault of this program over one event must not keep the sweep from the others.
                    log.exception("internal error", extra={"event": "route.internal-error", "route": self.route.name})
                    entry.due = now + 1.0
        self._sender.sweep(now)
        if self._ready:
            if self._source.heard:
                self.faults.clear(UNHEARD)
            self._work_off()
            self._source.check(now)
            self.refill()
        if not self.stats.parked:
            self.faults.release(PARKED, healed=False)
        self.stats.circuit_open = self._sender.any_open
        self._give_up_held()
        self._rests_until, self.resting = 0.0, self._waits()
        if self.resting:
            self._rests_until, self.stats.in_flight = now + REST, 0

    def _waits(self) -> bool:
        """Whether there is nothing to do before an event comes, or the source has something to say."""
        idle = self._ready and not self.window.entries and not self._draining and self._source.heard
        idle = idle and not self._waiting and not self.stats.parked and not self._sender.any_open
        # The last sweep may then be most of a second ago, which a shorter ack-wait would take for a standstill.
        return idle and self._ack_wait >= 2 and self._source.wanted > 0

    def refill(self) -> None:
        """Ask for more, as far as the window has room and every target takes what it is sent."""
        source, window = self._source, self.window
        wanted = source.wanted
        room = self._max_in_flight + self._spare - len(window.entries) - wanted
        if room < self._refill_at and (wanted or room < 1):
            return
        if not self._ready or self._draining or self._sender.any_open:
            return
        if self._bucket is not None:
            room = min(room, self._bucket.burst - source.wanted - len(self._waiting))
        if room < 1:
            return
        if not source.watched:
            # Nobody would have told us that the stream is another one by now, which would serve this request all the
            # same.
            self._verify()
            return
        if source.too_large:
            # The next message is larger than what was asked for: it comes alone, into an empty window.
            if not window.entries and not source.wanted:
                source.pull(1, None)
            return
        # Each request may bring its share of the bytes only, else the first one would leave nothing for the others.
        left = self._max_bytes - window.size - source.wanted_bytes
        size = min(left, max(MIN_SHARE, self._max_bytes * room // self._max_in_flight))
        if size > 0:
            source.pull(room, size)

    def _work_off(self) -> None:
        """Start what waited for its turn."""
        while self._waiting and self._may_begin():
            entry = self._waiting.popleft()
            if self.window.holds(entry):
                self._journey.begin(entry)

    def _may_begin(self) -> bool:
        """Whether the rate allows another event now, and what splits have made of others leaves room for it."""
        if self.window.split > self._max_bytes:
            return False
        return self._bucket is None or self._bucket.take()

    # ------------------------------------------------------------------ helpers

    def _forget(self, why: str) -> None:
        count = len(self.window.entries)
        if count:
            told = {"event": "route.forgot", "route": self.route.name, "events": count}
            log.warning("in-flight events forgotten: %s", why, extra=told)
        self.window.forget()
        self._waiting.clear()
        self._journey.forget()
        if self._draining:
            self.empty.set()

    def _left(self, entry: Entry | None = None) -> None:
        """An entry left the window."""
        if not self._draining:
            self.refill()
        elif not self.window.entries:
            self.empty.set()
