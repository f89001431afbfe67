"""The admin API: facts about the running gateway as JSON, read-only."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from aiohttp import web

from . import facts
from .answers import as_json
from .guard import Guard
from .openapi import document

log = logging.getLogger("gateway.http")

Answer = Callable[[web.Request], Awaitable[bytes]]

TURN = 0.004
"""Seconds of work on one answer before the events have their turn."""
LONGEST_NAME = 48
"""Of a route; longer ones are not repeated in an answer."""
TELL_EVERY = 60.0
"""Seconds between two lines in the log about requests that were refused."""

_encode = msgspec.json.Encoder().encode


class _Unknown(Exception):
    """What is asked for is not there. No LookupError: that may be a slip of ours."""


class AdminApi:
    """Answers below /api/v1."""

    def __init__(self, known: facts.Facts, guard: Guard) -> None:
        self._facts = known
        self._guard = guard
        self._refusals = _Refusals()
        self._document = _encode(document(known.version().version, token=guard.wants_token))
        self._one_by_one = asyncio.Lock()
        self._listing: asyncio.Task[bytes] | None = None
        self._config: tuple[object, asyncio.Task[bytes]] | None = None

    def add_to(self, router: web.UrlDispatcher) -> None:
        """Take the paths over; GET and HEAD only, everything else is 405."""
        router.add_get("/api/v1/version", self._guarded(self._version))
        router.add_get("/api/v1/routes", self._guarded(self._routes))
        router.add_get("/api/v1/routes/{name}", self._guarded(self._route))
        router.add_get("/api/v1/plugins", self._guarded(self._plugins))
        router.add_get("/api/v1/config", self._guarded(self._shown_config))
        router.add_get("/api/v1/openapi.json", self._guarded(self._described))

    def _guarded(self, answer: Answer) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def handle(request: web.Request) -> web.StreamResponse:
            refused = self._guard.refusal(request.headers, request.raw_path)
            if refused is not None:
                self._refusals.note(*refused, request.remote)
                return _refusal(*refused)
            try:
                return as_json(200, await answer(request))
            except _Unknown as error:
                return as_json(404, _error(str(error)))

        return handle

    async def _version(self, request: web.Request) -> bytes:
        return _encode(self._facts.version())

    async def _plugins(self, request: web.Request) -> bytes:
        return _encode(facts.Plugins(plugins=self._facts.plugins()))

    async def _described(self, request: web.Request) -> bytes:
        return self._document

    async def _route(self, request: web.Request) -> bytes:
        name = request.match_info["name"]
        route = self._facts.route(name)
        if route is None:
            raise _Unknown(unknown_route(name))
        return _encode(route)

    async def _routes(self, request: web.Request) -> bytes:
        """Requests that meet share one answer: many of them delay the events no more than one."""
        if self._listing is None or self._listing.done():
            self._listing = asyncio.get_running_loop().create_task(self._list())
        return await self._shared(self._listing)

    async def _list(self) -> bytes:
        parts = []
        until = time.perf_counter() + TURN
        for name in self._facts.names():
            route = self._facts.route(name)
            if route is not None:  # else a reload has taken it away
                parts.append(_encode(route))
            if time.perf_counter() > until:
                await asyncio.sleep(0)
                until = time.perf_counter() + TURN
        return b'{"routes":[%b]}' % b",".join(parts)

    async def _shown_config(self, request: web.Request) -> bytes:
        """Once a config, in a thread: a large one takes a quarter of a second."""
        digest, show = self._facts.config()
        if self._config is None or self._config[0] is not show or _failed(self._config[1]):
            self._config = show, asyncio.get_running_loop().create_task(asyncio.to_thread(_config, digest, show))
        return await self._shared(self._config[1])

    async def _shared(self, task: asyncio.Task[bytes]) -> bytes:
        """One large answer of many. Shielded: who hangs up must not end what others wait for."""
        answer = await asyncio.shield(task)
        # All of them wake up at once, and to write so much takes a turn each.
        async with self._one_by_one:
            await asyncio.sleep(0)
        return answer


class _Refusals:
    """Says in the log that requests are refused, seldom enough that they cannot fill it. No header is told."""

    def __init__(self) -> None:
        self._told_at = -TELL_EVERY
        self._untold = 0

    def note(self, status: int, why: str, remote: str | None) -> None:
        """One was refused."""
        self._untold += 1
        now = time.monotonic()
        if now - self._told_at < TELL_EVERY:
            return
        told = {"event": "api.refused", "status": status, "remote": remote, "times": self._untold}
        log.warning("a request to the admin API was refused: %s", why, extra=told)
        self._told_at, self._untold = now, 0


def unknown_route(name: str) -> str:
    """What to say of a route that is not there."""
    return f"no route is called {name!r}" if len(name) <= LONGEST_NAME else "no route has so long a name"


def _config(digest: str, show: Callable[[], dict[str, Any]]) -> bytes:
    return _encode(facts.Config(digest=digest, config=show()))


def _failed(task: asyncio.Task[bytes]) -> bool:
    return task.done() and (task.cancelled() or task.exception() is not None)


def _refusal(status: int, text: str) -> web.Response:
    response = as_json(status, _error(text))
    if status == 401:
        response.headers["WWW-Authenticate"] = 'Bearer realm="nats-event-gateway"'
    return response


def _error(text: str) -> bytes:
    return _encode(facts.ApiError(error=text))
