"""Every way to sign in, each with a real server set up for it and a whole route through it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import nkeys  # type: ignore[import-untyped]
import pytest

from gateway.config import model
from gateway.jetstream.signin import identity
from gateway.values import Secret
from tests.support.eventually import eventually
from tests.support.operators import Key, Operator
from tests.support.secured import Servers, client, gateway, routes_events
from tests.support.servers import reload_with

HARD = "p@:/%?#[ ]ß\"'{$}"
"""A password with everything that means something elsewhere."""


def with_users(*users: str) -> str:
    """`all` without a password for the test, and these."""
    return f"authorization {{ users: [ {{ user: all, password: all }}, {', '.join(users)} ] }}\nno_auth_user: all"


def quoted(text: str) -> str:
    """A text in a server's config."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


@pytest.mark.parametrize("how", ["fields", "file", "url"])
async def test_user_and_password_sign_in_whatever_characters_they_have(
    servers: Servers, tmp_path: Path, how: str
) -> None:
    """In a URL they are percent-encoded, in fields they are as they are."""
    server = servers.start(f"authorization {{ user: {quoted('g@w')}, password: {quoted(HARD)} }}")
    file = tmp_path / "password"
    file.write_text(f"{HARD}\n")
    settings: dict[str, Any] = {"servers": [server.url]}
    if how == "url":
        settings["servers"] = [server.url.replace("//", f"//{quote('g@w', '')}:{quote(HARD, '')}@")]
    else:
        text = HARD.replace("${", "$${") if how == "fields" else f"${{file:{file}}}"
        settings |= {"user": "g@w", "password": text}
    async with gateway(settings), client(server.url, user="g@w", password=HARD) as nc:
        await routes_events(nc)


@pytest.mark.parametrize("how", ["field", "url"])
async def test_a_token_signs_in(servers: Servers, how: str) -> None:
    server = servers.start("authorization { token: 's3cr+t' }")
    settings: dict[str, Any] = {"servers": [server.url], "token": "s3cr+t"}
    if how == "url":
        settings = {"servers": [server.url.replace("//", "//s3cr%2Bt@")]}
    async with gateway(settings), client(server.url, token="s3cr+t") as nc:
        await routes_events(nc)


async def test_an_nkey_signs_in_with_its_seed_from_a_file(servers: Servers, tmp_path: Path) -> None:
    key = Key(nkeys.PREFIX_BYTE_USER)
    server = servers.start(with_users(f"{{ nkey: {key.public} }}"))
    (tmp_path / "seed").write_text(f"{key.seed}\n")
    async with (
        gateway({"servers": [server.url], "nkey-seed": f"${{file:{tmp_path / 'seed'}}}"}),
        client(server.url) as nc,
    ):
        await routes_events(nc)


@pytest.mark.parametrize(
    "wrong",
    [
        {"user": "gw", "password": "hunter2"},
        {"token": "hunter2"},
        {"nkey-seed": Key(nkeys.PREFIX_BYTE_USER).seed},
        {},
    ],
    ids=["password", "token", "nkey", "nothing"],
)
async def test_who_is_refused_is_told_so_and_not_that_the_server_is_away(
    servers: Servers, wrong: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    """And no secret with it."""
    server = servers.start('authorization { users: [ { user: gw, password: "right" } ] }')
    async with gateway({"servers": [server.url], **wrong}, wait=False) as running:
        await eventually(lambda: "the server does not take who we are: " in caplog.text)
        await running.down("disconnected")
    # A machine that is busy may have let a try run out before.
    line = next(record for record in caplog.records if "does not take who we are" in record.message)
    assert (line.reason, line.server) == ("refused", server.url.removeprefix("nats://"))  # type: ignore[attr-defined]
    assert "hunter2" not in caplog.text
    assert not any(word in caplog.text for word in wrong.values() if len(word) > 4)


async def test_a_server_that_is_away_is_told_apart_from_one_that_refuses(
    servers: Servers, caplog: pytest.LogCaptureFixture
) -> None:
    server = servers.start()
    await server.stop()
    async with gateway({"servers": [server.url]}, wait=False) as running:
        await running.down("disconnected")
        await eventually(lambda: "cannot connect: " in caplog.text)
    (line,) = [record for record in caplog.records if "cannot connect" in record.message]
    assert line.reason == "unreachable"  # type: ignore[attr-defined]


# ---------------------------------------------------------------------- operator mode


async def test_credentials_of_an_operator_sign_in(servers: Servers, tmp_path: Path) -> None:
    operator = Operator()
    operator.user(tmp_path / "gw.creds")
    operator.user(tmp_path / "test.creds")
    server = servers.start(operator.server_config())
    async with (
        gateway({"servers": [server.url], "credentials": str(tmp_path / "gw.creds")}),
        client(server.url, user_credentials=str(tmp_path / "test.creds")) as nc,
    ):
        await routes_events(nc)


async def test_credentials_that_run_out_are_replaced_by_those_on_disk_without_a_restart(
    servers: Servers, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The server ends the connection in the middle of its life, and nats-py stays closed for good."""
    operator = Operator()
    file = tmp_path / "gw.creds"
    operator.user(tmp_path / "test.creds")
    server = servers.start(operator.server_config())
    operator.user(file)
    settings = {"servers": [server.url], "credentials": str(file)}
    async with gateway(settings) as running, client(server.url, user_credentials=str(tmp_path / "test.creds")) as nc:
        await routes_events(nc)
        # Only now: a start may take longer than they last.
        operator.user(file, expires=time.time() + 3)
        await running.app._edge.connection.wire.force_reconnect()
        await eventually(lambda: "closed for good" in caplog.text, what="the first ones run out")
        await eventually(lambda: "does not take who we are" in caplog.text, what="they are tried again, in vain")
        await nc.jetstream().publish("in.a", b"2")
        operator.user(file)
        await running.up()
        await routes_events(nc, 3)
        assert running.app.stats.reconnects == 2


async def test_credentials_that_are_revoked_are_replaced_by_those_on_disk(servers: Servers, tmp_path: Path) -> None:
    operator = Operator()
    file = tmp_path / "gw.creds"
    operator.user(tmp_path / "test.creds")
    revoked = operator.user(file)
    server = servers.start(operator.server_config())
    settings = {"servers": [server.url], "credentials": str(file)}
    async with gateway(settings) as running, client(server.url, user_credentials=str(tmp_path / "test.creds")) as nc:
        await routes_events(nc)
        operator.revoked[revoked] = int(time.time()) + 5
        operator.user(file)
        reload_with(server, operator.server_config())
        await eventually(lambda: running.app.stats.reconnects == 1, what="thrown out, and back with the new ones")
        await routes_events(nc, 2)


async def test_credentials_that_let_nobody_answer_us_hold_a_route_down_with_the_reason(
    servers: Servers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A denied subscription looks like a server that does not answer."""
    monkeypatch.setattr("gateway.jetstream.api.TIMEOUT", 0.5)
    operator = Operator()
    operator.user(tmp_path / "gw.creds", sub={"deny": ["_INBOX.>"]}, pub={})
    server = servers.start(operator.server_config())
    settings = {"servers": [server.url], "credentials": str(tmp_path / "gw.creds")}
    async with gateway(settings, wait=False) as running:
        stats = await running.down("jetstream-unavailable")
        assert "no permission to subscribe to _INBOX." in stats.reason


# ---------------------------------------------------------------------- which identity for which server


def _nats(*servers: str, **fields: Any) -> model.Nats:
    return model.Nats(servers=list(servers), **fields)


@pytest.mark.parametrize(
    ("config", "server", "listed", "expected"),
    [
        (_nats("nats://a:b%20c@one"), "nats://a:b%20c@one", True, {"user": "a", "password": "b c"}),
        (_nats("nats://a:b@one", "nats://two"), "nats://two", True, {}),
        (_nats("nats://a:b@one", "nats://two"), "nats://three", False, {"user": "a", "password": "b"}),
        (_nats("nats://tok%40en@one"), "nats://tok%40en@one", True, {"token": "tok@en"}),
        (_nats("nats://a:b@one", token=Secret("t")), "nats://a:b@one", True, {}),
        (_nats("nats://one"), "nats://two", False, {}),
    ],
)
def test_a_server_learnt_from_another_one_is_signed_in_to_as_to_the_first(
    config: model.Nats, server: str, listed: bool, expected: dict[str, str]
) -> None:
    """One that is listed is told only what stands with it."""
    found = identity(config, urlsplit(server), listed)  # type: ignore[arg-type]
    assert found == expected
