"""Order of a route: one replica is active, it begins when all that came before is here, and one after the other."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Hashable
from typing import Protocol

from ..event import Event, Meta
from ..paths import Path
from ..ports import Clock, OrderedSource
from ..routing.route import CompiledRoute
from . import order, takeover
from .faults import Faults
from .window import Entry, Phase, Window

SLICE = 0.05
"""Seconds in which events are opened and begun one after the other before the loop turns: meanwhile nothing is told to
be in progress, and nobody else has a turn. What takes longer than ack-wait altogether would be given away, all of it,
and take as long the next time.
"""


class Owner(takeover.Owner, Protocol):
    """What the order asks of its lane."""

    begin: Callable[[Entry], None]
    """Starts an event on its way."""

    def may_begin(self) -> bool:
        """Whether the rate, and the room, allow another event now."""
        ...

    def refill(self) -> None: ...

    def go_on(self) -> None:
        """Call `work_off` again, unless what is here was given away meanwhile."""
        ...


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
        self._owner = owner
        self._path = path
        self._now = clock.monotonic
        self._lines = order.Lines()
        self._coming: deque[Entry] = deque()
        """Events that are in no line yet, in the order of the stream: of each the key is read first."""
        self._takeover = takeover.Takeover(
            route, source, window, faults, clock, owner, self._begin, one_line=path is None
        )
        self.open = False
        """Whether events may begin."""
        self._working = False
        self._started = False
        self._turn: asyncio.Handle | None = None
        """Set while the loop turns before the rest is worked off."""

    @property
    def behind(self) -> int:
        """Events that wait for one of their key: they take no place, else one key would stop all others."""
        return 0 if self._path is None else self._lines.behind

    # ------------------------------------------------------------------ life

    def start(self, ack_wait: float) -> None:
        """The source is open: see what is pending before anything begins."""
        self._started = True
        self.close()
        self._takeover.start(ack_wait)

    def close(self) -> None:
        """Let nothing begin; what is at work goes on."""
        self.open = False
        self._coming.clear()
        self._lines.halt()
        self._takeover.reset()

    def stop(self) -> None:
        """The source is not open, or never will be again."""
        self._started = False
        self.close()
        self._takeover.stop()

    def forget(self) -> None:
        """Nothing is in flight any more."""
        self.close()
        self._lines.clear()

    def pinned(self, ours: bool) -> None:
        """The messages come to us from now on, or to another replica."""
        self.close()
        if not ours:
            # Also while the source is being opened again: what came before a pause of ours is not ours any more.
            self._takeover.tell_standby()
            self._owner.hand_back_idle()
            return
        self._takeover.pinned()
        if self._started:
            self._takeover.look()

    # ------------------------------------------------------------------ events

    def arrived(self, entry: Entry) -> None:
        """An event came into the window."""
        if self.open:
            self._coming.append(entry)
            self.work_off()

    def done(self, entry: Entry) -> None:
        """The fate of an event is stored, or it left the window."""
        self._lines.done(entry)
        self.work_off()

    def work_off(self) -> None:
        """Begin what may begin. An event that ends at once is back here before this ends."""
        lines, coming = self._lines, self._coming
        if self._working or self._turn is not None or not self.open or not (lines.ready or coming):
            return
        self._working = True
        until = self._now() + SLICE
        came: Entry | None = None
        try:
            while self.open:
                if lines.ready and self._owner.may_begin():
                    entry = lines.next()
                    if self._window.holds(entry):
                        self._owner.begin(entry)
                elif coming:
                    _close_again(came)
                    came = self._line_up(coming.popleft())
                else:
                    break
                if self._now() > until:
                    self._turn = asyncio.get_running_loop().call_soon(self._go_on)
                    break
        finally:
            self._working = False
            _close_again(came)

    def _line_up(self, entry: Entry) -> Entry:
        """Put an event at the end of its line. Opened for its key, it is not decoded again when it begins now."""
        if self._window.holds(entry):
            entry.event, line = self._opened(entry)
            self._lines.add(entry, line)
        return entry

    def _go_on(self) -> None:
        self._turn = None
        self._owner.go_on()

    def _opened(self, entry: Entry) -> tuple[Event | None, Hashable]:
        """The event, where it had to be opened, and the line it is in."""
        if self._path is None:
            return None, None
        try:
            event = Event(self._route.reader, entry.delivery, Meta(self._route.origin, entry.delivery, 1))
            return event, order.key_of(event, self._path)
        except Exception:  # noqa: BLE001 - what it is comes out on its way; it is the edge that calls here
            return None, order.Ticket()

    # ------------------------------------------------------------------ becoming active

    def sweep(self, now: float) -> None:
        """Ten times a second, while the source is open."""
        if self.open or not self._started:
            self.work_off()
        else:
            self._takeover.sweep(now)

    def _begin(self) -> None:
        """All that is pending is here: begin, in the order of the stream."""
        self.open = True
        self._coming.extend(order.waiting(self._window.entries.values()))
        self.work_off()
        self._owner.refill()


def _close_again(entry: Entry | None) -> None:
    """While it waits nothing decoded is kept: a key may have many thousands behind it, and a body takes ten times its
    bytes.
    """
    if entry is not None and entry.phase is Phase.WAITING:
        entry.event = None
