"""Writes a chain: gives each record its number and ties it to the bytes of the one before."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import msgspec

from ..records import AuditRecord, TargetRecord
from .stored import Follows, Kind, Last, OwnRecord, Torn, digest, line_of

MAX_RECORD = 256 << 10
"""Bytes of one stored record. Ids and subjects come from events, and a split may have any number of copies: a record
that no stream takes would hold its route for good.
"""
KEPT_TEXT = 1000
"""Characters that are left of a text in a record that would be too large."""
KEPT_TARGETS = 100

_encode = msgspec.json.Encoder().encode


class Sealed(NamedTuple):
    """One record of a chain, ready to be stored: its number and its bytes."""

    n: int
    data: bytes


class Chain:
    """One chain under construction. What is sealed has to be stored: the next one is tied to it."""

    def __init__(self, gateway: str, instance: str, route: str, sink: str, *, line: str | None = None) -> None:
        """`line` is what the names of this writer's chains share, where it is not made of the four."""
        self.gateway = gateway
        self.instance = instance
        self.route = route
        self.sink = sink
        self.id = f"{line or line_of(gateway, instance, route, sink)}-{secrets.token_hex(8)}"
        self._link = f',"chain":"{self.id}","n":'.encode()
        self._next = 0
        self._head = ""

    @property
    def last(self) -> Last:
        """The newest record sealed."""
        return Last(self.id, self._next - 1, self._head)

    def start(self, follows: Last | None, searched: int | None, torn: Sequence[Torn] = ()) -> Sealed:
        """The first record. `follows` is the newest one of the writer's chain before, None when none was found."""
        self._head = "" if follows is None else follows.digest
        link = None if follows is None else Follows(follows.chain, follows.n)
        return self._own(Kind.START, follows=link, searched=searched, torn=tuple(torn))

    def seal(self, record: AuditRecord) -> Sealed:
        """The record with its place in the chain."""
        try:
            data = _encode(record)
        except UnicodeEncodeError:
            # Subjects and headers may hold bytes that are no UTF-8; JSON cannot.
            record = printable(record)
            data = _encode(record)
        if len(data) > MAX_RECORD:
            data = _encode(shortened(record))[:-1] + b',"shortened":true}'
        return self._tie(data)

    def late(self, numbers: Sequence[int]) -> Sealed:
        """Say which records were stored after younger ones."""
        return self._own(Kind.LATE, late=ranges(numbers))

    def end(self) -> Sealed:
        """The last record."""
        return self._own(Kind.END)

    def _own(
        self,
        kind: Kind,
        *,
        follows: Follows | None = None,
        searched: int | None = None,
        torn: tuple[Torn, ...] = (),
        late: tuple[tuple[int, int], ...] = (),
    ) -> Sealed:
        record = OwnRecord(
            kind=kind,
            time=datetime.now(UTC),
            gateway=self.gateway,
            instance=self.instance,
            route=self.route,
            sink=self.sink,
            follows=follows,
            searched=searched,
            torn=torn,
            late=late,
        )
        return self._tie(_encode(record))

    def _tie(self, data: bytes) -> Sealed:
        n = self._next
        # Spliced in: a copy of the record with three more fields would cost more than its encoding.
        data = b"".join((data[:-1], self._link, f'{n},"previous":"{self._head}"}}'.encode()))
        self._head = digest(data)
        self._next = n + 1
        return Sealed(n, data)


def shortened(record: AuditRecord) -> AuditRecord:
    """The record with long texts cut and only its first targets: what an event says of itself has no limit."""
    texts = {
        name: value[:KEPT_TEXT] + "..."
        for name in ("reason", "event_id", "event_type", "event_source", "subject", "correlation_id", "causation_id")
        if len(value := getattr(record, name)) > KEPT_TEXT
    }
    return msgspec.structs.replace(record, targets=record.targets[:KEPT_TARGETS], **texts)


def printable(record: AuditRecord) -> AuditRecord:
    """The record with what has no UTF-8 written as escapes."""
    targets = tuple(msgspec.structs.replace(target, **_printable(target)) for target in record.targets)
    return msgspec.structs.replace(record, targets=targets, **_printable(record))


def _printable(struct: AuditRecord | TargetRecord) -> dict[str, str]:
    values = ((name, getattr(struct, name)) for name in struct.__struct_fields__)
    return {name: value.encode("utf-8", "backslashreplace").decode() for name, value in values if type(value) is str}


def ranges(numbers: Sequence[int]) -> tuple[tuple[int, int], ...]:
    """Ascending numbers as ranges: 3, 4, 5, 9 are (3, 5), (9, 9)."""
    found: list[tuple[int, int]] = []
    for number in numbers:
        if found and found[-1][1] == number - 1:
            found[-1] = (found[-1][0], number)
        else:
            found.append((number, number))
    return tuple(found)
