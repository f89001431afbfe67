"""The window of a lane: the events in flight, and what is remembered of those handed back to the server."""

from __future__ import annotations

from collections.abc import Hashable
from enum import IntEnum

from ..event import Delivery, Event, Outcome, PubAck
from ..routing.letters import Fault
from ..routing.outputs import Copy

NEVER = float("inf")
MAX_HISTORY = 100_000
"""Events whose failed tries are remembered while the server holds them, and copies of them that are stored; the oldest
is forgotten first.
"""


class Phase(IntEnum):
    """What an event in the window is waiting for."""

    WAITING = 0
    """Its turn: the rate, or the source being opened again."""
    STEPS = 1
    """An async or blocking step."""
    PAUSED = 2
    """The next try."""
    SENDING = 3
    """PubAcks of its copies, or of its dead letter."""
    AUDITING = 4
    """Its audit record being safe."""


class Tries:
    """Failed tries of one event in this process."""

    __slots__ = ("failed", "first")

    def __init__(self) -> None:
        self.failed = 0
        self.first = 0.0
        """When the first one failed, on the monotonic clock."""


class Entry:
    """One event in flight: settled once, by `ack` or `term`, and only when its fate is stored."""

    __slots__ = (
        "copies",
        "delivery",
        "due",
        "event",
        "exhausted",
        "fault",
        "letter",
        "line",
        "open_copies",
        "outcome",
        "phase",
        "progress_due",
        "reason",
        "received",
        "since",
        "split",
        "step",
        "tries",
    )

    since: float | None
    """Since when it is being published, or waits for its audit; only a route that times its steps sets it."""

    def __init__(self, delivery: Delivery, received: float, progress_due: float) -> None:
        self.delivery = delivery
        self.split = 0
        """Bytes of the copies a split made of it, which are all there at once, each with what surrounds it."""
        self.received = received
        self.progress_due = progress_due
        """When the server must be told that it is still being worked on."""
        self.due = NEVER
        """When the sweep must look at it, for any other reason."""
        self.phase = Phase.WAITING
        self.line: Hashable = None
        """What it is in order with, on an ordered route."""
        self.event: Event | None = None
        """The event as it came, once decoded; opened before its first try begins when its order asks for that."""
        self.copies: list[Copy] = []
        self.open_copies = 0
        self.letter: Copy | None = None
        self.fault: Fault | None = None
        self.tries: Tries | None = None
        self.outcome = Outcome.PUBLISHED
        self.step = ""
        self.reason = ""
        self.exhausted = ""


class Window:
    """Entries by stream sequence, and their bytes."""

    __slots__ = ("entries", "handed_back", "history", "parked", "size", "split", "stored")

    def __init__(self) -> None:
        self.entries: dict[int, Entry] = {}
        self.handed_back = 0
        """Entries given back to the server, ever."""
        self.history: dict[int, Tries] = {}
        self.parked: dict[int, float] = {}
        """Parked events by sequence, and until when one counts that does not come back here."""
        self.stored: dict[str, tuple[str, PubAck]] = {}
        """Copies of events that were given back or forgotten, by message id: when those come again, the target's
        duplicate window may be over. Each with its subject: after a reload the target may be another stream.
        """
        self.size = 0
        """Bytes of the deliveries in flight."""
        self.split = 0
        """Bytes that splits added to them."""

    def add(self, entry: Entry) -> None:
        """Take an entry in."""
        self.entries[entry.delivery.sequence] = entry
        self.size += entry.delivery.size

    def remove(self, entry: Entry) -> bool:
        """Let an entry go; False when it is not (or no longer) this one."""
        sequence = entry.delivery.sequence
        if self.entries.get(sequence) is not entry:
            return False
        del self.entries[sequence]
        self.size -= entry.delivery.size
        self.split -= entry.split
        return True

    def hand_back(self, entry: Entry) -> None:
        """Let an entry go that is the server's again."""
        self.handed_back += 1
        self.remember(entry)
        self.remove(entry)

    def note_split(self, entry: Entry, size: int) -> None:
        """A split made copies of so many bytes of an entry."""
        self.split += size - entry.split
        entry.split = size

    def holds(self, entry: Entry) -> bool:
        """Whether this very entry is in flight."""
        return self.entries.get(entry.delivery.sequence) is entry

    def tries_of(self, entry: Entry) -> Tries:
        """The failed tries of an event, remembered from now on."""
        if entry.tries is None:
            sequence = entry.delivery.sequence
            tries = self.history.get(sequence)
            if tries is None:
                while len(self.history) >= MAX_HISTORY:
                    del self.history[next(iter(self.history))]
                tries = self.history[sequence] = Tries()
            entry.tries = tries
        return entry.tries

    def remember(self, entry: Entry) -> None:
        """Keep in mind which copies of an entry are stored: it comes again, perhaps after the duplicate window."""
        for copy in entry.copies:
            if copy.ack is not None:
                self.stored[copy.message_id] = copy.subject, copy.ack
        while len(self.stored) > MAX_HISTORY:
            del self.stored[next(iter(self.stored))]

    def missing(self, copies: list[Copy]) -> list[Copy]:
        """Those of an event's copies that are not known to be stored; the others get the acks they had."""
        for copy in copies:
            subject, ack = self.stored.pop(copy.message_id, ("", None))
            named = None if copy.target is None else copy.target.stream
            if ack is not None and subject == copy.subject and named in (None, ack.stream):
                copy.ack = ack
        return [copy for copy in copies if copy.ack is None]

    def forget(self) -> None:
        """Drop every entry: the server has given them away."""
        for entry in self.entries.values():
            self.remember(entry)
        self.entries.clear()
        self.size = self.split = 0
