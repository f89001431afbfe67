"""The account itself: each thing that can be wrong is found, and nothing else is.

A ledger that finds nothing proves nothing, unless it has been seen to find each of these.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.chaos import events
from tests.chaos.ledger import Ledger, longest_stall, reconcile
from tests.support.streams import Stored

EVENTS = 8 * 35
"""Every kind in each of its turns."""
Streams = dict[str, list[Stored]]
ORDER = {"strict": False, "keyed": True}


def whole() -> Streams:
    """The streams of a run in which nothing went wrong: one second an event, settled half a second later."""
    streams: Streams = {"IN": [], "OUT": [], "DLQ": [], "AUDIT": []}

    def store(stream: str, n: int, subject: str, data: bytes, headers: dict[str, str], at: float) -> None:
        said = {**headers, "X-N": str(n)}
        block = "NATS/1.0\r\n" + "".join(f"{name}: {value}\r\n" for name, value in said.items())
        streams[stream].append(Stored(len(streams[stream]) + 1, subject, data, block.encode(), "", at))

    for n in range(EVENTS):
        event, fate = events.event(n), events.fate(n)
        store("IN", n, event.subject, event.data, {}, n)
        for copy in fate.copies:
            data = copy.body if isinstance(copy.body, bytes) else copy.body.encode()
            headers = {"Nats-Msg-Id": f"{copy.subject}.{n}"}
            if copy.stream == "DLQ":
                headers |= {"Gateway-Error-Code": fate.code, "Gateway-Route": fate.route}
            store(copy.stream, n, copy.subject, data, headers, n + 0.4)
        record = {"id": f"r{n}", "route": fate.route, "sequence": n + 1, "outcome": fate.outcome}
        record |= {"code": fate.code} if fate.code else {}
        record |= {"targets": [{}] * len(fate.copies)} if fate.copies else {}
        store("AUDIT", n, f"audit.{fate.route}", json.dumps(record).encode(), {}, n + 0.5)
    return streams


def reconciled(streams: Streams, sent: int = EVENTS) -> Ledger:
    return reconcile(sent, streams, events.fate, ORDER)


def wrong(ledger: Ledger) -> dict[str, int]:
    """How many faults of each kind."""
    return {name: len(value) for name, value in vars(ledger).items() if isinstance(value, list) and value}


def test_a_whole_run_has_no_faults() -> None:
    ledger = reconciled(whole())
    assert ledger.faults == []
    assert ledger.events == EVENTS
    assert set(ledger.outcomes) == {"published", "filtered", "dropped", "dead_lettered"}
    assert ledger.copies > EVENTS / 2


def test_every_route_every_outcome_and_every_code_occurs() -> None:
    """What never happens is not proven."""
    fates = [events.fate(n) for n in range(EVENTS)]
    assert {fate.route for fate in fates} == set(events.ROUTES) == {route["name"] for route in events.routes()}
    assert {fate.code for fate in fates} == {"", "decode-error", "unsafe-subject", "retries-exhausted"}


def change(streams: Streams, stream: str, place: int, **fields: Any) -> None:
    streams[stream][place] = replace(streams[stream][place], **fields)


def first_letter(streams: Streams) -> int:
    return next(at for at, letter in enumerate(streams["DLQ"]) if letter.subject == "dlq.mixed")


def swapped_neighbours(streams: Streams, subject: str) -> None:
    places = [at for at, message in enumerate(streams["OUT"]) if message.subject == subject][:2]
    one, two = places
    streams["OUT"][one], streams["OUT"][two] = streams["OUT"][two], streams["OUT"][one]


def audit(streams: Streams, at: int, **fields: Any) -> bytes:
    return json.dumps({**json.loads(streams["AUDIT"][at].data), **fields}).encode()


def repeated(streams: Streams, stream: str) -> None:
    streams[stream].append(replace(streams[stream][3], seq=len(streams[stream]) + 1))


HARM: list[tuple[str, Callable[[Streams], object], dict[str, int]]] = [
    ("a lost copy", lambda s: s["OUT"].pop(7), {"lost": 1}),
    ("a lost dead letter", lambda s: s["DLQ"].pop(0), {"lost": 1}),
    ("a doubled copy", lambda s: repeated(s, "OUT"), {"duplicated": 1}),
    ("a doubled dead letter", lambda s: repeated(s, "DLQ"), {"duplicated": 1}),
    ("another body", lambda s: change(s, "OUT", 5, data=b'{"n": 0}'), {"changed": 1}),
    ("bytes that did not pass untouched", lambda s: change(s, "DLQ", first_letter(s), data=b"{}"), {"changed": 1}),
    ("no JSON", lambda s: change(s, "OUT", 5, data=b"{"), {"changed": 1}),
    ("another subject", lambda s: change(s, "OUT", 5, subject="out.else"), {"foreign": 1, "lost": 1}),
    ("a copy of a filtered event", lambda s: change(s, "OUT", 0, header_block=b"NATS/1.0\r\nX-N: 24\r\n"),
     {"foreign": 1, "lost": 1}),
    ("a copy that does not say of what", lambda s: change(s, "OUT", 0, header_block=b"NATS/1.0\r\n"),
     {"foreign": 1, "lost": 1}),
    ("another code", lambda s: change(s, "DLQ", 0, header_block=s["DLQ"][0].header_block.replace(b"de: ", b"de: x")),
     {"changed": 1}),
    ("a strict route out of order", lambda s: swapped_neighbours(s, "out.strict"), {"out_of_order": 1}),
    ("a key out of order", lambda s: swapped_neighbours(s, "out.keyed.k3"), {"out_of_order": 1}),
    ("no record", lambda s: s["AUDIT"].pop(3), {"unaudited": 1}),
    ("another outcome in the record", lambda s: change(s, "AUDIT", 3, data=audit(s, 3, outcome="filtered")),
     {"audited_wrong": 1}),
    ("a record with a target less", lambda s: change(s, "AUDIT", 0, data=audit(s, 0, targets=[{}])),
     {"audited_wrong": 1}),
    ("two events with one record id", lambda s: change(s, "AUDIT", 3, data=audit(s, 3, id="r2")), {"audited_wrong": 1}),
    ("a record of no event", lambda s: change(s, "AUDIT", 3, data=audit(s, 3, sequence=99999)),
     {"audited_wrong": 1, "unaudited": 1}),
    ("an event the source lost", lambda s: s["IN"].pop(3), {"source": 1, "audited_wrong": 1, "unaudited": 1}),
    ("an event twice in the source", lambda s: repeated(s, "IN"), {"source": 1}),
]  # fmt: skip


@pytest.mark.parametrize(("harm", "found"), [case[1:] for case in HARM], ids=[case[0] for case in HARM])
def test_it_is_found(harm: Callable[[Streams], object], found: dict[str, int]) -> None:
    """Under its own name, once, and nothing else with it."""
    streams = whole()
    harm(streams)
    assert wrong(reconciled(streams)) == found


def test_an_event_that_nobody_published_is_found() -> None:
    assert "source" in wrong(reconciled(whole(), EVENTS - 1))


def test_a_record_told_again_is_counted_and_no_fault() -> None:
    """As after a crash between the record and the ack; told otherwise, it is one."""
    streams = whole()
    repeated(streams, "AUDIT")
    ledger = reconciled(streams)
    assert (ledger.faults, ledger.repeats) == ([], 1)
    change(streams, "AUDIT", -1, data=audit(streams, -1, id="another"))
    assert wrong(reconciled(streams)) == {"audited_wrong": 1}


def test_the_longest_stall_is_the_longest_time_with_work_and_without_a_record() -> None:
    """A route without work stalls nobody: events of one kind come eight seconds apart here."""
    streams = whole()
    assert longest_stall(EVENTS, streams, events.fate).seconds == pytest.approx(0.5)
    for place, message in enumerate(streams["AUDIT"]):
        if message.subject == "audit.strict" and 100 < message.at < 141:
            change(streams, "AUDIT", place, at=141.0)
    stall = longest_stall(EVENTS, streams, events.fate)
    # Event 102 is of the strict route: its arrival is where the wait begins.
    assert (stall.route, stall.began) == ("strict", 102.0)
    assert stall.seconds == pytest.approx(39.0)
