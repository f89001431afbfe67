"""Dead letters as the source of a lane: handed over as events, and removed where a consumer would acknowledge."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable

from ..errors import Retry
from ..event import Outcome
from ..jetstream.reader import AT_ONCE
from ..ports import Account, Backlog, LaneSink, SourceInfo
from ..routing.redrive import Letter, Redrive, delivery_of
from ..runtime.window import Entry
from .remover import Remover
from .store import PAUSE
from .tally import Tally

FOREVER = 10 * 365 * 86400.0
"""Seconds of ack-wait: nobody else is given a letter, so that every pause is spent here."""
FRESH = 2.0
"""Seconds after which a letter that was read is looked for again before its event is sent: another redrive may have
sent it meanwhile, and a target's duplicate window is over some time.
"""


class Pace:
    """Lets letters begin at a rate, whatever route they take."""

    def __init__(self, rate: float) -> None:
        """`rate` a second, 0 for no limit."""
        self._gap = 1 / rate if rate else 0.0
        self._next = 0.0

    async def turn(self) -> float:
        """Wait for the next turn; returns how many seconds that took."""
        wait = 0.0
        if self._gap:
            now = time.monotonic()
            self._next = max(now, self._next + self._gap)
            wait = self._next - now
            if wait > 0:
                await asyncio.sleep(wait)
        return wait


class LetterSource:
    """The letters of one route, in the order of their stream."""

    def __init__(
        self,
        route: str,
        redrive: Redrive,
        letters: Callable[[], AsyncIterator[Letter]],
        there: Callable[[Letter], Awaitable[bool]],
        meant: int,
        created: str,
        pace: Pace,
        remover: Remover,
        tally: Tally,
    ) -> None:
        """`there` says whether a letter is still in its stream; raises Retry. `meant` letters will go. `created` is the
        creation time of the stream the events came from; empty when it is gone.
        """
        self.route = route
        self._redrive = redrive
        self._letters = letters
        self._there = there
        self._meant = meant
        self._created = created
        self._pace = pace
        self._remover = remover
        self._tally = tally
        self._sink: LaneSink | None = None
        self._events = 0
        self._bytes = 0
        self._any_size = self._untouched = False
        self._feeder: asyncio.Task[None] | None = None
        self._moved = asyncio.Event()
        self._exhausted = False
        self._reasons: dict[int, str] = {}
        """Why a letter will be given back, by its event's source sequence."""
        self.taken = 0
        """Letters handed over."""
        self.too_large = False
        self.fault: Exception | None = None
        """Why the letters cannot be read any more: Retry, or a fault of this program."""
        self.finished = asyncio.Event()
        """Set when every letter has its end, or none will have it."""
        self.entry_of: Callable[[int], Entry | None] = lambda sequence: None
        """The lane's entry of an event, by its source sequence."""
        self.give_back: Callable[[Entry, float], None] = lambda entry, delay: None
        """Has the lane give an event back."""

    # ------------------------------------------------------------------ what a lane wants of a source

    async def open(self) -> SourceInfo:
        """Begin to read, once."""
        if self._feeder is None and not self.finished.is_set():
            self._feeder = asyncio.get_running_loop().create_task(self._feed())
        return SourceInfo(created=self._created, ack_wait=FOREVER)

    async def created(self) -> str:
        """As it was at the start: nothing of this run hangs on what it is now."""
        return self._created

    def attach(self, sink: LaneSink) -> None:
        """Deliver to this lane."""
        self._sink = sink

    def pull(self, events: int, size: int | None) -> bool:
        """Ask for so many letters."""
        self._events += events
        self._bytes += size or 0
        self._any_size = size is None
        self._untouched = True
        self._moved.set()
        return True

    @property
    def wanted(self) -> int:
        """Letters asked for and not yet handed over."""
        return 0 if self._exhausted else self._events

    @property
    def wanted_bytes(self) -> int:
        """Bytes asked for and not yet handed over."""
        return self._bytes

    @property
    def heard(self) -> bool:
        """There is nobody else to hear of."""
        return True

    @property
    def watched(self) -> bool:
        """Nothing is settled here but by sequence, and whose that is, the remover looks."""
        return True

    @property
    def pinned(self) -> bool:
        """Letters of an ordered route go in their own order, and nobody else has them."""
        return True

    @property
    def elsewhere(self) -> bool:
        """Never."""
        return False

    def follow(self, pinned: Callable[[bool], None]) -> None:
        """Nothing will ever be told."""

    async def account(self) -> Account:
        """What was handed over and has no end: all of it is in the lane."""
        return Account(floor=0, delivered=sys.maxsize, ack_pending=len(self._redrive.letters))

    async def set_back(self) -> bool:
        """It cannot be."""
        return False

    def check(self, now: float) -> None:
        """No request can die: there is none."""

    def ack(self, token: str) -> None:
        """The event has its end. Its letter goes when streams hold all of its copies, and stays else."""
        sequence = int(token)
        letter = self._redrive.letters.pop(sequence)
        entry = self.entry_of(sequence)
        stored = entry is not None and bool(entry.copies) and all(copy.ack is not None for copy in entry.copies)
        if stored:
            self._tally.published += 1
            self._remover.remove(letter.sequence)
        else:
            # Filtered or dropped: nobody has it but its letter.
            self._tally.keep(str(entry.outcome if entry else Outcome.DROPPED), letter.place)
        self._ended(letter)

    def term(self, token: str, reason: str) -> None:
        """The event failed again. Its letter goes when a stream holds the next one."""
        sequence = int(token)
        letter = self._redrive.letters.pop(sequence)
        entry = self.entry_of(sequence)
        if entry is not None and entry.letter is not None and entry.letter.ack is not None:
            self._tally.dead_lettered += 1
            self._remover.remove(letter.sequence)
        else:
            self._tally.keep(reason, letter.place)
        self._ended(letter)

    def nak(self, token: str, delay: float = 0.0) -> None:
        """The event has no end here: its letter stays."""
        sequence = int(token)
        letter = self._redrive.letters.pop(sequence)
        entry = self.entry_of(sequence)
        reason = self._reasons.pop(sequence, "")
        if not reason and delay > 0 and entry is not None:  # parked: it can have no next letter
            reason = (
                entry.letter.code if entry.letter is not None else entry.fault.code if entry.fault is not None else ""
            )
        if reason:
            self._tally.keep(reason, letter.place)
        else:
            self._tally.returned += 1
        self._ended(letter, done=bool(reason))

    def progress(self, token: str) -> None:
        """Nobody waits to hear of it."""

    async def pending(self) -> Backlog:
        """Nothing that is not in flight."""
        return Backlog(pending=0, unsettled=len(self._redrive.letters))

    async def close(self) -> None:
        """Hand over no more."""
        if self._feeder is not None:
            self._feeder.cancel()
            await asyncio.wait({self._feeder})

    # ------------------------------------------------------------------ what the run wants of it

    def keep(self, letter_sequence: int, reason: str) -> None:
        """A letter in flight can have no end; it is given back and stays."""
        for sequence, letter in self._redrive.letters.items():
            if letter.sequence == letter_sequence:
                entry = self.entry_of(sequence)
                if entry is not None:
                    self._reasons[sequence] = reason
                    self.give_back(entry, 0.0)
                return

    def give_up(self) -> None:
        """None of the letters was begun, and none will be."""
        if self._feeder is not None:
            self._feeder.cancel()
        self.finished.set()

    def moved(self) -> None:
        """Something changed that may let the next letter begin."""
        self._moved.set()

    # ------------------------------------------------------------------ reading

    async def _feed(self) -> None:
        # A letter was read after that many before it were handed over.
        begun = deque([time.monotonic()], maxlen=AT_ONCE)
        try:
            async with contextlib.aclosing(self._letters()) as letters:  # type: ignore[type-var]
                async for letter in letters:
                    delivery = delivery_of(letter)
                    await self._room(delivery.sequence, delivery.size)
                    # Before its turn, so that those that are gone take no turns, and after one that was long in coming.
                    if time.monotonic() - begun[0] > FRESH and not await self._still_there(letter):
                        continue
                    if await self._pace.turn() > FRESH and not await self._still_there(letter):
                        continue
                    begun.append(time.monotonic())
                    self._redrive.letters[delivery.sequence] = letter
                    self._events -= 1
                    self._bytes = max(0, self._bytes - delivery.size)
                    self._untouched = self.too_large = False
                    self.taken += 1
                    if self._sink is not None:
                        self._sink.delivered(delivery)
        except Exception as error:  # noqa: BLE001 - the run raises it; nobody else waits for this task
            self.fault = error
            self.finished.set()
        else:
            self._exhausted = True
            self._tally.gone += self._meant - self.taken
            self._look_whether_finished()

    async def _still_there(self, letter: Letter) -> bool:
        """Whether a letter is in its stream now; raises Retry. Until somebody answers it is asked again."""
        while True:
            try:
                return await self._there(letter)
            except Retry as error:
                if error.code != "unavailable":
                    raise
                await asyncio.sleep(PAUSE)

    async def _room(self, sequence: int, size: int) -> None:
        """Wait until the lane has room for the next letter, and the remover keeps up.

        One event at a time has a source sequence: two letters may be of one event, or of a stream made anew.
        """
        while True:
            self._moved.clear()
            if self._events > 0 and sequence not in self._redrive.letters and not self._remover.full:
                if self._any_size or size <= self._bytes:
                    return
                # Larger than what is left of the request: the lane asks anew, or waits until the letter fits alone.
                self.too_large = self._untouched
                self._events = self._bytes = 0
                if self._sink is not None:
                    self._sink.pull_ended()
                continue
            await self._moved.wait()

    def _ended(self, letter: Letter, *, done: bool = True) -> None:
        if done:
            self._tally.last = letter.place
        self._moved.set()
        self._look_whether_finished()

    def _look_whether_finished(self) -> None:
        if self._exhausted and not self._redrive.letters:
            self.finished.set()
