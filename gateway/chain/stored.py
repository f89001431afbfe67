"""The stored form of an audit record: one JSON object, its own fields and then those that chain it.

    {"id": ..., "outcome": ..., "chain": "3f0c...-91ab...", "n": 17, "previous": "<sha-256 of record 16's bytes>"}

A chain also holds a few records of its own, which have a `kind` and no `outcome`: `start`, `late`, `end`.
docs/audit.md describes them for readers; docs/decisions/0008 says why they are as they are.
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from enum import StrEnum

import msgspec

LINE_DIGITS = 16
"""Hexadecimal digits of a chain's name that all chains of one writer share."""


class Kind(StrEnum):
    """What a record of a chain is, when it is no audit record."""

    START = "start"
    """The first one of every chain: who writes it, and which chain it follows."""
    LATE = "late"
    """Names records that were stored after younger ones, because the stream had refused them at first."""
    END = "end"
    """The writer stopped in good order."""


class Last(msgspec.Struct, frozen=True):
    """The newest record of a chain: what the next one, or the next chain, is tied to."""

    chain: str
    n: int
    digest: str
    """SHA-256 of its bytes, in hexadecimal."""


class Follows(msgspec.Struct, frozen=True):
    """The record a start record is tied to; its digest is the start record's `previous`."""

    chain: str
    n: int


class Torn(msgspec.Struct, frozen=True):
    """Half a line that a crash left in a file; the start record after it says so."""

    bytes: int
    digest: str


class Stored(msgspec.Struct, frozen=True, gc=False):
    """What is read back of a stored record: the chain's fields, and who wrote it."""

    chain: str
    n: int
    previous: str
    kind: Kind | None = None
    gateway: str = ""
    instance: str = ""
    route: str = ""
    sink: str = ""
    follows: Follows | None = None
    searched: int | None = None
    """Records looked through without finding one to follow; None: all there were."""
    torn: tuple[Torn, ...] = ()
    late: tuple[tuple[int, int], ...] = ()
    """Ranges of numbers, both ends included."""


class OwnRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A record of the chain itself, as it is written, but for its last three fields."""

    kind: Kind
    time: datetime
    gateway: str
    instance: str
    route: str
    sink: str
    follows: Follows | None = None
    searched: int | None = None
    torn: tuple[Torn, ...] = ()
    late: tuple[tuple[int, int], ...] = ()


_read = msgspec.json.Decoder(Stored).decode


def read(data: bytes) -> Stored | None:
    """Read a stored record; None for what is none."""
    try:
        stored = _read(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return stored if stored.n >= 0 and stored.chain else None


def digest(data: bytes) -> str:
    """SHA-256 in hexadecimal: what `previous` says of the record before."""
    return hashlib.sha256(data).hexdigest()


def line_of(gateway: str, instance: str, route: str, sink: str) -> str:
    """What the names of all chains of one writer begin with."""
    return digest("\0".join((gateway, instance, route, sink)).encode())[:LINE_DIGITS]


def line_in(chain: str) -> str:
    """The writer's part of a chain's name."""
    return chain.partition("-")[0]
