"""What is remembered of one chain while its records are read, in the order they were stored."""

from __future__ import annotations

import msgspec

from .report import Code, Place, Report
from .stored import Kind, Stored

MAX_GAPS = 1000
"""Gaps of one chain that are kept open for late records; the oldest is closed for good when there are more."""
MAX_LATE = 100_000
"""Late records remembered until the writer speaks of them."""


class Gap(msgspec.Struct):
    """Numbers from `low` to `high` that are not there, and what their neighbours say of them."""

    low: int
    high: int
    before: str
    """Digest of the record before; empty when that is not known."""
    after: str
    """What the record after says of the one before it."""
    place: Place
    """Of the record after."""


class ChainState:
    """One chain. `see` takes its records; what is then still open is told by `gaps` and `late`."""

    def __init__(self, stored: Stored, digest: str, place: Place, report: Report) -> None:
        self.id = stored.chain
        self.report = report
        self.writer = stored
        """A record that says who wrote the chain; the start record as soon as it is seen."""
        self.start: Stored | None = None
        self.ended = False
        self.records = 1
        self.first = self.last = stored.n
        self.first_place = self.last_place = place
        self.head = digest
        """Of the record with the highest number."""
        self.gaps: list[Gap] = []
        self.late: dict[int, Place] = {}
        self.follower = ""
        """The chain that is tied to this one."""
        if stored.n:
            self.gaps.append(Gap(0, stored.n - 1, "", stored.previous, place))
        self._note(stored, place)

    def see(self, stored: Stored, digest: str, place: Place) -> None:
        """Take the next record as it was stored."""
        self.records += 1
        n = stored.n
        if n > self.last:
            if self.ended:
                self.report.find(Code.FORKED, place, f"record {n} stands after the chain's end record", self.id)
            if n == self.last + 1:
                self._tied(stored.previous, self.head, n - 1, self.last_place)
            else:
                self._open(Gap(self.last + 1, n - 1, self.head, stored.previous, place))
            self.last, self.last_place, self.head = n, place, digest
        elif not self._fill(stored, digest, place):
            text = f"record {n} of the chain for a second time"
            self.report.find(Code.DUPLICATE, place, text, self.id)
            return
        self._note(stored, place)

    def _note(self, stored: Stored, place: Place) -> None:
        """Take what the record says of the chain itself."""
        if (stored.n == 0) != (stored.kind is Kind.START):
            what = "record 0 is no start record" if stored.n == 0 else f"record {stored.n} is a start record"
            self.report.find(Code.CHANGED, place, what, self.id)
        elif stored.kind is Kind.START:
            self.start = self.writer = stored
        elif stored.kind is Kind.END:
            self.ended = True
        elif stored.kind is Kind.LATE:
            for low, high in stored.late:
                for n in [n for n in self.late if low <= n <= high]:
                    del self.late[n]

    def _open(self, gap: Gap) -> None:
        self.gaps.append(gap)
        if len(self.gaps) > MAX_GAPS:
            self.missing(self.gaps.pop(0))

    def _fill(self, stored: Stored, digest: str, place: Place) -> bool:
        """Put a late record into its gap; False when there is none for it."""
        n = stored.n
        found = next((gap for gap in self.gaps if gap.low <= n <= gap.high), None)
        if found is None:
            return False
        if len(self.late) < MAX_LATE:
            self.late[n] = place
        self.gaps.remove(found)
        if n == found.low:
            if found.before:
                self._tied(stored.previous, found.before, n - 1, place)
        else:
            self.gaps.append(Gap(found.low, n - 1, found.before, stored.previous, place))
        if n == found.high:
            self._tied(found.after, digest, n, place)
        else:
            self.gaps.append(Gap(n + 1, found.high, digest, found.after, found.place))
        if n < self.first:
            self.first, self.first_place = n, place
        return True

    def _tied(self, said: str, is_: str, n: int, place: Place) -> None:
        """Compare what a record says of the one before it with what that is."""
        if said != is_:
            text = f"record {n} is not the one that record {n + 1} was tied to: one of them was changed"
            self.report.find(Code.CHANGED, place, text, self.id)

    def missing(self, gap: Gap) -> None:
        """A gap that nothing explains."""
        count = gap.high - gap.low + 1
        what = f"record {gap.low} is" if count == 1 else f"{count} records, {gap.low} to {gap.high}, are"
        where = "" if gap.high >= self.last else f" before record {gap.high + 1}"
        self.report.find(Code.MISSING, gap.place, f"{what} missing{where}", self.id)
