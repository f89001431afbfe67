"""The HTTP server, in the gateway's own event loop: that it answers at all is half of what /healthz says."""

from __future__ import annotations

import asyncio
import logging
import os
import re
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Protocol

from aiohttp import web

from ..errors import GatewayError
from ..runtime.stats import GatewayStats
from .answers import as_json, dress, make_handler
from .api import AdminApi, unknown_route
from .choice import wants_gzip, wants_openmetrics
from .doorman import Doorman
from .health import health

log = logging.getLogger("gateway.http")

_LISTEN = re.compile(r"(?:\[([^\[\]]+)\]|([^:\[\]]*)):(\d{1,5})")
_CLOSE_TIMEOUT = 2.0
"""Seconds an answer under way may take when the server closes."""
_LINGER = 1.0
"""Seconds in which a body, which none of our requests has, may still come after the answer."""
_STRICT = {"1": True, "true": True, "0": False, "false": False}
_INDEX = """nats-event-gateway

/metrics   numbers for Prometheus, as text or OpenMetrics
/healthz   200 while the event loop answers
/readyz    200 while connected with a route up; ?route=NAME for one, ?strict=1 for all
/api/v1/   facts as JSON: version, routes, routes/NAME, plugins, config; openapi.json describes all of this
"""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Scraper(Protocol):
    """Who writes the metrics page."""

    async def scrape(self, openmetrics: bool, gzip: bool) -> tuple[bytes, str]:
        """Body, gzipped if asked, and content type."""
        ...


class HttpListenError(GatewayError):
    """The HTTP port cannot be had."""

    def __init__(self, listen: str, reason: str) -> None:
        self.listen = listen
        self.reason = reason
        super().__init__(f"cannot listen on {listen}: {reason}")


def parse_listen(listen: str) -> tuple[str | None, int]:
    """Host and port of `127.0.0.1:9464`, `[::1]:9464` or `:9464` (host None: every interface).

    Raises HttpListenError.
    """
    found = _LISTEN.fullmatch(listen)
    if found is None or int(found[3]) > 65535:
        raise HttpListenError(listen, "expected HOST:PORT, such as 127.0.0.1:9464 or [::1]:9464")
    return found[1] or found[2] or None, int(found[3])


class HttpServer:
    """/metrics, /healthz, /readyz and the admin API."""

    def __init__(self, stats: GatewayStats, metrics: Scraper, listen: str, api: AdminApi | None = None) -> None:
        """`listen` as in the config; port 0 takes any free one. Nothing is bound yet."""
        self._stats = stats
        self._metrics = metrics
        self._listen = listen
        self._api = api
        self._runner: web.AppRunner | None = None
        self._server: asyncio.Server | None = None
        self._doorman: Doorman | None = None

    async def start(self) -> int:
        """Bind; returns the port. Raises HttpListenError."""
        host, port = parse_listen(self._listen)
        runner = web.AppRunner(self._app(), access_log=None, shutdown_timeout=_CLOSE_TIMEOUT)
        await runner.setup()
        assert runner.server is not None
        loop = asyncio.get_running_loop()
        self._doorman = Doorman(partial(make_handler, runner.server, loop, _LINGER))
        try:
            server = await loop.create_server(self._doorman, host, port)
        except OSError as error:
            await runner.cleanup()
            # A failed name lookup has negative numbers of its own, and a text only there.
            known = error.errno is not None and error.errno > 0
            reason = os.strerror(error.errno or 0) if known else str(error.strerror)
            raise HttpListenError(self._listen, reason[:1].lower() + reason[1:]) from error
        self._runner, self._server = runner, server
        bound: int = server.sockets[0].getsockname()[1]
        return bound

    async def close(self) -> None:
        """Stop answering; harmless when it never started."""
        if self._server is not None:
            self._server.close()
            self._server = None
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    def _app(self) -> web.Application:
        app = web.Application(middlewares=[self._watched, _errors_as_json])
        app.on_response_prepare.append(dress)
        app.router.add_get("/", self._index)
        app.router.add_get("/metrics", self._scrape)
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/readyz", self._readyz)
        if self._api is not None:
            self._api.add_to(app.router)
        return app

    @web.middleware
    async def _watched(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        assert self._doorman is not None
        transport = request.transport
        self._doorman.arrived(transport)
        try:
            return await handler(request)
        finally:
            self._doorman.answered(transport)

    async def _index(self, request: web.Request) -> web.Response:
        return web.Response(text=_INDEX)

    async def _healthz(self, request: web.Request) -> web.Response:
        return web.Response(text="ok")

    async def _scrape(self, request: web.Request) -> web.Response:
        openmetrics = wants_openmetrics(request.headers.getall("Accept", []))
        gzip = wants_gzip(request.headers.getall("Accept-Encoding", []))
        body, content_type = await self._metrics.scrape(openmetrics, gzip)
        headers = {"Content-Type": content_type, "Vary": "Accept, Accept-Encoding"}
        if gzip:
            headers["Content-Encoding"] = "gzip"
        return web.Response(body=body, headers=headers)

    async def _readyz(self, request: web.Request) -> web.Response:
        strict = _STRICT.get(request.query.get("strict", "0"))
        if strict is None:
            return as_json(400, {"error": "strict is 1 or 0"})
        name = request.query.get("route")
        routes = [route for route in self._stats.routes.values() if name in (None, route.route)]
        if name is not None and not routes:
            return as_json(404, {"error": unknown_route(name)})
        found = health(self._stats, routes, strict)
        return as_json(200 if found.ready else 503, found)


@web.middleware
async def _errors_as_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except web.HTTPException as error:
        response = as_json(error.status, {"error": error.reason.lower()})
        if "Allow" in error.headers:
            response.headers["Allow"] = error.headers["Allow"]
        return response
    except Exception:
        log.exception("HTTP request failed: %s", request.path, extra={"event": "http.failed"})
        return as_json(500, {"error": "internal error"})
