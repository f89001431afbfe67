"""TLS with real servers set up for it: whole routes through it, and not one byte of ours in plaintext."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import pytest

from gateway.config import model
from gateway.jetstream.connection import Connection
from gateway.jetstream.server import free_port
from gateway.jetstream.signin import UnusableFileError, sign_in
from tests.support.certificates import ENCRYPTED_KEY, Authority
from tests.support.eventually import eventually
from tests.support.secured import Servers, client, gateway, routes_events, tls, trusting


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """Who signs the certificates."""
    return Authority(tmp_path / "certs")


@pytest.mark.parametrize("scheme", ["nats", "tls"])
async def test_a_route_works_through_tls_with_an_authority_of_ones_own(
    servers: Servers, authority: Authority, scheme: str
) -> None:
    server = servers.start(tls(authority.sign("server", "127.0.0.1")))
    url = server.url.replace("nats:", f"{scheme}:")
    async with (
        gateway({"servers": [url], "tls": {"ca": str(authority.file)}}),
        client(server.url, tls=trusting(authority.file)) as nc,
    ):
        await routes_events(nc)


async def test_the_end_of_an_encrypted_connection_is_a_loss_and_no_riddle(
    servers: Servers, authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    """asyncio would complain of a reader that nobody told what it reads through."""
    server = servers.start(tls(authority.sign("server", "127.0.0.1")), greets=False)
    async with gateway({"servers": [server.url], "tls": {"ca": str(authority.file)}}, wait=False) as running:
        await eventually(lambda: running.app.stats.connected)
        await server.stop()
        await eventually(lambda: "connection lost" in caplog.text)
    assert not [record for record in caplog.records if record.name == "asyncio"]


async def test_a_route_works_through_tls_that_begins_before_the_server_speaks(
    servers: Servers, authority: Authority
) -> None:
    server = servers.start(tls(authority.sign("server", "127.0.0.1"), "handshake_first: true"), greets=False)
    settings = {"ca": str(authority.file), "handshake-first": True}
    async with (
        client(server.url, tls=trusting(authority.file), tls_handshake_first=True) as nc,
        gateway({"servers": [server.url], "tls": settings}) as running,
    ):
        await routes_events(nc)
        await running.app._edge.connection.wire.force_reconnect()
        await routes_events(nc, 2)


@pytest.mark.parametrize(
    ("verify", "user"),
    [("verify: true", ""), ("verify_and_map: true", "authorization { users: [ { user: gw@example.com } ] }")],
)
async def test_a_client_certificate_signs_in(
    servers: Servers, authority: Authority, verify: str, user: str, caplog: pytest.LogCaptureFixture
) -> None:
    """With verify_and_map the mail address in it is the user."""
    server = servers.start(f"{tls(authority.sign('server', '127.0.0.1'), verify)}\n{user}")
    ours = authority.sign("gw", "gw@example.com")
    settings = {"ca": str(authority.file), "cert": str(ours.cert), "key": str(ours.key)}
    async with client(server.url, tls=trusting(authority.file, ours)) as nc:
        async with gateway({"servers": [server.url], "tls": settings}):
            await routes_events(nc)
        without = {"servers": [server.url], "tls": {"ca": str(authority.file)}}
        async with gateway(without, wait=False) as running:
            await eventually(lambda: "cannot connect" in caplog.text)
            assert not running.app.stats.connected
    assert "certificate" in caplog.text or "the server ended the connection" in caplog.text


async def test_a_certificate_that_maps_to_no_user_is_refused_with_the_reason(
    servers: Servers, authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    users = "authorization { users: [ { user: somebody@example.com } ] }"
    server = servers.start(f"{tls(authority.sign('server', '127.0.0.1'), 'verify_and_map: true')}\n{users}")
    ours = authority.sign("gw", "gw@example.com")
    settings = {"ca": str(authority.file), "cert": str(ours.cert), "key": str(ours.key)}
    async with gateway({"servers": [server.url], "tls": settings}, wait=False) as running:
        await eventually(lambda: "the server does not take who we are" in caplog.text)
        assert not running.app.stats.connected


@pytest.mark.parametrize(
    ("names", "days", "trusted", "words"),
    [
        (["127.0.0.1"], 30, False, "unable to get local issuer certificate"),
        (["other.example.com"], 30, True, "IP address mismatch"),
        (["127.0.0.1"], -1, True, "certificate has expired"),
    ],
    ids=["of-another-authority", "for-another-host", "expired"],
)
async def test_a_server_with_a_certificate_that_is_not_good_is_refused_and_the_log_says_why(
    servers: Servers,
    authority: Authority,
    tmp_path: Path,
    names: list[str],
    days: int,
    trusted: bool,
    words: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    server = servers.start(tls(authority.sign("server", *names, days=days)))
    ca = authority.file if trusted else Authority(tmp_path / "others", "other-ca").file
    settings = {"servers": [server.url], "tls": {"ca": str(ca)}, "user": "u", "password": "hunter2"}
    async with gateway(settings, wait=False) as running:
        await eventually(lambda: "cannot connect: TLS: the server's certificate is not good" in caplog.text)
        assert not running.app.stats.connected
    assert words in caplog.text
    assert "hunter2" not in caplog.text


async def test_certificates_renewed_on_disk_are_used_at_the_next_handshake(
    servers: Servers, authority: Authority, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The old ones run out while the process runs: everything, the authority too, is replaced under it."""
    first = authority.sign("server", "127.0.0.1")
    server = servers.start(tls(first, "verify: true"))
    ours = authority.sign("gw", file="ours")
    files = {"ca": tmp_path / "ca.pem", "cert": ours.cert, "key": ours.key}
    files["ca"].write_bytes(authority.file.read_bytes())
    settings = {"servers": [server.url], "tls": {name: str(file) for name, file in files.items()}}
    async with gateway(settings) as running:
        renewed = Authority(tmp_path / "renewed", "new-ca")
        second, again = renewed.sign("server", "127.0.0.1"), renewed.sign("gw")
        await server.stop()
        server._config_text = tls(second, "verify: true")
        server.start_blocking()
        await eventually(lambda: "certificate is not good" in caplog.text, what="the old authority is trusted no more")
        files["ca"].write_bytes(renewed.file.read_bytes())
        files["cert"].write_bytes(again.cert.read_bytes())
        files["key"].write_bytes(again.key.read_bytes())
        async with client(server.url, tls=trusting(renewed.file, again)) as nc:
            await running.up()
            await routes_events(nc)


def test_an_encrypted_key_is_refused_instead_of_asking_on_the_terminal(authority: Authority, tmp_path: Path) -> None:
    key = tmp_path / "locked.key"
    key.write_text(ENCRYPTED_KEY)
    cert = authority.sign("gw").cert
    with pytest.raises(UnusableFileError, match=r"nats.tls.key: cannot use .*locked.key: it is encrypted"):
        sign_in(model.Nats(tls=model.Tls(cert=str(cert), key=str(key))))


# ---------------------------------------------------------------------- never in plaintext


class Eavesdropper:
    """Greets like a nats-server without TLS, and keeps what it is told."""

    def __init__(self, **info: Any) -> None:
        self.info = {"server_id": "X", "version": "2.15.1", "headers": True, "max_payload": 1 << 20, **info}
        self.greeted = 0
        self.heard = b""
        self.port = 0
        self._writers: set[asyncio.StreamWriter] = set()

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[Eavesdropper]:
        """Listen on a port of its own."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for writer in self._writers:
                writer.transport.abort()
            await eventually(lambda: not self._writers, what="everybody has gone")

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        self.greeted += 1
        with contextlib.suppress(OSError):
            writer.write(b"INFO " + json.dumps(self.info).encode() + b"\r\n")
            while data := await reader.read(4096):
                self.heard += data
                # Whoever says CONNECT is answered, and would go on to say more.
                writer.write(b"PONG\r\n" * data.count(b"PING"))
        writer.close()
        self._writers.discard(writer)


SECRETS: dict[str, dict[str, Any]] = {
    "fields": {"user": "u", "password": "hunter2"},
    "token": {"token": "hunter2"},
    "url": {},
}


@pytest.mark.parametrize("how", ["fields", "token", "url"])
@pytest.mark.parametrize("scheme", ["nats", "tls"])
async def test_nothing_is_said_to_a_server_that_offers_no_tls(
    authority: Authority, scheme: str, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither with a tls:// URL alone, nor with the section `tls` alone."""
    async with Eavesdropper(auth_required=True, nonce="abc").listening() as spy:
        user = "u:hunter2@" if how == "url" else ""
        settings: dict[str, Any] = {"servers": [f"{scheme}://{user}127.0.0.1:{spy.port}"], **SECRETS[how]}
        if scheme == "nats":
            settings["tls"] = {"ca": str(authority.file)}
        async with gateway(settings, wait=False) as running:
            await eventually(lambda: spy.greeted >= 2 and "offers no TLS" in caplog.text)
            assert not running.app.stats.connected
    assert spy.heard == b""
    assert "hunter2" not in caplog.text


async def test_with_the_handshake_first_a_plaintext_server_sees_the_handshake_only(
    authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    async with Eavesdropper(auth_required=True).listening() as spy:
        settings = {"ca": str(authority.file), "handshake-first": True}
        url = f"nats://127.0.0.1:{spy.port}"
        async with gateway({"servers": [url], "tls": settings, **SECRETS["fields"]}, wait=False) as running:
            await eventually(lambda: spy.greeted >= 2 and "cannot connect" in caplog.text)
            assert not running.app.stats.connected
    assert b"CONNECT" not in spy.heard
    assert b"hunter2" not in spy.heard


@pytest.mark.parametrize("scheme", ["nats", "tls"])
async def test_a_second_server_without_tls_is_told_nothing_at_a_reconnect(
    servers: Servers, authority: Authority, scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Written as nats://, it is no way out: one tls:// among the servers speaks for all, without a section `tls`."""
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    users = "authorization { user: u, password: hunter2 }"
    server = servers.start(f"{tls(authority.sign('server', '127.0.0.1'))}\n{users}")
    async with Eavesdropper(auth_required=True).listening() as spy:
        both = [server.url.replace("nats:", f"{scheme}:"), f"nats://127.0.0.1:{spy.port}"]
        options = {"user": "u", "password": "hunter2"}
        section = {} if scheme == "tls" else {"tls": {"ca": str(authority.file)}}
        settings: dict[str, Any] = {"servers": both, **section, **options}
        async with gateway(settings) as running:
            await server.stop()
            await eventually(lambda: spy.greeted >= 3, what="the other one is tried")
            server.start_blocking()
            async with client(server.url, tls=trusting(authority.file), **options) as nc:
                await running.up()
                await routes_events(nc)
    assert spy.heard == b""


def _cluster(port: int, other: int) -> str:
    return f'cluster {{ name: C, listen: "127.0.0.1:{port}", routes: ["nats-route://127.0.0.1:{other}"] }}'


def known(connection: Connection) -> list[str]:
    """The servers that a connection knows."""
    return [str(server.uri.netloc) for server in connection.wire._server_pool]


async def test_a_server_learnt_from_another_one_is_told_nothing_without_tls(
    servers: Servers, authority: Authority
) -> None:
    async with Eavesdropper(auth_required=True).listening() as spy:
        port = free_port()
        secure = tls(authority.sign("server", "127.0.0.1"))
        server = servers.start(f"server_name: a\n{secure}\n{_cluster(port, free_port())}", greets=False)
        servers.start(f'server_name: b\nclient_advertise: "127.0.0.1:{spy.port}"\n{_cluster(free_port(), port)}')
        settings = {"servers": [server.url], "tls": {"ca": str(authority.file)}, **SECRETS["fields"]}
        async with gateway(settings, wait=False) as running:
            connection = running.app._edge.connection
            await eventually(
                lambda: f"127.0.0.1:{spy.port}" in known(connection), what="the server tells of the other one"
            )
            await server.stop()
            await eventually(lambda: spy.greeted >= 3, what="the other one is tried")
    assert spy.heard == b""


async def test_a_web_socket_without_tls_is_no_way_out_either(
    authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    """nats-py never upgrades one, whatever its server says."""
    async with Eavesdropper(tls_required=True).listening() as spy:
        settings = {"servers": [f"ws://127.0.0.1:{spy.port}"], "tls": {"ca": str(authority.file)}}
        async with gateway(settings, wait=False):
            await eventually(lambda: "ws:// is not encrypted" in caplog.text)
    assert spy.greeted == 0


async def test_what_is_queued_is_not_for_a_server_that_is_only_being_tried(
    servers: Servers, authority: Authority
) -> None:
    """A gateway that ends while it tries a server without TLS: its last words would go there in plaintext."""
    server = servers.start(tls(authority.sign("server", "127.0.0.1")), greets=False)
    async with Eavesdropper(auth_required=True).listening() as spy:
        async with gateway({"servers": [server.url], "tls": {"ca": str(authority.file)}}, wait=False) as running:
            await eventually(lambda: running.app.stats.connected)
            wire = running.app._edge.connection.wire
            await server.stop()
            await eventually(lambda: wire.is_reconnecting)
            await wire.publish("secret", b"hunter2")
            await wire._transport.connect(urlparse(f"nats://127.0.0.1:{spy.port}"), 1000, 2)
            await wire._close(wire.CLOSED)
        assert spy.heard == b""
