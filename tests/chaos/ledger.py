"""Every event accounted for, from the streams alone. Pure: what was stored goes in, what is wrong comes out."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.support.order import Arrived, disorder
from tests.support.streams import Stored

from .events import SOURCE, Copy, Fate, canonical, key_of

Key = tuple[str, str, int]
"""Stream, subject and event: what must be there once."""
_Outputs = Mapping[str, Sequence[Stored]]
"""Messages of target and dead-letter streams by the stream's name."""


@dataclass
class Ledger:
    """The account. Lists hold a line for each thing that is wrong, and are empty on a good day."""

    events: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    """Of the events, as they must be."""
    copies: int = 0
    """Messages that must be there, dead letters included."""
    source: list[str] = field(default_factory=list)
    """What is wrong with the source stream: then the load or the servers are at fault, and not the gateway."""
    lost: list[str] = field(default_factory=list)
    duplicated: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    """Another body, code or header than must be."""
    foreign: list[str] = field(default_factory=list)
    """Messages that nothing accounts for."""
    out_of_order: list[str] = field(default_factory=list)
    unaudited: list[str] = field(default_factory=list)
    audited_wrong: list[str] = field(default_factory=list)
    repeats: int = 0
    """Audit records told again with the same id, as a crash leaves them. No fault."""

    @property
    def faults(self) -> list[str]:
        """Everything that is wrong."""
        return [
            *self.source,
            *self.lost,
            *self.duplicated,
            *self.changed,
            *self.foreign,
            *self.out_of_order,
            *self.unaudited,
            *self.audited_wrong,
        ]


def reconcile(
    events: int,
    streams: Mapping[str, Sequence[Stored]],
    fate: Callable[[int], Fate],
    in_order: Mapping[str, bool],
) -> Ledger:
    """Compare what `events` events must have become with what the streams hold.

    `streams` are the source, the targets, the dead letters and `AUDIT`; `in_order` names the routes that promise an
    order, and whether it is one per key.
    """
    ledger = Ledger(events)
    fates = [fate(n) for n in range(events)]
    ledger.outcomes.update(each.outcome for each in fates)
    sequences = _source(ledger, streams[SOURCE])
    outputs = {name: messages for name, messages in streams.items() if name not in (SOURCE, "AUDIT")}
    _copies(ledger, fates, outputs)
    _order(ledger, outputs, fates, sequences, in_order)
    _audit(ledger, fates, sequences, streams.get("AUDIT", ()))
    return ledger


def _source(ledger: Ledger, stored: Iterable[Stored]) -> dict[int, int]:
    """The sequence of each event in the source."""
    sequences: dict[int, int] = {}
    for message in stored:
        n = number(message)
        if n in sequences:
            ledger.source.append(f"event {n} is in the source twice: {sequences[n]} and {message.seq}")
        else:
            sequences[n] = message.seq
    missing = [n for n in range(ledger.events) if n not in sequences]
    ledger.source += [f"event {n} is not in the source, although its storing was acknowledged" for n in missing]
    ledger.source += [f"event {n} is in the source, and nobody published it" for n in sequences if n >= ledger.events]
    return sequences


def _copies(ledger: Ledger, fates: Sequence[Fate], outputs: _Outputs) -> None:
    wanted: dict[Key, tuple[Copy, Fate]] = {}
    for n, each in enumerate(fates):
        for copy in each.copies:
            wanted[copy.stream, copy.subject, n] = copy, each
    ledger.copies = len(wanted)
    seen: Counter[Key] = Counter()
    for stream, messages in outputs.items():
        for message in messages:
            key = stream, message.subject, number(message)
            seen[key] += 1
            if key not in wanted:
                why = [message.headers.get(name, "") for name in ("Gateway-Error-Code", "Gateway-Error-Message")]
                ledger.foreign.append(
                    f"{stream}:{message.seq} {message.subject} of event {key[2]}: nothing makes it {' '.join(why)}"
                )
            elif seen[key] > 1:
                ledger.duplicated.append(f"{stream}:{message.seq} {message.subject} of event {key[2]} again")
            else:
                ledger.changed += _differences(message, *wanted[key], f"{stream}:{message.seq} of event {key[2]}")
    ledger.lost += [f"{key[0]} {key[1]} of event {key[2]}: not there" for key in wanted if key not in seen]


def _differences(message: Stored, copy: Copy, fate: Fate, where: str) -> list[str]:
    found = []
    body: bytes | str = message.data if isinstance(copy.body, bytes) else canonical(message.data)
    if body != copy.body:
        found.append(f"{where}: {body[:200]!r} instead of {copy.body[:200]!r}")
    if copy.stream == "DLQ":
        told = message.headers.get("Gateway-Error-Code"), message.headers.get("Gateway-Route")
        if told != (fate.code, fate.route):
            found.append(f"{where}: a dead letter of {told} instead of {(fate.code, fate.route)}")
    return found


def _order(
    ledger: Ledger, streams: _Outputs, fates: Sequence[Fate], sequences: Mapping[int, int], in_order: Mapping[str, bool]
) -> None:
    """Of one route, and of one key where that is promised, the source's order is the stream's."""
    for stream, messages in streams.items():
        arrived = defaultdict(list)
        for message in messages:
            n = number(message)
            route = fates[n].route if n in sequences and n < len(fates) else ""
            if route in in_order:
                key = key_of(n) if in_order[route] else ""
                arrived[route].append(Arrived(message.headers["Nats-Msg-Id"], sequences[n], key=key))
        for route, all_of_it in arrived.items():
            ledger.out_of_order += [f"{stream}, {route}: {text}" for text in disorder(all_of_it)]


def _audit(ledger: Ledger, fates: Sequence[Fate], sequences: Mapping[int, int], stored: Iterable[Stored]) -> None:
    """A record for each event, of one id, that says what became of it."""
    events = {seq: n for n, seq in sequences.items() if n < len(fates)}
    told: dict[int, dict[str, Any]] = {}
    ids: dict[str, int] = {}
    for message in stored:
        record = json.loads(message.data)
        if "kind" in record:
            continue
        n = events.get(record["sequence"], -1)
        if n < 0 or record["route"] != fates[n].route:
            ledger.audited_wrong.append(f"AUDIT:{message.seq} is of no event of {record['route']}")
        elif n in told:
            ledger.repeats += 1
            if _decision(record) != _decision(told[n]):
                ledger.audited_wrong.append(f"AUDIT:{message.seq} of event {n} tells it otherwise than before")
        else:
            told[n] = record
            ledger.audited_wrong += _misjudged(record, fates[n], f"AUDIT:{message.seq} of event {n}")
            if ids.setdefault(record["id"], n) != n:
                ledger.audited_wrong.append(f"events {n} and {ids[record['id']]} have one record id")
    ledger.unaudited += [f"event {n} of {each.route} has no record" for n, each in enumerate(fates) if n not in told]


def _decision(record: Mapping[str, Any]) -> tuple[Any, ...]:
    return record["id"], record["outcome"], record.get("code"), len(record.get("targets", ()))


def _misjudged(record: Mapping[str, Any], fate: Fate, where: str) -> list[str]:
    said = record["outcome"], record.get("code") or "" if fate.code else "", len(record.get("targets") or ())
    must = fate.outcome, fate.code, len(fate.copies)
    return [] if said == must else [f"{where}: {said} instead of {must}"]


def number(message: Stored) -> int:
    """Which event a message is of; -1 when it does not say."""
    text = message.headers.get("X-N", "")
    return int(text) if text.isdigit() else -1


@dataclass(frozen=True)
class Stall:
    """The longest time in which a route with work waiting settled nothing; seconds."""

    route: str = ""
    seconds: float = 0.0
    began: float = 0.0
    """Seconds since the epoch."""


def longest_stall(events: int, streams: Mapping[str, Sequence[Stored]], fate: Callable[[int], Fate]) -> Stall:
    """From when the servers stored the events, and when their audit records."""
    arrived = {message.seq: message.at for message in streams[SOURCE]}
    routes = {message.seq: fate(number(message)).route for message in streams[SOURCE] if number(message) < events}
    settled: dict[str, dict[int, float]] = defaultdict(dict)
    for message in streams["AUDIT"]:
        record = json.loads(message.data)
        if "kind" not in record and record["sequence"] in routes:
            settled[record["route"]].setdefault(record["sequence"], message.at)
    found = Stall()
    for route, when in settled.items():
        waiting = float("inf")
        later = sorted(((at, seq) for seq, at in when.items()), reverse=True)
        for (at, seq), (before, _) in zip(later, [*later[1:], (0.0, 0)], strict=True):
            # The oldest arrival among what was settled from here on: since then there was work.
            waiting = min(waiting, arrived[seq])
            began = max(before, waiting)
            if at - began > found.seconds:
                found = Stall(route, at - began, began)
    return found
