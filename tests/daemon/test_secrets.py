"""No secret of a config is in anything that a gateway writes or answers, whatever goes wrong with it."""

from __future__ import annotations

import asyncio
import base64
import json
import secrets
import signal
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import nkeys  # type: ignore[import-untyped]
import pytest
from nats.aio.client import Client

from tests.conftest import StartGateway
from tests.support.certificates import Authority
from tests.support.distribution import install
from tests.support.eventually import eventually
from tests.support.operators import Key
from tests.support.process import GatewayProcess
from tests.support.secured import Servers, client
from tests.support.small_routes import rewrite, route
from tests.support.streams import count, make_stream, read_stream

PATHS = ("routes", "routes/leaks", "plugins", "config", "version", "openapi.json")


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[Servers]:
    """Servers with a config of the test's own."""
    started = Servers(tmp_path / "servers")
    yield started
    started.end()


class Hidden:
    """Secrets of every kind, and whether a text shows one."""

    def __init__(self, folder: Path) -> None:
        self.words: dict[str, str] = {}
        self._folder = folder

    def new(self, name: str) -> str:
        """A secret that is nowhere else, with what has to be quoted in URLs, JSON and logs."""
        word = self.words[name] = f'zq"{secrets.token_hex(6)}\\@{name[:3]}'
        return word

    def keep(self, name: str, word: str) -> str:
        """One that was made elsewhere."""
        self.words[name] = word
        return word

    def file(self, name: str) -> Path:
        """A new one in a file."""
        file = self._folder / f"secret-{len(self.words)}"
        file.write_text(f"{self.new(name)}\n")
        return file

    def shown_in(self, place: str, text: str) -> list[str]:
        """What a text shows of them, however it is written: in JSON, in a repr, in a URL, in base64."""
        found = []
        for name, word in self.words.items():
            forms = {word, json.dumps(word)[1:-1], repr(word)[1:-1], quote(word, "")}
            forms |= {base64.b64encode(form.encode()).decode().rstrip("=") for form in (word, f"user:{word}")}
            # A part of it is too much, too.
            forms |= {word[3:15]} if word.startswith("zq") else set()
            found += [
                f"{name} in {place}: {text[max(0, text.index(form) - 80) :][:160]}" for form in forms if form in text
            ]
        return found


def sign_ins(hidden: Hidden, folder: Path, url: str) -> list[tuple[dict[str, Any], str]]:
    """Every way to sign in with what the server does not take, and the reason the log gives for it."""
    authority = Authority(folder / "certs")
    ours = authority.sign("gw", "gw@example.com")
    hidden.keep("key of a certificate", ours.key.read_text().splitlines()[1])
    user = Key(nkeys.PREFIX_BYTE_USER)
    creds = folder / "user.creds"
    jwt = Key(nkeys.PREFIX_BYTE_ACCOUNT).sign(user.public, "gw", {"type": "user"})
    creds.write_text(
        f"-----BEGIN NATS USER JWT-----\n{hidden.keep('JWT of credentials', jwt)}\n------END NATS USER JWT------\n\n"
        f"-----BEGIN USER NKEY SEED-----\n{hidden.keep('seed of it', user.seed)}\n------END USER NKEY SEED------\n"
    )
    broken = folder / "broken.creds"
    broken.write_text(f"-----BEGIN NATS USER JWT-----\n{hidden.new('credentials that are none')}\n")
    seed = hidden.keep("nkey seed", Key(nkeys.PREFIX_BYTE_USER).seed)
    in_url = url.replace("//", f"//user:{quote(hidden.new('password in a URL'), '')}@")
    token_in_url = url.replace("//", f"//{quote(hidden.new('token in a URL'), '')}@")
    tls = {"ca": str(authority.file), "cert": str(ours.cert), "key": str(ours.key)}
    return [
        ({"servers": [url], "user": "gw", "password": f"${{file:{hidden.file('password')}}}"}, "refused"),
        ({"servers": [url], "token": f"${{file:{hidden.file('token')}}}"}, "refused"),
        ({"servers": [url], "nkey-seed": seed}, "refused"),
        ({"servers": [url], "credentials": str(creds)}, "refused"),
        ({"servers": [url], "credentials": str(broken)}, ""),
        ({"servers": [in_url]}, "refused"),
        ({"servers": [token_in_url]}, "refused"),
        ({"servers": [url], "tls": tls}, "tls"),
    ]


def refused_configs(hidden: Hidden) -> list[dict[str, Any]]:
    """Fields of a config that cannot be used, beside secrets and made of them."""
    return [
        {"nats": {"password": [hidden.new("list")], "user": "gw"}},
        {"nats": {"servers": [f"nats://user:{hidden.new('bad URL')}/x@h:4222"]}},
        {"nats": {"nkey-seed": hidden.new("bad seed")}},
        {"http": {"token": hidden.new("unknown field"), "tokens": hidden.new("field nobody knows")}},
        {"plugins": {"settings": {"leaky": {"dsn": {"a": hidden.new("mapping")}}}}},
        {"plugins": {"settings": {"leaky": {"dns": hidden.new("slip")}}}},
    ]


async def reload(gateway: GatewayProcess, event: str, reason: str, fields: dict[str, Any]) -> None:
    """Have it read another config, and wait until the log says what came of it."""
    before = len(gateway.logs)

    def told() -> bool:
        lines = [line for line in gateway.logs[before:] if line.get("event") == event]
        return any(reason in ("", line.get("reason")) for line in lines)

    rewrite(gateway, **fields)
    gateway.signal(signal.SIGHUP)
    await eventually(told, what=f"{event} {reason} after {list(fields)}")


async def answers(gateway: GatewayProcess, token: str) -> dict[str, str]:
    """Everything it says over HTTP, with the token and without."""

    def get(path: str) -> str:
        request = urllib.request.Request(f"{gateway.http_url}{path}", headers={"Authorization": f"Bearer {token}"})
        with urllib.request.urlopen(request, timeout=10) as answer:
            return str(answer.read().decode())

    found = {path: (await gateway.get(path))[1] for path in ("/metrics", "/readyz", "/healthz")}
    for path in PATHS:
        found[path] = await asyncio.to_thread(get, f"/api/v1/{path}")
        found[f"{path} without a token"] = (await gateway.get(f"/api/v1/{path}"))[1]
    return found


async def events_fail(nc: Client) -> None:
    """One good event, and one for each way in which the plugin says what it should not."""
    for fail in ("", "filter", "transform"):
        await nc.jetstream().publish("in.one", json.dumps({"fail": fail}).encode())
    await nc.jetstream().publish("in.one", b"{poison")


async def test_no_secret_is_ever_written_or_answered(
    servers: Servers, tmp_path: Path, gateway_process: StartGateway
) -> None:
    """Start, refused sign-ins of every kind, refused reloads, a plugin that says them in errors, lines and hooks."""
    hidden = Hidden(tmp_path)
    install(tmp_path / "site", "leaky", "1.0", {"leaky": (Path(__file__).parent / "leaky.py").read_text()})
    good = hidden.new("password of the server")
    server = servers.start(
        f"authorization {{ users: [ {{ user: all, password: all }}, {{ user: gw, password: {json.dumps(good)} }} ] }}",
        greets=False,
    )
    api_token = hidden.keep("token of the API", secrets.token_urlsafe(32))
    keyed = {"token": f"${{file:{hidden.file('token of a component')}}}"}
    nats = {"servers": [server.url], "user": "gw", "password": "${GOOD}"}
    leaks = route(
        "leaks", "in.one", "out.one", filters=[{"leaky-filter": keyed}], transforms=[{"leaky-transform": keyed}]
    )
    audits: list[dict[str, Any]] = [
        {"leaky-audit": keyed},
        {"log": {"level": "warning"}},
        {"stream": {"subject": "audit.r"}},
    ]
    config = {
        "nats": nats,
        "log": {"level": "debug", "format": "json", "loggers": {"nats": "debug", "aiohttp.server": "debug"}},
        "plugins": {"settings": {"leaky": {"dsn": "${DSN}"}}},
        "routes": [{**leaks, "audits": audits, "audit-mode": "best-effort"}],
    }
    async with client(server.url, user="all", password="all") as nc:
        for name, subjects in (("IN", "in.>"), ("OUT", "out.>"), ("DLQ", "dlq.>"), ("AUDIT", "audit.>")):
            await make_stream(nc, name, [subjects])
        dsn = f"postgresql://gateway:{quote(hidden.new('password of a DSN'), '')}@db/audit"
        env = {"PYTHONPATH": f"{tmp_path / 'site'}:{Path(__file__).parents[2]}", "GOOD": good, "DSN": dsn}
        gateway = await gateway_process(config, wait=False, env=env)
        http = {"listen": gateway.http_url.removeprefix("http://"), "token": api_token}
        rewrite(gateway, http=http)
        await gateway.start()
        await events_fail(nc)
        await eventually(lambda: letters(nc, 3))
        for fields in refused_configs(hidden):
            await reload(gateway, "config.reload-failed", "", {"http": http, **fields})
            rewrite(gateway, **{name: config.get(name, http) for name in fields})
        for settings, reason in sign_ins(hidden, tmp_path, server.url):
            await reload(gateway, "nats.unreachable", reason, {"nats": settings, "http": http})
        said = await answers(gateway, api_token)
        await reload(gateway, "config.reloaded", "", {"nats": nats})
        await eventually(lambda: letters(nc, 3))
        gateway.term()
        assert await gateway.wait() == 0
        stored = {name: await read_stream(nc, name) for name in ("OUT", "DLQ", "AUDIT")}
    assert len(stored["DLQ"]) == 3
    assert len(stored["AUDIT"]) >= 4
    said |= {name: repr(messages) for name, messages in stored.items()}
    said |= {"stdout": gateway.out, "stderr": gateway.err}
    assert "***" in gateway.err, "the plugin did say them"
    for proof in ("opening with", "cannot open with", "cannot close with", "in the background with", " has ["):
        assert proof in gateway.err, proof
    assert len(hidden.words) > 15
    assert [leak for place, text in said.items() for leak in hidden.shown_in(place, text)] == []


async def letters(nc: Client, number: int) -> bool:
    """Whether there are so many dead letters."""
    return await count(nc, "DLQ") == number
