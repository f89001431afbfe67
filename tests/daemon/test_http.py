"""The HTTP port, asked by a real client over loopback."""

from __future__ import annotations

import asyncio
import gzip
import io
import logging
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from gateway.errors import GatewayError
from gateway.observe import logs
from gateway.observe.metrics import Metrics
from gateway.runtime.stats import GatewayStats, RouteState, RouteStats
from gateway.web.server import HttpListenError, HttpServer, parse_listen


def stats_of(connected: bool = True, **states: RouteState) -> GatewayStats:
    stats = GatewayStats("test", "digest")
    stats.connected = connected
    for name, state in states.items():
        stats.routes[name] = RouteStats(name)
        stats.routes[name].state = state
    return stats


@asynccontextmanager
async def serving(stats: GatewayStats) -> AsyncIterator[aiohttp.ClientSession]:
    """A client whose URLs begin with the path."""
    server = HttpServer(stats, Metrics(stats), "127.0.0.1:0")
    port = await server.start()
    try:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}", auto_decompress=False) as client:
            yield client
    finally:
        await server.close()


async def readiness(stats: GatewayStats, query: str = "") -> tuple[int, dict[str, Any]]:
    async with serving(stats) as client, client.get(f"/readyz{query}") as answer:
        assert answer.content_type == "application/json"
        return answer.status, await answer.json()


UP, DOWN, OFF, STARTING = RouteState.UP, RouteState.DOWN, RouteState.DISABLED, RouteState.STARTING


@pytest.mark.parametrize(
    ("stats", "status", "strict_status", "state"),
    [
        (stats_of(a=UP, b=UP), 200, 200, "ok"),
        (stats_of(a=UP, b=DOWN), 200, 503, "degraded"),
        (stats_of(a=UP, b=STARTING), 200, 503, "degraded"),
        (stats_of(a=DOWN, b=STARTING), 503, 503, "down"),
        (stats_of(a=UP, b=OFF), 200, 200, "ok"),
        (stats_of(a=DOWN, b=OFF), 503, 503, "down"),
        (stats_of(a=OFF), 200, 200, "ok"),
        (stats_of(), 200, 200, "ok"),
        (stats_of(connected=False, a=UP), 503, 503, "down"),
        (stats_of(connected=False), 503, 503, "down"),
        (stats_of(a=RouteState.DRAINING), 503, 503, "down"),
    ],
)
async def test_ready_is_connected_with_a_route_up(
    stats: GatewayStats, status: int, strict_status: int, state: str
) -> None:
    for query, expected in (("", status), ("?strict=0", status), ("?strict=1", strict_status)):
        got, body = await readiness(stats, query)
        assert got == expected, query
        assert body["ready"] is (expected == 200)
        assert body["state"] == state


async def test_the_body_of_readyz_says_why_a_route_is_down() -> None:
    stats = stats_of(a=UP, b=DOWN)
    stats.routes["b"].code, stats.routes["b"].reason = "no-stream", "stream ORDERS does not exist"
    stats.routes["b"].since = 1_700_000_000.9
    assert (await readiness(stats))[1] == {
        "ready": True,
        "state": "degraded",
        "routes": [
            {"name": "a", "state": "up", "code": "", "reason": ""},
            {
                "name": "b",
                "state": "down",
                "code": "no-stream",
                "reason": "stream ORDERS does not exist",
                "since": "2023-11-14T22:13:20Z",
            },
        ],
    }


async def test_readyz_of_one_route_judges_that_route_alone() -> None:
    stats = stats_of(a=UP, b=DOWN)
    status, body = await readiness(stats, "?route=b")
    assert status == 503
    assert body["state"] == "down"
    assert [route["name"] for route in body["routes"]] == ["b"]
    assert (await readiness(stats, "?route=a&strict=1"))[0] == 200


async def test_readyz_of_an_unknown_route_is_404() -> None:
    status, body = await readiness(stats_of(a=UP), "?route=orders")
    assert (status, body) == (404, {"error": "no route is called 'orders'"})


async def test_healthz_is_ok_even_when_nothing_works() -> None:
    async with serving(stats_of(connected=False, a=DOWN)) as client, client.get("/healthz") as answer:
        assert (answer.status, await answer.text()) == (200, "ok")


@pytest.mark.parametrize(
    ("accept", "kind"),
    [("*/*", "text/plain"), ("application/openmetrics-text; version=1.0.0", "application/openmetrics-text")],
)
async def test_metrics_come_in_the_format_asked_for(accept: str, kind: str) -> None:
    headers = {"Accept": accept, "Accept-Encoding": "identity"}
    async with serving(stats_of(a=UP)) as client, client.get("/metrics", headers=headers) as answer:
        assert answer.status == 200
        assert answer.content_type == kind
        assert b'event_gateway_route_up{route="a"} 1\n' in await answer.read()


@pytest.mark.parametrize(("encoding", "packed"), [("gzip, deflate", True), ("identity", False)])
async def test_metrics_are_gzipped_when_asked(encoding: str, packed: bool) -> None:
    headers = {"Accept-Encoding": encoding}
    async with serving(stats_of(a=UP)) as client, client.get("/metrics", headers=headers) as answer:
        assert answer.headers.get("Content-Encoding") == ("gzip" if packed else None)
        body = await answer.read()
        assert b"event_gateway_route_up" in (gzip.decompress(body) if packed else body)


@pytest.mark.parametrize("path", ["/", "/metrics", "/healthz", "/readyz"])
async def test_head_is_get_without_a_body(path: str) -> None:
    async with serving(stats_of(a=UP)) as client, client.head(path) as answer:
        assert answer.status == 200
        assert int(answer.headers["Content-Length"]) > 0
        assert await answer.read() == b""


async def test_the_index_names_every_endpoint() -> None:
    async with serving(stats_of()) as client, client.get("/") as answer:
        text = await answer.text()
        assert answer.content_type == "text/plain"
        assert all(path in text for path in ("/metrics", "/healthz", "/readyz"))


async def test_unknown_paths_and_methods_are_refused_in_json() -> None:
    async with serving(stats_of()) as client:
        async with client.get("/nothing") as answer:
            assert (answer.status, await answer.json()) == (404, {"error": "not found"})
        async with client.post("/metrics") as answer:
            assert (answer.status, await answer.json()) == (405, {"error": "method not allowed"})
            assert answer.headers["Allow"] == "GET,HEAD"


async def test_no_answer_tells_which_versions_run() -> None:
    async with serving(stats_of()) as client:
        for path in ("/", "/metrics", "/nothing"):
            async with client.get(path) as answer:
                assert "Server" not in answer.headers


class Broken:
    async def scrape(self, openmetrics: bool, gzip: bool) -> tuple[bytes, str]:
        raise ValueError("inner detail")


async def test_a_fault_of_ours_is_logged_and_told_without_detail(caplog: pytest.LogCaptureFixture) -> None:
    server = HttpServer(stats_of(), Broken(), "127.0.0.1:0")
    port = await server.start()
    async with aiohttp.ClientSession() as client, client.get(f"http://127.0.0.1:{port}/metrics") as answer:
        assert (answer.status, await answer.json()) == (500, {"error": "internal error"})
    await server.close()
    assert [record.__dict__.get("event") for record in caplog.records if record.exc_info] == ["http.failed"]


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """The log as the daemon writes it."""
    root, stream = logging.getLogger(), io.StringIO()
    handlers = list(root.handlers)
    logs.setup("info", "text", {}, stream)
    yield stream
    root.handlers = handlers
    root.setLevel(logging.WARNING)
    for name in logs.QUIET:
        logging.getLogger(name).setLevel(logging.NOTSET)


async def test_noise_on_the_port_neither_fills_the_log_nor_ends_the_server(log: io.StringIO) -> None:
    stats = stats_of(a=UP)
    server = HttpServer(stats, Metrics(stats), "127.0.0.1:0")
    port = await server.start()
    for noise in (b"\x16\x03\x01\x02\x00 a TLS hello\r\n\r\n", b"GET /" + b"x" * 20_000 + b" HTTP/1.1\r\n\r\n", b"GE"):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(noise)
        writer.write_eof()
        answer = await asyncio.wait_for(reader.read(), 30)
        assert b"aiohttp" not in answer
        writer.close()
        await writer.wait_closed()
    async with aiohttp.ClientSession() as client, client.get(f"http://127.0.0.1:{port}/healthz") as ok:
        assert ok.status == 200
    await server.close()
    assert log.getvalue() == ""


async def test_a_port_in_use_is_a_clear_error() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        server = HttpServer(stats_of(), Broken(), listen)
        with pytest.raises(HttpListenError, match=f"^cannot listen on {listen}: address already in use$") as raised:
            await server.start()
        await server.close()
    assert isinstance(raised.value, GatewayError)


@pytest.mark.parametrize("listen", ["192.0.2.1:0", "no-such-host.invalid:0"])
async def test_an_address_that_is_not_ours_is_a_clear_error(listen: str) -> None:
    with pytest.raises(HttpListenError, match=f"^cannot listen on {listen}: [a-z].+"):
        await HttpServer(stats_of(), Broken(), listen).start()


async def test_a_closed_server_has_given_its_port_back() -> None:
    stats = stats_of()
    server = HttpServer(stats, Metrics(stats), "127.0.0.1:0")
    port = await server.start()
    await server.close()
    await server.close()
    again = HttpServer(stats, Metrics(stats), f"127.0.0.1:{port}")
    assert await again.start() == port
    await again.close()


@pytest.mark.parametrize(
    ("listen", "parsed"),
    [
        ("127.0.0.1:9464", ("127.0.0.1", 9464)),
        ("localhost:0", ("localhost", 0)),
        ("[::1]:9464", ("::1", 9464)),
        (":9464", (None, 9464)),
    ],
)
def test_listen_is_host_and_port(listen: str, parsed: tuple[str | None, int]) -> None:
    assert parse_listen(listen) == parsed


@pytest.mark.parametrize("listen", ["", "9464", "localhost", "::1:9464", "a:b", "a:65536", "a:-1", "[::1]"])
def test_anything_else_is_refused(listen: str) -> None:
    with pytest.raises(HttpListenError, match="expected HOST:PORT"):
        parse_listen(listen)
