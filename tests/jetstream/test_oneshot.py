"""A command that asks a server once: why there is no connection, and no waiting for what does not mend itself."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from gateway.config import model
from gateway.errors import ServerUnreachable
from gateway.jetstream.api import ApiUnavailable
from gateway.jetstream.inspection import Inspection
from gateway.jetstream.oneshot import connected
from gateway.jetstream.server import EmbeddedServer, free_port
from gateway.routing.compile import compile_config
from gateway.values import Secret
from tests.support.certificates import Authority
from tests.support.running import read_config, registry_with
from tests.support.secured import Servers, tls

LONG = 600.0
"""Seconds that a command would wait which does not end by itself."""


async def reason(nats: model.Nats, patience: float = LONG) -> str:
    """Why there is no connection; with the long patience it has to say so on its own accord."""
    async with asyncio.timeout(30):
        with pytest.raises(ServerUnreachable) as raised:
            async with connected(nats, "test", patience):
                pass
    return str(raised.value)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """Who signs the certificates."""
    return Authority(tmp_path / "certs")


def refusing(servers: Servers) -> str:
    """A server that takes nobody else, and its URL."""
    return servers.start('authorization { users: [ { user: gw, password: "right" } ] }').url


async def test_a_command_that_is_refused_ends_at_once_with_the_reason(servers: Servers) -> None:
    """And without the password."""
    url = refusing(servers)
    said = await reason(model.Nats(servers=[url], user="gw", password=Secret("hunter2")))
    host = url.removeprefix("nats://")
    assert said == f"cannot connect: the server does not take who we are: 'Authorization Violation' ({host})"


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["127.0.0.1"], "unable to get local issuer certificate"),
        (["other.example.com"], "IP address mismatch"),
        ([], "the server offers no TLS"),
    ],
    ids=["of-another-authority", "for-another-host", "no-tls"],
)
async def test_a_command_ends_at_once_when_tls_fails(
    servers: Servers, authority: Authority, tmp_path: Path, names: list[str], words: str
) -> None:
    server = servers.start(tls(authority.sign("server", *names)) if names else "")
    others = Authority(tmp_path / "others", "other-ca")
    ca = others.file if names == ["127.0.0.1"] else authority.file
    said = await reason(model.Nats(servers=[server.url], tls=model.Tls(ca=str(ca))))
    assert said.startswith("cannot connect: ")
    assert words in said
    assert f" ({server.url.removeprefix('nats://')})" in said
    assert ("\n  hint: set the server up for TLS" in said) == (not names)


async def test_a_file_that_cannot_be_used_ends_a_command_at_once(tmp_path: Path) -> None:
    """Whether there is a server or not."""
    missing = str(tmp_path / "none.pem")
    said = await reason(model.Nats(servers=[f"nats://127.0.0.1:{free_port()}"], tls=model.Tls(ca=missing)))
    assert said == f"cannot connect: nats.tls.ca: cannot use {missing}: No such file or directory"


async def test_a_server_that_is_away_is_waited_for_and_its_failure_told(servers: Servers) -> None:
    away = f"127.0.0.1:{free_port()}"
    said = await reason(model.Nats(servers=[f"nats://{away}"]), 1.0)
    assert said.startswith(f"no NATS server answers at nats://{away} within 1 s: ")
    assert "Connect call failed" in said


async def test_one_server_of_several_that_refuses_is_no_reason_to_end(servers: Servers) -> None:
    """The other may come; when the time is over, both have their reason."""
    url, away = refusing(servers), f"127.0.0.1:{free_port()}"
    host = url.removeprefix("nats://")
    nats: dict[str, Any] = {"user": "gw", "password": Secret("wrong")}
    said = await reason(model.Nats(servers=[url, f"nats://{away}"], **nats), 3)
    assert said.startswith(f"no connection to {url}, nats://{away} within 3 s: ")
    assert f"the server does not take who we are: 'Authorization Violation' ({host})" in said
    assert f"Connect call failed ('127.0.0.1', {away.partition(':')[2]}) ({away})" in said
    said = await reason(model.Nats(servers=[url, refusing(servers)], **nats))
    assert said.count("the server does not take who we are") == 2


async def test_one_server_of_several_that_takes_us_is_enough(servers: Servers) -> None:
    """Whichever of them is tried first."""
    good = servers.start().url
    for _ in range(4):
        async with connected(model.Nats(servers=[refusing(servers), good]), "test", 20) as link:
            assert link.connection.connected
            assert link.connection.failures.of == {}


async def test_a_server_that_goes_while_it_is_inspected_is_no_finding(
    nats_server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each question that is left would wait for its time to run out, and be told as a fault of the config."""
    monkeypatch.setattr("gateway.jetstream.api.TIMEOUT", 0.5)
    route = {"name": "r", "source": {"stream": "IN", "subjects": ["in.>"]}, "targets": [{"subject": "out.it"}]}
    config = read_config({"nats": {"servers": [nats_server.url]}, "routes": [route]}, registry := registry_with([]))

    async def inspect() -> None:
        async with connected(config.nats, "check", 5) as link:
            async for _ in Inspection(link.api, config, compile_config(config, registry)[0]).findings():
                await nats_server.stop()

    with pytest.raises(ApiUnavailable):
        await inspect()
