"""Why a connection cannot be made, over several tries and servers, and when waiting is no use."""

from __future__ import annotations

import nats.errors
import pytest

from gateway.jetstream.failures import Failures, explain
from gateway.jetstream.signin import UnusableFileError
from gateway.jetstream.wire import PlaintextError

REFUSAL = nats.errors.Error("nats: 'Authorization Violation'")
END = ConnectionResetError()
ABSENCE = OSError("Connect call failed")
BAD_TLS = PlaintextError("no TLS")
REFUSED, ENDED, AWAY = explain(REFUSAL), explain(END), explain(ABSENCE)


def test_a_server_that_refused_and_then_only_ends_the_connection_still_refuses() -> None:
    """It answers a second try with a bare end; certificates would be the wrong place to look."""
    assert (REFUSED.code, ENDED.code) == ("refused", "unreachable")
    assert ENDED.after(REFUSED) is REFUSED


def test_the_end_of_a_try_as_a_whole_says_less_than_what_its_server_said() -> None:
    failures = Failures()
    failures.note(REFUSAL, "a:1")
    assert failures.note(END).code == "refused"
    assert set(failures.of) == {"a:1"}


def test_what_says_more_than_an_end_is_what_is_known_from_then_on() -> None:
    assert AWAY.after(REFUSED) is AWAY
    assert REFUSED.after(AWAY) is REFUSED
    assert ENDED.after(AWAY) is ENDED, "it was not there, and now it is"
    assert ENDED.after(None) is ENDED


@pytest.mark.parametrize(
    ("seen", "servers", "lasting"),
    [
        ([("a", REFUSAL)], 1, True),
        ([("a", BAD_TLS)], 1, True),
        ([("a", ABSENCE)], 1, False),
        ([("a", REFUSAL)], 2, False),
        ([("a", REFUSAL), ("b", BAD_TLS)], 2, True),
        ([("a", REFUSAL), ("b", ABSENCE)], 2, False),
        ([("a", REFUSAL), ("learnt", REFUSAL), ("b", ABSENCE)], 2, False),
        ([("a", REFUSAL), ("a", END)], 1, True),
        ([("a", ABSENCE), ("a", REFUSAL)], 1, True),
        ([("", UnusableFileError("nats.tls.ca", "ca.pem", "gone"))], 3, True),
        ([], 1, False),
    ],
)
def test_waiting_is_no_use_when_every_server_has_something_to_be_mended(
    seen: list[tuple[str, BaseException]], servers: int, lasting: bool
) -> None:
    """A server that refuses us, and later only ends the connection, has refused us."""
    failures = Failures()
    for server, error in seen:
        failures.note(error, server)
    assert failures.lasting(servers) is lasting
