"""The pin of ordered durables: what is asked with it, and what events show of it."""

from __future__ import annotations

import pytest

from gateway.jetstream import pin
from gateway.jetstream.pin import Pin, taken_out


@pytest.mark.parametrize(
    ("came", "sent"),
    [
        (b"NATS/1.0\r\nNats-Pin-Id: abc\r\n\r\n", b""),
        (b"NATS/1.0\r\nX: 1\r\nNats-Pin-Id: abc\r\n\r\n", b"NATS/1.0\r\nX: 1\r\n\r\n"),
        (
            b"NATS/1.0\r\nNats-Pin-Id: theirs\r\nX: 1\r\nNats-Pin-Id: abc\r\n\r\n",
            b"NATS/1.0\r\nNats-Pin-Id: theirs\r\nX: 1\r\n\r\n",
        ),
    ],
)
def test_the_id_is_taken_out_of_what_steps_see(came: bytes, sent: bytes) -> None:
    """A header that is another one with each delivery would make a filter decide otherwise; the sender's own stays."""
    assert taken_out(came) == (sent, "abc")


def test_headers_without_the_id_are_as_they_came() -> None:
    """As from a durable that lost its pin."""
    assert taken_out(b"NATS/1.0\r\nX: 1\r\n\r\n") == (b"NATS/1.0\r\nX: 1\r\n\r\n", "")


def test_a_pull_asks_with_the_id_once_there_is_one() -> None:
    """Without it, it is a standby's."""
    known = Pin()
    assert known.fields() == {"group": "gateway"}
    assert known.gained("abc", 3)
    assert not known.gained("abc", 4)
    assert known.fields() == {"group": "gateway", "id": "abc"}


def test_a_word_about_an_older_id_loses_nothing() -> None:
    """The server ends pulls that were asked with the id before; those with this one count."""
    known = Pin()
    known.gained("abc", 3)
    assert not known.lost("3")
    assert known.lost("4")
    assert known.id is None
    assert not known.lost("5")


def test_a_late_word_about_a_renewal_with_an_older_id_loses_nothing() -> None:
    """The pin lapsed and came again by a pull that stood, before the server had read the last renewal."""
    known = Pin()
    known.gained("abc", 3)
    old = known.tag
    known.gained("def", 3)
    assert not known.lost(old)
    assert known.lost(known.tag)
    assert known.id is None


def test_a_renewal_is_due_now_and_then_and_only_with_the_pin() -> None:
    """No message is of one byte, so it brings none."""
    known = Pin()
    assert known.renewal(100.0) is None
    known.gained("abc", 0)
    asked = known.renewal(100.0)
    assert asked is not None
    assert b'"max_bytes":1' in asked
    assert b'"no_wait":true' in asked
    assert known.renewal(100.0 + pin.RENEWAL / 2) is None
    assert known.renewal(100.1 + pin.RENEWAL) is not None
