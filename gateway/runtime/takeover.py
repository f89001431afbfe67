"""Becoming the active replica of an ordered route: nothing begins before all that is pending is here.

Whoever becomes active may be given later events first: what an earlier reader was given and did not settle comes back
only after ack-wait. So nothing begins before the consumer's count of pending messages is what is in the window.
docs/decisions/0009 says why that is enough.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Protocol

from ..errors import RouteFault
from ..ports import Account, Clock, OrderedSource
from ..routing.route import CompiledRoute
from . import order
from .faults import Faults
from .window import Window

log = logging.getLogger("gateway.route")

LOOK = 0.25
"""Seconds between two looks at what is pending, while it is not all here."""
STANDBY_LOOK = 1.0
"""Seconds between two looks of a strict standby: whether events wait for one that is active no more."""
SURE = 2
"""Looks in a row that must agree before the consumer is set back: an ack may be on its way."""
NOTE = "order"
"""What the status of a route calls it while it waits."""
RETRY = 2.0
"""Seconds until a refused setting back is tried again; twice as long after each refusal more."""
RETRY_MOST = 300.0
"""Seconds between two tries at most. What is on its way to us at a try is lost until its ack-wait is over."""


class Owner(Protocol):
    """What becoming active asks of its lane."""

    def drop(self, why: str) -> None:
        """Let go of everything in flight: it comes again."""
        ...

    def hand_back_idle(self) -> None:
        """Give back what nothing is under way for."""
        ...

    def source_lost(self, code: str, text: str) -> None: ...


class Takeover:
    """Looks at what is pending until all of it is here, and sets the consumer back where that is the shorter way."""

    def __init__(
        self,
        route: CompiledRoute,
        source: OrderedSource,
        window: Window,
        faults: Faults,
        clock: Clock,
        owner: Owner,
        ready: Callable[[], None],
        *,
        one_line: bool,
    ) -> None:
        """`ready` is called when all is here; `one_line`: the whole stream is in order, not only what has one key."""
        self._route = route
        self._source = source
        self._window = window
        self._faults = faults
        self._now = clock.monotonic
        self._owner = owner
        self._ready = ready
        self._one_line = one_line
        self._sets_back = one_line
        """Whether what is missing can be had at once: by key, that would repeat events settled long ago."""
        self._refusals = 0
        self._again_at = 0.0
        """When the consumer may be set back next, after so many refusals in a row."""
        self._size = int(route.config.max_in_flight_bytes)
        self._most = route.config.max_in_flight
        self._round = 0
        self._stands_by = False
        """Whether it was told that another replica is active."""
        self._looking: asyncio.Task[None] | None = None
        self._ack_wait = float(route.config.source.ack_wait)
        self.reset()

    def reset(self) -> None:
        """Begin anew: what was looked at so far counts no more."""
        self._round += 1
        self._since = self._look_at = self._ask_at = self._now()
        self._looks = 0
        self._missing = self._most_missing = 0
        self._waits = False

    def start(self, ack_wait: float) -> None:
        """The source is open: see what is pending before anything begins."""
        self._ack_wait = ack_wait
        self._sets_back = self._one_line
        self._refusals, self._again_at = 0, 0.0
        if not self._source.pinned:
            self._owner.hand_back_idle()
            self._stand_by()

    def stop(self) -> None:
        """The source is not open, or never will be again."""
        if self._looking is not None:
            self._looking.cancel()

    def pinned(self) -> None:
        """The messages come to us from now on."""
        self._stands_by = False

    def look(self) -> None:
        """See what is pending, as long as nobody does."""
        self._faults.release(NOTE, healed=False)
        self._look()

    def sweep(self, now: float) -> None:
        """Ten times a second, while the source is open and nothing may begin."""
        if self._source.pinned:
            if now >= self._look_at:
                self._look()
            return
        if self._source.elsewhere:
            self.tell_standby()
            self._faults.note(NOTE, "standby", "another replica is active, this one waits")
        self._stand_by()
        if self._sets_back and now >= self._look_at:
            self._look()

    def tell_standby(self) -> None:
        """Another replica is active; said once, until this one is."""
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
        return self._looks >= SURE and self._now() >= self._again_at

    def _judge(self, account: Account) -> bool:
        """Open when everything pending is here; True when the consumer should be set back."""
        entries = self._window.entries
        missing = order.missing(entries, account.delivered, account.ack_pending)
        # Set back, it has counted from the floor again: what is here from before says nothing of what came since.
        stray = self._one_line and any(sequence > account.delivered for sequence in entries)
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
        if self._sets_back and self._now() >= self._again_at:
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
                self._ack_wait,
                extra={**told, "seconds": self._ack_wait},
            )

    def _ask(self, missing: int) -> None:
        """Ask for what is missing: what was handed back is given out first, the rest when its ack-wait is over."""
        now, source = self._now(), self._source
        fewer = missing < self._missing and len(self._window.entries) < self._most + missing
        self._missing = missing
        if source.wanted or missing < 1 or not (fewer or now >= self._ask_at):
            return
        self._ask_at = max(now + 1.0, self._since + self._ack_wait + LOOK)
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
            self._put_off(fault)
            return
        if not self._sets_back:
            return
        self._refusals = 0
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

    def _put_off(self, fault: RouteFault) -> None:
        """The consumer was not set back: try that again later."""
        pause = min(RETRY_MOST, RETRY * 2 ** min(self._refusals, 16))
        self._again_at = self._now() + pause
        self._refusals += 1
        if self._refusals > 1:
            return
        told = {"event": "route.not-set-back", "route": self._route.name, "reason": fault.text}
        log.warning("the consumer could not be set back, waiting for ack-wait: %s", fault.text, extra=told)

    def _begin(self, account: Account) -> None:
        """All that is pending is here: begin, in the order of the stream."""
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
        self._ready()
