"""What a sink has been told lately: the gateway tells a record again when it does not know that it is safe."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ...event import AuditRecord, Outcome

REMEMBERED = 20_000
"""Records remembered at least: more than any window holds events, and so more than can be told again."""


class Told:
    """The last records, by id and by what they say: an event that fares otherwise the second time is told anew."""

    def __init__(self, outcomes: Iterable[Outcome] | None = None) -> None:
        """`outcomes` limits what is wanted at all."""
        self._wanted = None if outcomes is None else frozenset(outcomes)
        self._known: dict[str, tuple[str, str]] = {}
        self._older: dict[str, tuple[str, str]] = {}

    def news(self, records: Sequence[AuditRecord]) -> list[AuditRecord]:
        """Those that are wanted and were not told before."""
        wanted, known, older = self._wanted, self._known, self._older
        return [
            record
            for record in records
            if (wanted is None or record.outcome in wanted)
            and (known.get(record.id) or older.get(record.id)) != (record.outcome, record.code)
        ]

    def remember(self, records: Sequence[AuditRecord]) -> None:
        """They are safe, or will be."""
        for record in records:
            self._known[record.id] = (record.outcome, record.code)
        if len(self._known) > REMEMBERED:
            # Two generations: taking the oldest out of one dict gets slower with each.
            self._older, self._known = self._known, {}
