"""Order of a route: one replica is active, it begins only when all that came before is here, and one after the other.

Whoever becomes active may be given later events first: what an earlier reader was given and did not settle comes back
only after ack-wait. So nothing begins before the consumer's count of pending messages is what is in the window.
docs/decisions/0009 says why that is enough.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Hashable
from typing import Protocol

from ..errors import RouteFault
from ..event import Event, Meta
from ..paths import Path
from ..ports import Account, Clock, OrderedSource
from ..routing.route import CompiledRoute
from . import order
from .faults import Faults
from .window import Entry, Window

log = logging.getLogger("gateway.route")

LOOK = 0.25
"""Seconds between two looks at what is pending, while it is not all here."""
STANDBY_LOOK = 1.0
"""Seconds between two looks of a strict standby: whether events wait for one that is active no more."""
SURE = 2
"""Looks in a row that must agree before the consumer is set back: an ack may be on its way."""
NOTE = "order"
"""What the status of a route calls it while it waits."""


class Owner(Protocol):
    """What the order asks of its lane."""

    begin: Callable[[Entry], None]
    """Starts an event on its way."""

    def may_begin(self) -> bool:
        """Whether the rate, and the room, allow another event now."""
        ...

    def drop(self, why: str) -> None:
        """Let go of everything in flight: it comes again."""
        ...

    def hand_back_idle(self) -> None:
        """Give back what nothing is under way for."""
        ...

    def refill(self) -> None: ...

    def source_lost(self, code: str, text: str) -> None: ...


class Ordering:
    """Decides what of an ordered route may begin."""

    def __init__(
        self,
        route: CompiledRoute,
        path: Path | None,
        source: OrderedSource,
        window: Window,
        faults: Faults,
        clock: Clock,
        owner: Owner,
    ) -> None:
        """`path` is the key's; without, the whole stream is one line."""
        self._route = route
        self._source = source
        self._window = window
        self._faults = faults
        self._now = clock.monotonic
        self._owner = owner
        self._path = path
        self._lines = order.Lines()
        self._sets_back = self._path is None
        """Whether what is missing can be had at once: by key, that would repeat events settled long ago."""
        self._size = int(route.config.max_in_flight_bytes)
        self._most = route.config.max_in_flight
        self.open = False
        """Whether events may begin."""
        self._working = False
        self._started = False
        self._round = 0
        self._stands_by = False
        """Whether it was told that another replica is active."""
        self._looking: asyncio.Task[None] | None = None
        self._reset()
        self.ack_wait = float(route.config.source.ack_wait)

    def _reset(self) -> None:
        self._since = self._look_at = self._ask_at = self._now()
        self._looks = 0
        self._missing = self._most_missing = 0
        self._waits = False

    @property
    def behind(self) -> int:
        """Events that wait for one of their key: they take no place, else one key would stop all others."""
        return 0 if self._path is None else self._lines.behind

    # ------------------------------------------------------------------ life

    def start(self, ack_wait: float) -> None:
        """The source is open: see what is pending before anything begins."""
        self.ack_wait = ack_wait
        self._started = True
        self._sets_back = self._path is None
        self.close()
        if not self._source.pinned:
            self._owner.hand_back_idle()
            self._stand_by()

    def close(self) -> None:
        """Let nothing begin; what is at work goes on."""
        self.open = False
        self._round += 1
        self._lines.halt()
        self._reset()

    def stop(self) -> None:
        """The source is not open, or never will be again."""
        self._started = False
        self.close()
        if self._looking is not None:
            self._looking.cancel()

    def forget(self) -> None:
        """Nothing is in flight any more."""
        self.close()
        self._lines.clear()

    def pinned(self, ours: bool) -> None:
        """The messages come to us from now on, or to another replica."""
        self.close()
        if not ours:
            # Also while the source is being opened again: what came before a pause of ours is not ours any more.
            self._tell_standby()
            self._owner.hand_back_idle()
            return
        self._stands_by = False
        if self._started:
            self._faults.release(NOTE, healed=False)
            self._look()

    # ------------------------------------------------------------------ events

    def arrived(self, entry: Entry) -> None:
        """An event came into the window."""
        if self.open:
            self._lines.add(entry, self._line_of(entry))
            self.work_off()

    def done(self, entry: Entry) -> None:
        """The fate of an event is stored, or it left the window."""
        self._lines.done(entry)
        self.work_off()

    def work_off(self) -> None:
        """Begin what may begin. An event that ends at once is back here before this ends."""
        if self._working or not self.open:
            return
        self._working = True
        try:
            while self.open and self._lines.ready and self._owner.may_begin():
                entry = self._lines.next()
                if self._window.holds(entry):
                    self._owner.begin(entry)
        finally:
            self._working = False

    def _line_of(self, entry: Entry) -> Hashable:
        if self._path is None:
            return None
        try:
            event = Event(self._route.reader, entry.delivery, Meta(self._route.origin, entry.delivery, 1))
            return order.key_of(event, self._path)
        except Exception:  # noqa: BLE001 - what it is comes out on its way; it is the edge that calls here
            return order.Ticket()

    # ------------------------------------------------------------------ becoming active

    def sweep(self, now: float) -> None:
        """Ten times a second, while the source is open."""
        if self.open or not self._started:
            self.work_off()
        elif self._source.pinned:
            if now >= self._look_at:
                self._look()
        else:
            if self._source.elsewhere:
                self._tell_standby()
                self._faults.note(NOTE, "standby", "another replica is active, this one waits")
            self._stand_by()
            if self._sets_back and now >= self._look_at:
                self._look()

    def _tell_standby(self) -> None:
        if not self._stands_by:
            self._stands_by = True
            log.info("standby: another replica is active", extra={"event": "route.standby", "route": self._route.name})

    def _stand_by(self) -> None:
        """Ask for one event: whoever is given it is active."""
        source = self._source
        if not source.wanted:
            source.pull(1, None if source.too_large else self._size)

    def _look(self) -> None:
        if self._looking is None or self._looking.done():
            self._looking = asyncio.get_running_loop().create_task(self._take_over())

    async def _take_over(self) -> None:
        """Look once at what is pending, and do what follows."""
        now_round = self._round
        try:
            account = await self._source.account()
            if now_round != self._round:
                return
            self._look_again()
            if self._judge(account) if self._source.pinned else self._orphaned(account):
                await self._set_back(account)
        except RouteFault as fault:
            self._look_again()
            if fault.code == "consumer-changed":
                self._owner.source_lost(fault.code, fault.text)

    def _look_again(self) -> None:
        self._look_at = self._now() + (LOOK if self._source.pinned else STANDBY_LOOK)

    def _orphaned(self, account: Account) -> bool:
        """Whether nobody is active, and nothing makes anybody so: all that may be given out has one that is gone."""
        alone = not self._source.elsewhere and account.ack_pending > 0
        self._looks = self._looks + 1 if alone else 0
        self._most_missing = account.ack_pending
        return self._looks >= SURE

    def _judge(self, account: Account) -> bool:
        """Open when everything pending is here; True when the consumer should be set back."""
        entries = self._window.entries
        missing = order.missing(entries, account.delivered, account.ack_pending)
        # Set back, it has counted from the floor again: what is here from before says nothing of what came since.
        stray = self._path is None and any(sequence > account.delivered for sequence in entries)
        if not missing and not stray:
            self._begin(account)
            return False
        self._looks += 1
        if self._looks < SURE:
            # What was handed back is given out at once, and needs no setting back.
            self._ask(missing)
            return False
        self._most_missing = max(self._most_missing, missing)
        self._faults.note(NOTE, "waiting-for-order", order.waits_for(missing))
        if self._sets_back:
            return True
        self._tell_waiting(missing)
        if missing < 0:
            # Some here are settled, by whoever had them before, or purged: what is pending of them comes at once.
            self._owner.hand_back_idle()
            self._ask_at = self._now()
        self._ask(missing)
        return False

    def _tell_waiting(self, missing: int) -> None:
        """Once a wait; its end is told as route.active."""
        if not self._waits:
            self._waits = True
            told = {"event": "route.waiting-for-order", "route": self._route.name, "events": missing}
            log.info(
                "nothing begins yet: %d pending elsewhere are waited for, until their ack-wait is over (%g s at most)",
                missing,
                self.ack_wait,
                extra={**told, "seconds": self.ack_wait},
            )

    def _ask(self, missing: int) -> None:
        """Ask for what is missing: what was handed back is given out first, the rest when its ack-wait is over."""
        now, source = self._now(), self._source
        fewer = missing < self._missing and len(self._window.entries) < self._most + missing
        self._missing = missing
        if source.wanted or missing < 1 or not (fewer or now >= self._ask_at):
            return
        self._ask_at = max(now + 1.0, self._since + self.ack_wait + LOOK)
        if source.too_large:
            source.pull(1, None)
        else:
            source.pull(missing, self._size)

    async def _set_back(self, account: Account) -> None:
        """Have all above the floor given out again, to whoever is active then; else wait for what is missing."""
        try:
            self._sets_back = await self._source.set_back()
        except RouteFault as fault:
            # Perhaps a leader is being chosen, perhaps we may not ask: waiting works always.
            self._sets_back = False
            told = {"event": "route.not-set-back", "route": self._route.name, "reason": fault.text}
            log.warning("the consumer could not be set back, waiting for ack-wait: %s", fault.text, extra=told)
            return
        if not self._sets_back:
            return
        log.warning(
            "consumer set back to its floor %d: events above it were given to another replica, or to this one before",
            account.floor,
            extra={
                "event": "route.set-back",
                "route": self._route.name,
                "floor": account.floor,
                "foreign": self._most_missing,
            },
        )
        self._owner.drop("the consumer was set back")

    def _begin(self, account: Account) -> None:
        """All that is pending is here: begin, in the order of the stream."""
        self.open = True
        self._faults.release(NOTE, healed=False)
        waited = self._now() - self._since
        log.info(
            "active" if not self._most_missing else "active, after %d events that were pending elsewhere came back",
            *(() if not self._most_missing else (self._most_missing,)),
            extra={
                "event": "route.active",
                "route": self._route.name,
                "floor": account.floor,
                "foreign": self._most_missing,
                "seconds": round(waited, 3),
            },
        )
        for entry in order.waiting(self._window.entries.values()):
            self._lines.add(entry, self._line_of(entry))
        self.work_off()
        self._owner.refill()
