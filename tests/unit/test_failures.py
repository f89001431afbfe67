"""Why a connection cannot be made, over several tries."""

from __future__ import annotations

import nats.errors

from gateway.jetstream.failures import explain

REFUSED = explain(nats.errors.Error("nats: 'Authorization Violation'"))
ENDED = explain(ConnectionResetError())
AWAY = explain(OSError("Connect call failed"))


def test_a_server_that_refused_and_then_only_ends_the_connection_still_refuses() -> None:
    """It answers a second try with a bare end; certificates would be the wrong place to look."""
    assert (REFUSED.code, ENDED.code) == ("refused", "unreachable")
    assert ENDED.after(REFUSED) is REFUSED


def test_what_says_more_than_an_end_is_what_is_known_from_then_on() -> None:
    assert AWAY.after(REFUSED) is AWAY
    assert REFUSED.after(AWAY) is REFUSED
    assert ENDED.after(AWAY) is ENDED, "it was not there, and now it is"
    assert ENDED.after(None) is ENDED
