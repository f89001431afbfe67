"""What is said of chains after they were verified: findings, notes, and a line for each chain."""

from __future__ import annotations

from collections import Counter
from enum import StrEnum

import msgspec

MAX_SHOWN = 1000
"""Findings and notes kept to be shown; of the others only the number is."""


class Code(StrEnum):
    """What can be wrong with a chain."""

    MISSING = "missing"
    """Records that were there are not."""
    CHANGED = "changed"
    """A record is not what the next one was tied to."""
    DUPLICATE = "duplicate"
    """A second record with the number of another."""
    OUT_OF_ORDER = "out-of-order"
    """A record stands after younger ones, and the writer says nothing of it."""
    FOREIGN = "foreign"
    """No record of a chain."""
    UNLINKED = "unlinked"
    """A chain that should follow an earlier one does not."""
    FORKED = "forked"
    """A chain went on after another one had followed it: two writers under one name, or a second history."""


class Ending(StrEnum):
    """How a chain ends, as far as can be seen."""

    CLOSED = "closed"
    """With an end record."""
    CRASHED = "crashed"
    """Without one, but a later chain is tied to its last record."""
    OPEN = "open"
    """Still being written, or crashed: nothing says that its last record is the last there was."""


class Place(msgspec.Struct, frozen=True, gc=False):
    """Where a record stands: stream and sequence, or file and line."""

    source: str
    number: int

    def __str__(self) -> str:
        return f"{self.source}:{self.number}"


class Finding(msgspec.Struct, frozen=True):
    """Something wrong, and where."""

    code: Code
    place: Place
    text: str
    chain: str = ""

    def __str__(self) -> str:
        return f"{self.place}: {self.text} ({self.code})"


class ChainSummary(msgspec.Struct, frozen=True, kw_only=True):
    """One chain as it was found."""

    chain: str
    gateway: str
    instance: str
    route: str
    sink: str
    records: int
    first: int
    """The lowest number present."""
    last: int
    first_place: Place
    last_place: Place
    cut: int
    """Records at its beginning that retention has removed."""
    ending: Ending
    follows: str
    """The chain its start record is tied to; empty when it says there was none, or is not there itself."""
    sound: bool
    """Whether nothing was found wrong with it."""


class Report:
    """Collects what is found; the lists are bounded, the counts are not."""

    def __init__(self) -> None:
        self.records = 0
        self.chains: list[ChainSummary] = []
        self.findings: list[Finding] = []
        self.notes: list[str] = []
        self.counts: Counter[Code] = Counter()
        self.faulty: set[str] = set()
        """Chains something was found wrong with."""

    @property
    def good(self) -> bool:
        """Whether nothing is wrong."""
        return not self.counts

    def find(self, code: Code, place: Place, text: str, chain: str = "") -> None:
        """Add a finding."""
        self.counts[code] += 1
        if chain:
            self.faulty.add(chain)
        if len(self.findings) < MAX_SHOWN:
            self.findings.append(Finding(code, place, text, chain))

    def note(self, text: str) -> None:
        """Add something worth saying that is not wrong."""
        if len(self.notes) < MAX_SHOWN:
            self.notes.append(text)
