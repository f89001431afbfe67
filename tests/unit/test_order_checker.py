"""The checker of order itself: a checker that finds nothing proves nothing."""

from __future__ import annotations

from tests.support.order import Arrived, arrivals, disorder
from tests.support.streams import Stored


def messages(*sequences: int, key: object = "") -> list[Arrived]:
    return [Arrived(f"d.{sequence}.0", sequence, 0, key) for sequence in sequences]


def test_the_order_of_the_source_is_no_disorder() -> None:
    """Gaps are none either: a filter makes them."""
    assert disorder(messages(1, 2, 5, 9)) == []


def test_an_event_behind_a_later_one_is_found() -> None:
    """Each one that is too late is named, with the one that went before it."""
    assert disorder(messages(1, 3, 2, 4, 3)) == ["key '': event 2 after 3"]


def test_a_repeat_of_the_same_copy_is_no_disorder() -> None:
    """A duplicate after a duplicate window is counted elsewhere."""
    assert disorder(messages(1, 2, 3, 1, 2)) == []


def test_keys_do_not_wait_for_each_other() -> None:
    """Only what shares a key is compared."""
    assert disorder(messages(5, key="a") + messages(1, 2, key="b")) == []
    assert disorder(messages(5, key="a") + messages(1, key="b") + messages(2, key="a")) == [
        "key 'a': event 2 after 5",
    ]


def test_copies_of_one_event_are_compared_by_target() -> None:
    """Two targets may be served in any order, the copies for one may not."""
    one, two = (Arrived(f"x.7.{copy}", 7, copy) for copy in (0, 1))
    other = Arrived("y.7.0", 7, 0)
    assert disorder([one, two, other]) == []
    assert disorder([two, other, one]) == ["event 7: copy 0 after 1"]


def test_the_source_sequence_is_read_from_the_message_id() -> None:
    """Of copies by number, copies by key, and dead letters."""
    stored = [
        Stored(1, "out.a", b"", f"NATS/1.0\r\nNats-Msg-Id: {ident}\r\n\r\n".encode(), "")
        for ident in ("aa.12.3", "aa.13.kbb", "cc.14")
    ]
    assert arrivals(stored, lambda message: message.subject) == [
        Arrived("aa.12.3", 12, 3, "out.a"),
        Arrived("aa.13.kbb", 13, 0, "out.a"),
        Arrived("cc.14", 14, 0, "out.a"),
    ]
