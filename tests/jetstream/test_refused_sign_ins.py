"""Servers that refuse who we are: they are asked again and again, and not more often than is good for them."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from gateway.jetstream.refusals import LONGEST, Refusals, TooSoonError, pause_after
from gateway.jetstream.server import EmbeddedServer
from tests.support.eventually import eventually
from tests.support.operators import Operator
from tests.support.secured import Servers, config, gateway
from tests.support.servers import reload_with

REFUSING = 'authorization { users: [ { user: gw, password: "right" } ] }'
SOON = 10.0
"""Seconds in which something is noticed that no pause of half a minute may hide."""


def refused_by(server: EmbeddedServer) -> int:
    """How often a server has refused somebody, as its log says."""
    return server.log_file.read_text().count("authentication error")


@pytest.fixture
def long_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first pause is the longest already."""
    monkeypatch.setattr("gateway.jetstream.refusals.FIRST", 1000.0)
    monkeypatch.setattr("gateway.jetstream.refusals.LONGEST", 1000.0)


@pytest.mark.parametrize("when", ["at the start", "at a reconnect"])
@pytest.mark.fault("sign-in-rotated")
async def test_a_server_that_refuses_is_asked_again_after_pauses_that_grow(servers: Servers, when: str) -> None:
    """Four times a second, day and night, would be a flood in its log; it takes us when it is mended."""
    wrong = REFUSING.replace("right", "other")
    server = servers.start(wrong if when == "at the start" else REFUSING)
    settings = {"servers": [server.url], "user": "gw", "password": "right"}
    async with gateway(settings, wait=False) as running:
        if when == "at a reconnect":
            await running.up()
            await server.stop()
            server._config_text = wrong
            await server.start()
        await eventually(lambda: refused_by(server) > 0)
        began = time.monotonic()
        await eventually(lambda: refused_by(server) > 3)
        # Two pauses, of 0.5 and 1 s or a little less, beside the first one.
        assert time.monotonic() - began > 0.7 * 1.5
        reload_with(server, REFUSING)
        await running.up()


async def test_a_server_that_is_away_is_found_at_once_while_another_one_refuses(
    servers: Servers, long_pauses: None
) -> None:
    """And what was refused before the connection is forgotten with it: the other one is asked when this one goes."""
    refusing, away = servers.start(REFUSING), servers.start()
    await away.stop()
    settings = {"servers": [refusing.url, away.url], "user": "gw", "password": "later"}
    async with gateway(settings, wait=False) as running:
        await eventually(lambda: refused_by(refusing) > 0)
        await away.start()
        await running.up(timeout=SOON)
        assert refused_by(refusing) == 1
        reload_with(refusing, REFUSING.replace("right", "later"))
        await eventually(lambda: "Reloaded" in refusing.log_file.read_text())
        await away.stop()
        await eventually(lambda: running.app.stats.reconnects == 1 and running.app.stats.connected, SOON)


@pytest.mark.fault("sign-in-rotated")
async def test_a_reload_does_not_wait_for_the_pause_of_what_was_refused(servers: Servers, long_pauses: None) -> None:
    server = servers.start(REFUSING)
    wrong, right = ({"servers": [server.url], "user": "gw", "password": word} for word in ("wrong", "right"))
    async with gateway(wrong, wait=False) as running:
        await eventually(lambda: refused_by(server) > 0)
        await running.reload(config(right))
        await eventually(lambda: running.app.stats.connected, SOON)
    assert refused_by(server) == 1


async def test_renewed_credentials_are_taken_at_once_however_often_the_ones_before_were_refused(
    servers: Servers, tmp_path: Path, long_pauses: None
) -> None:
    operator, file = Operator(), tmp_path / "gw.creds"
    operator.user(file, expires=time.time() - 60)
    server = servers.start(operator.server_config(), greets=False)
    async with gateway({"servers": [server.url], "credentials": str(file)}, wait=False) as running:
        await eventually(lambda: "does not take who we are" in str(running.app._edge.connection.failures.of))
        operator.user(file)
        await running.up(timeout=SOON)


def test_pauses_grow_to_half_a_minute_and_no_further() -> None:
    assert pause_after(1) <= 0.25
    assert 0.7 * LONGEST <= pause_after(9) <= LONGEST
    assert pause_after(10**6) <= LONGEST


def test_only_who_was_refused_the_same_thing_waits(long_pauses: None) -> None:
    signed = "a"
    refusals = Refusals()
    refusals.fingerprint = lambda: signed
    refusals.admit("one:4222")
    # Renewed after it was read and before it was refused: what was refused is the one before.
    signed = "b"
    refusals.note("one:4222")
    refusals.admit("two:4222")
    refusals.admit("one:4222")
    refusals.note("one:4222")
    with pytest.raises(TooSoonError):
        refusals.admit("one:4222")
    refusals.forget()
    refusals.admit("one:4222")
