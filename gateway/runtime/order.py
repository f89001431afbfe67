"""Lines of events: of each line one event is at work, and the next begins when the fate of that one is stored. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Iterable

from ..components.canonical import canonical
from ..event import Event
from ..missing import MISSING
from ..paths import Path
from .window import Entry, Phase


class Lines:
    """Entries by line, and which of them may begin, in the order in which that became so."""

    def __init__(self) -> None:
        self._heads: dict[Hashable, Entry] = {}
        self._lines: dict[Hashable, deque[Entry]] = {}
        self._ready: deque[Entry] = deque()
        self.behind = 0
        """Entries that wait for one before them."""

    @property
    def ready(self) -> int:
        """Entries that may begin."""
        return len(self._ready)

    def add(self, entry: Entry, line: Hashable) -> None:
        """Put an entry at the end of its line."""
        entry.line = line
        if line in self._heads:
            self._lines.setdefault(line, deque()).append(entry)
            self.behind += 1
        else:
            self._heads[line] = entry
            self._ready.append(entry)

    def next(self) -> Entry:
        """The entry to begin now; IndexError when there is none."""
        return self._ready.popleft()

    def done(self, entry: Entry) -> None:
        """The fate of an entry is stored, or it left: the one behind it may begin. Harmless the second time."""
        line = entry.line
        if self._heads.get(line) is not entry:
            return
        waiting = self._lines.get(line)
        if waiting is None:
            del self._heads[line]
            return
        self._heads[line] = head = waiting.popleft()
        self._ready.append(head)
        self.behind -= 1
        if not waiting:
            del self._lines[line]

    def halt(self) -> None:
        """Let go of everything that has not begun; what is at work keeps its line."""
        for entry in self._ready:
            del self._heads[entry.line]
        self._ready.clear()
        self._lines.clear()
        self.behind = 0

    def clear(self) -> None:
        """Let go of everything."""
        self.halt()
        self._heads.clear()


class Ticket:
    """A line of its own, for what is in order with nothing."""


def key_of(event: Event, path: Path) -> Hashable:
    """What an event is in order with: all that lack the value, or have null there, share a line. Raises DecodeError."""
    value = path.read(event)
    if value is MISSING:
        return None
    return value if value is None or isinstance(value, (str, int, float, bool)) else canonical(value)


def missing(entries: Iterable[int], delivered: int, ack_pending: int) -> int:
    """How many messages are given out and unsettled that are not here.

    `entries` are the sequences here; those above `delivered` were given out after the server counted. Below zero: some
    of them are not given out to us any more.
    """
    return ack_pending - sum(1 for sequence in entries if sequence <= delivered)


def waits_for(missing: int) -> str:
    """What is waited for, in words. Fewer than none are missing when some of those here are settled already."""
    events = "1 event" if missing == 1 else f"{missing:,} events" if missing > 0 else "events"
    return f"waits for {events} that another replica was given, or this one before"


def waiting(entries: Iterable[Entry]) -> list[Entry]:
    """Those that have not begun, in the order of the stream."""
    return sorted((entry for entry in entries if entry.phase is Phase.WAITING), key=lambda e: e.delivery.sequence)
