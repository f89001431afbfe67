"""Why a connection cannot be made, over several tries."""

from __future__ import annotations

import nats.errors

from gateway.jetstream.failures import Failures

REFUSED = nats.errors.Error("nats: 'Authorization Violation'")
ENDED = ConnectionResetError()
AWAY = OSError("Connect call failed")


def codes(*errors: Exception, server: str = "a:1") -> list[str]:
    """What is known after each of them."""
    failures = Failures()
    return [failures.note(error, server).code for error in errors]


def test_a_server_that_refused_and_then_only_ends_the_connection_still_refuses() -> None:
    """It answers a second try with a bare end; certificates would be the wrong place to look."""
    assert codes(REFUSED, ENDED, ENDED) == ["refused", "refused", "refused"]


def test_the_end_of_a_try_as_a_whole_says_less_than_what_its_server_said() -> None:
    failures = Failures()
    failures.note(REFUSED, "a:1")
    assert failures.note(ENDED).code == "refused"
    assert set(failures.of) == {"a:1"}


def test_what_says_more_than_an_end_is_what_is_known_from_then_on() -> None:
    assert codes(REFUSED, AWAY) == ["refused", "unreachable"]
    assert codes(AWAY, REFUSED) == ["unreachable", "refused"]
    assert codes(REFUSED, AWAY, ENDED) == ["refused", "unreachable", "unreachable"], "it was not there, and now it is"


def test_waiting_is_no_use_when_every_server_will_not_do() -> None:
    failures = Failures()
    failures.note(REFUSED, "a:1")
    assert not failures.lasting(2), "one was not tried yet"
    failures.note(AWAY, "b:1")
    assert not failures.lasting(2), "one may come"
    failures.note(REFUSED, "b:1")
    assert failures.lasting(2)
