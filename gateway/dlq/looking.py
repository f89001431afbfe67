"""Looking at dead letters, and removing them unsent: list, show, stats, purge."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import AsyncIterator, Callable

import msgspec

from ..routing.redrive import Letter
from .remover import Remover
from .selection import Selection, Sieve
from .store import DeadLetters
from .tally import Tally

WORST = 20
"""Codes, routes or targets shown one by one."""


class Found:
    """Letters of one look, and what else there was."""

    def __init__(self) -> None:
        self.meant = 0
        """Letters that are meant, shown or not."""
        self.no_letters = 0
        self.of_others: Counter[str] = Counter()

    def add(self, sieve: Sieve) -> None:
        """Count what one stream held beside."""
        self.no_letters += sieve.no_letters
        self.of_others.update(sieve.of_others)


async def sift(streams: list[DeadLetters], selection: Selection, found: Found) -> AsyncIterator[Letter]:
    """The letters of all streams that are meant, stream by stream, the oldest first; raises Retry."""
    for letters in streams:
        sieve = Sieve(selection)
        async for letter in sieve.sift(letters.meant(selection.sequences)):
            found.meant += 1
            yield letter
        found.add(sieve)


async def newest(streams: list[DeadLetters], selection: Selection, limit: int, found: Found) -> list[Letter]:
    """The newest letters that are meant, the last one last; without their bodies, which nobody looks at here."""
    newest: list[Letter] = []
    for letters in streams:
        kept: deque[Letter] = deque(maxlen=limit or None)
        async for letter in sift([letters], selection, found):
            kept.append(msgspec.structs.replace(letter, data=b"", header_block=b""))
        # The last ones of a stream may all be older than those of another.
        newest = sorted([*newest, *kept], key=lambda letter: letter.stored_ns)[-limit:]
    return newest


class Stats:
    """Counts over letters."""

    def __init__(self) -> None:
        self.letters = 0
        self.bytes = 0
        self.routes: dict[str, Counter[str]] = {}
        """By route, then by code."""
        self.examples: dict[tuple[str, str], tuple[str, int]] = {}
        """A letter of each route and code: its stream and its sequence."""
        self.targets: Counter[str] = Counter()
        """Failed targets, as `route/target`."""
        self.redriven = 0
        """Letters of events that were redriven before."""
        self.omitted = 0
        self.oldest: Letter | None = None
        self.newest: Letter | None = None

    def add(self, letter: Letter) -> None:
        """Count a letter."""
        self.letters += 1
        self.bytes += len(letter.data) + len(letter.header_block)
        self.routes.setdefault(letter.route, Counter())[letter.code] += 1
        self.examples[letter.route, letter.code] = letter.stream, letter.sequence
        self.targets.update(f"{letter.route}/{target}" for target in letter.failed_targets)
        self.redriven += letter.redrives > 0
        self.omitted += letter.omitted
        if self.oldest is None or letter.stored_ns < self.oldest.stored_ns:
            self.oldest = msgspec.structs.replace(letter, data=b"", header_block=b"")
        if self.newest is None or letter.stored_ns >= self.newest.stored_ns:
            self.newest = msgspec.structs.replace(letter, data=b"", header_block=b"")

    @property
    def codes(self) -> Counter[str]:
        """By code, of all routes."""
        return sum(self.routes.values(), Counter())


async def purge(
    streams: list[DeadLetters],
    selection: Selection,
    limit: int,
    found: Found,
    patience: float,
    progress: Callable[[int], None],
    *,
    dry_run: bool,
) -> int:
    """Remove letters that are meant, the oldest first, at most `limit` (0: all); returns how many. Raises Retry.

    One by one: a purge of the stream would take what is no letter, and what came since.
    """
    tally = Tally(0)
    removed = 0
    for letters in streams:
        sieve = Sieve(selection)
        if not dry_run:
            await letters.check_removal()
        remover = Remover(letters, tally, lambda: None)
        remover.start()
        try:
            async for letter in sieve.sift(letters.meant(selection.sequences)):
                if limit and found.meant >= limit:
                    break
                found.meant += 1
                if not dry_run:
                    remover.remove(letter.sequence)
                    if remover.full:
                        await remover.flushed(patience)
                        progress(tally.removed)
                        if remover.left:  # what is read from here on could not be removed either
                            break
            await remover.flushed(patience)
        finally:
            remover.close()
        found.add(sieve)
        removed = tally.removed
        if remover.left:
            raise remover.excuse
    return removed
