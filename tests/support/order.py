"""Whether a stream kept the order that a route promised: pure, from what the stream holds."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from .streams import Stored


@dataclass(frozen=True)
class Arrived:
    """One message of a target stream, as far as order goes."""

    id: str
    """Its `Nats-Msg-Id`: what comes again under it, after a duplicate window, is a duplicate and no disorder."""
    sequence: int
    """Of its event in the source stream."""
    copy: int = 0
    """Which of the copies of its event it is, where those have an order."""
    key: object = ""
    """What it is in order with; the same for all where the whole stream has one order."""


def disorder(messages: Iterable[Arrived]) -> list[str]:
    """What is out of order: a sentence for each message whose turn was before one that is already there.

    The first occurrence of each id counts. Events of one key must come in the order of their sequences, whichever
    target they are for; copies of one event for one target in the order of their numbers.
    """
    seen: set[str] = set()
    last: dict[object, Arrived] = {}
    last_copy: dict[tuple[str, int], Arrived] = {}
    found = []
    for message in messages:
        if message.id in seen:
            continue
        seen.add(message.id)
        before = last.get(message.key)
        if before is not None and message.sequence < before.sequence:
            found.append(f"key {message.key!r}: event {message.sequence} after {before.sequence}")
        else:
            last[message.key] = message
        event = (message.id.partition(".")[0], message.sequence)
        copy = last_copy.get(event)
        if copy is not None and message.copy < copy.copy:
            found.append(f"event {message.sequence}: copy {message.copy} after {copy.copy}")
        else:
            last_copy[event] = message
    return found


def one_order(message: Stored) -> object:
    """All events are in order with each other."""
    return ""


def by_key(message: Stored) -> object:
    """Those with one `key` in their body are."""
    return message.json["key"]


def arrivals(messages: Iterable[Stored], key: Callable[[Stored], object] = one_order) -> list[Arrived]:
    """The messages a route put into a stream; `key` says what each is in order with.

    The id is `<digest>.<sequence>.<copy>`, of a dead letter `<digest>.<sequence>`; a copy that a transform gave a key
    of its own, `k...`, has no number.
    """
    found = []
    for message in messages:
        ident = message.headers["Nats-Msg-Id"]
        _, sequence, *rest = ident.split(".")
        copy = int(rest[0]) if rest and rest[0].isdigit() else 0
        found.append(Arrived(ident, int(sequence), copy, key(message)))
    return found
