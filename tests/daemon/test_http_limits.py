"""What connections to the HTTP port may cost: slow, idle, greedy and many ones; a scrape comes through all the same."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from gateway.config import model
from gateway.facts import GatewayFacts
from gateway.observe.metrics import Metrics
from gateway.runtime.stats import GatewayStats, RouteState, RouteStats
from gateway.values import Secret
from gateway.web import api as admin_api
from gateway.web import doorman, facts
from gateway.web.api import AdminApi
from gateway.web.guard import Guard
from gateway.web.server import HttpServer
from tests.support.eventually import PATIENCE, eventually
from tests.support.logged import logged
from tests.support.running import read_config, registry_with

GET = b"GET %b HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


def config_of(routes: int) -> model.Config:
    """Routes that are all disabled: nothing runs here."""
    some = [
        {
            "name": f"r{n}",
            "enabled": False,
            "source": {"stream": "IN", "subjects": [f"in.{n}"]},
            "targets": [{"subject": f"out.{n}"}, {"subject": f"more.{n}"}],
        }
        for n in range(routes)
    ]
    return read_config({"routes": some}, registry_with([]))


class Peer:
    """One connection, raw."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def ask(self, path: str) -> tuple[int, bytes]:
        """One request on it: status and body."""
        self.writer.write(GET % path.encode())
        head = (await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), PATIENCE)).decode().lower()
        size = int(head.partition("content-length: ")[2].partition("\r\n")[0])
        return int(head.split()[1]), await asyncio.wait_for(self.reader.readexactly(size), PATIENCE)

    async def ended(self) -> bytes:
        """What came until the server closed it."""
        try:
            return await asyncio.wait_for(self.reader.read(), PATIENCE)
        except ConnectionError:
            return b""

    async def close(self) -> None:
        self.writer.close()
        with contextlib.suppress(ConnectionError):
            await self.writer.wait_closed()


Connect = Callable[[], Awaitable[Peer]]


@asynccontextmanager
async def serving(
    config: model.Config | None = None, token: str | None = None, effective: Any = dict
) -> AsyncIterator[Connect]:
    """Connects to a server with metrics, health and the admin API."""
    settings = config or model.Config()
    stats = GatewayStats("test", "digest")
    for route in settings.routes:
        stats.routes[route.name] = RouteStats(route.name)
        stats.routes[route.name].state = RouteState.DISABLED
    known = GatewayFacts(stats, "i", "0", dict, lambda: settings, tuple, lambda: effective, lambda route: None, dict)
    guard = Guard("127.0.0.1", None if token is None else Secret(token))
    server = HttpServer(stats, Metrics(stats), "127.0.0.1:0", AdminApi(known, guard))
    port = await server.start()
    peers: list[Peer] = []

    async def connect() -> Peer:
        peers.append(Peer(*await asyncio.open_connection("127.0.0.1", port)))
        return peers[-1]

    try:
        yield connect
    finally:
        for peer in peers:
            await peer.close()
        await server.close()


async def test_half_a_request_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither when the rest never comes, nor when it comes byte by byte."""
    monkeypatch.setattr(doorman, "HEAD_TIME", 0.3)
    async with serving() as connect:
        silent, half, slow = [await connect() for _ in range(3)]
        half.writer.write(b"GET /healthz HT")

        async def drip() -> None:
            for byte in b"GET /healthz HTTP/1.1\r\n" + b"X: 1\r\n" * 1000:
                slow.writer.write(bytes([byte]))
                await asyncio.sleep(0.02)

        dripping = asyncio.create_task(drip())
        assert [await peer.ended() for peer in (silent, half, slow)] == [b"", b"", b""]
        dripping.cancel()


async def test_an_idle_connection_is_kept_for_the_next_scrape_and_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """The time a request may take begins with its first byte, not with the answer before."""
    monkeypatch.setattr(doorman, "HEAD_TIME", 0.2)
    monkeypatch.setattr(doorman, "IDLE_TIME", 1.5)
    async with serving() as connect:
        peer = await connect()
        assert await peer.ask("/healthz") == (200, b"ok")
        began = asyncio.get_running_loop().time()
        await asyncio.sleep(0.5)
        assert await peer.ask("/healthz") == (200, b"ok")
        assert await peer.ended() == b""
        assert asyncio.get_running_loop().time() - began > 1.4


async def test_a_request_is_read_up_to_a_size() -> None:
    """However many headers of a legal size it has."""
    headers = b"".join(b"X-%d: %b\r\n" % (n, b"x" * 8000) for n in range(100))
    async with serving() as connect:
        peer = await connect()
        peer.writer.write(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n" + headers + b"\r\n")
        assert await peer.ended() == b""


async def test_who_takes_nothing_of_an_answer_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would hold the answer in memory."""
    monkeypatch.setattr(doorman, "TAKE_TIME", 0.3)
    async with serving(config_of(300)) as connect:
        greedy = (await connect()).writer.transport
        assert isinstance(greedy, asyncio.Transport)
        greedy.pause_reading()
        greedy.write(GET % b"/api/v1/routes" * 60)
        connection: socket.socket = greedy.get_extra_info("socket")

        def is_left() -> bool:
            # What came is not read, so only what is sent tells of the end.
            greedy.write(b"\r\n")
            return greedy.is_closing() or connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) != 0

        await eventually(is_left, what="the connection closed")
        assert (await (await connect()).ask("/healthz"))[0] == 200


async def test_a_scrape_gets_through_however_many_connections_are_open(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that has waited longest goes; one that is used is not it."""
    monkeypatch.setattr(doorman, "MOST", 8)
    async with serving() as connect:
        used = await connect()
        idle = []
        for _ in range(40):
            idle.append(await connect())
            assert (await used.ask("/healthz"))[0] == 200
        scraper = await connect()
        assert (await scraper.ask("/metrics"))[0] == 200
        assert await idle[0].ended() == b""
        still_open = [peer for peer in idle if not peer.reader.at_eof()]
        assert len(still_open) <= 8


@pytest.mark.parametrize(
    "noise",
    [
        b"\x16\x03\x01\x02\x00 a TLS hello\r\n\r\n",
        b"GET /secret-path-\xff HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer secret" + b"x" * 9000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
    ],
)
async def test_what_is_no_request_gets_an_answer_that_tells_nothing(noise: bytes) -> None:
    """Neither what runs here, nor what was sent."""
    async with serving() as connect:
        peer = await connect()
        peer.writer.write(noise)
        head, _, body = (await peer.ended()).partition(b"\r\n\r\n")
        assert head.split(b"\r\n")[0].endswith(b"400 Bad Request")
        assert json.loads(body) == {"error": "bad request"}
        assert b"aiohttp" not in head
        assert b"Python" not in head
        assert b"X-Content-Type-Options: nosniff" in head


async def test_hundreds_of_routes_are_told_in_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """The events have their turn after a few routes, and many who ask at once are told together."""
    monkeypatch.setattr(admin_api, "TURN", 0.0)
    turns = made = 0
    route = GatewayFacts.route

    def one(known: GatewayFacts, name: str) -> facts.RouteFact | None:
        nonlocal made
        made += 1
        return route(known, name)

    monkeypatch.setattr(GatewayFacts, "route", one)

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async with serving(config_of(300)) as connect:
        peers = [await connect() for _ in range(20)]
        counting = asyncio.create_task(count())
        told = await asyncio.gather(*(peer.ask("/api/v1/routes") for peer in peers))
        counting.cancel()
        assert {status for status, _ in told} == {200}
        assert len({body for _, body in told}) == 1
        assert [route["name"] for route in json.loads(told[0][1])["routes"]] == [f"r{n}" for n in range(300)]
        assert turns >= 300
        assert made < 10 * 300, "not a list for each of twenty"


async def test_the_config_is_made_once_and_beside_the_events() -> None:
    """A large one takes a quarter of a second, which is not the loop's; one that could not be made is tried again."""
    loop = asyncio.get_running_loop()
    made = []

    def show() -> dict[str, Any]:
        assert asyncio._get_running_loop() is not loop
        made.append(1)
        if len(made) == 1:
            raise ValueError("once")
        return {"name": "test"}

    async with serving(effective=show) as connect:
        peer = await connect()
        assert (await peer.ask("/api/v1/config"))[0] == 500
        for _ in range(3):
            status, body = await peer.ask("/api/v1/config")
            assert (status, json.loads(body)) == (200, {"digest": "digest", "config": {"name": "test"}})
    assert len(made) == 2


async def test_wrong_tokens_do_not_fill_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """The first one is told, the others a minute later; which one it was is told nowhere."""
    async with serving(token="word") as connect:
        peer = await connect()
        for _ in range(50):
            assert (await peer.ask("/api/v1/version"))[0] == 401
    assert [(record.status, record.times) for record in logged(caplog, "api.refused")] == [(401, 1)]
