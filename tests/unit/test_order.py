"""Lines of events, and what is missing: the pure half of an ordered route."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from gateway.event import Delivery, Event, Meta
from gateway.paths import path_of
from gateway.runtime.order import Lines, key_of, missing, waiting, waits_for
from gateway.runtime.window import Entry, Phase
from tests.unit.routes import route_of


def entry(sequence: int) -> Entry:
    return Entry(Delivery("in.it", b"", b"", "token", sequence, 1, 0), 0.0, 0.0)


def numbers(lines: Lines) -> list[int]:
    """What may begin now."""
    found = []
    while lines.ready:
        found.append(lines.next().delivery.sequence)
    return found


def filled(*keys: str) -> tuple[Lines, list[Entry]]:
    """Entries 1, 2, ... with these keys."""
    lines, entries = Lines(), [entry(number + 1) for number in range(len(keys))]
    for one, key in zip(entries, keys, strict=True):
        lines.add(one, key)
    return lines, entries


def test_one_of_each_line_may_begin() -> None:
    """In the order in which they came; the others are behind."""
    lines, _ = filled("a", "b", "a", "a", "c")
    assert numbers(lines) == [1, 2, 5]
    assert lines.behind == 2


def test_the_next_may_begin_when_the_one_before_is_done() -> None:
    """Told twice, as with an audit and then the end, it is no different."""
    lines, entries = filled("a", "a", "a")
    assert numbers(lines) == [1]
    lines.done(entries[0])
    lines.done(entries[0])
    assert numbers(lines) == [2]
    lines.done(entries[1])
    assert (numbers(lines), lines.behind) == ([3], 0)
    lines.done(entries[2])
    lines.add(entry(4), "a")
    assert numbers(lines) == [4]


def test_what_is_at_work_keeps_its_line_through_a_halt() -> None:
    """What has not begun is let go of; put in again, it waits for what is at work."""
    lines, entries = filled("a", "a", "b")
    assert lines.next() is entries[0]
    lines.halt()
    assert (lines.ready, lines.behind) == (0, 0)
    lines.add(entries[1], "a")
    lines.add(entries[2], "b")
    assert numbers(lines) == [3]
    lines.done(entries[0])
    assert numbers(lines) == [2]


def test_nothing_is_left_of_a_line_that_is_done() -> None:
    """Keys are without number over the years."""
    lines, entries = filled(*(f"k{number}" for number in range(100)), "k1")
    for one in (*entries[:100], entries[100]):
        lines.done(one)
    assert not lines._heads
    assert not lines._lines


@pytest.mark.parametrize(
    ("here", "delivered", "pending", "count"),
    [
        ([5, 6, 7], 7, 3, 0),
        ([10, 11], 11, 12, 10),
        # 12 and 13 came after the server counted.
        ([10, 11, 12, 13], 11, 2, 0),
        # 10 is settled, by somebody else.
        ([10, 11], 11, 1, -1),
        ([], 40, 0, 0),
    ],
)
def test_missing_is_what_is_pending_and_not_here(here: list[int], delivered: int, pending: int, count: int) -> None:
    """Compared with what had been given out when the server counted."""
    assert missing(here, delivered, pending) == count


@pytest.mark.parametrize(
    ("number", "words"),
    [(1, "waits for 1 event that"), (2000, "waits for 2,000 events that"), (-1, "waits for events ")],
)
def test_what_is_waited_for_is_said_in_good_words(number: int, words: str) -> None:
    assert waits_for(number).startswith(words)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ({}, {"key": None}, True),
        ({"key": {"a": 1, "b": 2}}, {"key": {"b": 2, "a": 1}}, True),
        ({"key": {1: "a"}}, {"key": {1: "a"}}, True),
        ({"key": {1: "a"}}, {"key": {1: "b"}}, False),
        ({"key": b"a"}, {"key": b"b"}, False),
        ({"key": "1"}, {"key": 1}, False),
    ],
)
def test_a_key_is_any_value(one: Any, other: Any, same: bool) -> None:
    """Also one that only MessagePack can say: what cannot be told apart would be without order, or stop the reading."""
    route = route_of(more="codec: msgpack\nordering: {key: key}")
    keys = []
    for body in (one, other):
        delivery = Delivery("in.it", b"", msgspec.msgpack.encode(body), "token", 1, 1, 0)
        keys.append(key_of(Event(route.reader, delivery, Meta(route.origin, delivery, 1)), path_of("key")))
    assert (keys[0] == keys[1]) is same
    hash(keys[0])


def test_what_waits_is_begun_in_the_order_of_the_stream() -> None:
    """Whatever came first; what is at work or being audited is not begun again."""
    entries = [entry(number) for number in (14, 3, 12)]
    entries.append(entry(1))
    entries[-1].phase = Phase.AUDITING
    assert [one.delivery.sequence for one in waiting(entries)] == [3, 12, 14]
