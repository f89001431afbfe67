"""What became of the letters of a run so far."""

from __future__ import annotations

from collections import Counter

from .plan import EXAMPLES


class Tally:
    """Counts of one run; every letter ends in `removed`, `kept` or `gone`, or was not come to."""

    def __init__(self, letters: int) -> None:
        self.letters = letters
        """How many there are to do."""
        self.published = 0
        """Events that every target stored, or the source."""
        self.dead_lettered = 0
        """Events that failed again, and are in a new letter."""
        self.proved = 0
        """Copies that a run before had stored already, as was seen in their stream."""
        self.removed = 0
        self.kept: Counter[str] = Counter()
        """Letters that stay, by reason."""
        self.examples: dict[str, list[str]] = {}
        """Some of them."""
        self.gone = 0
        """Letters that somebody else removed before their turn came."""
        self.returned = 0
        """Letters begun and given back, because the run ended."""
        self.last = ""
        """The letter that had its end last."""

    @property
    def done(self) -> int:
        """Letters that have their end."""
        return self.published + self.dead_lettered + self.gone + sum(self.kept.values())

    def keep(self, reason: str, place: str, number: int = 1) -> None:
        """A letter stays."""
        self.kept[reason] += number
        examples = self.examples.setdefault(reason, [])
        if len(examples) < EXAMPLES:
            examples.append(place)
