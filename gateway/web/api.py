"""The admin API: facts about the running gateway as JSON, read-only."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from aiohttp import web

from . import facts
from .guard import Guard
from .openapi import document

Answer = Callable[[web.Request], msgspec.Struct | dict[str, Any]]

HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


class _Unknown(Exception):
    """What is asked for is not there. No LookupError: that may be a slip of ours."""


class AdminApi:
    """Answers below /api/v1."""

    def __init__(self, known: facts.Facts, guard: Guard) -> None:
        self._facts = known
        self._guard = guard

    def add_to(self, router: web.UrlDispatcher) -> None:
        """Take the paths over; GET and HEAD only, everything else is 405."""
        router.add_get("/api/v1/version", self._guarded(lambda _: self._facts.version()))
        router.add_get("/api/v1/routes", self._guarded(lambda _: facts.Routes(routes=self._facts.routes())))
        router.add_get("/api/v1/routes/{name}", self._guarded(self._route))
        router.add_get("/api/v1/plugins", self._guarded(lambda _: facts.Plugins(plugins=self._facts.plugins())))
        router.add_get("/api/v1/config", self._guarded(lambda _: self._facts.config()))
        router.add_get("/api/v1/openapi.json", self._guarded(lambda _: document(self._facts.version().version)))

    def _guarded(self, answer: Answer) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def handle(request: web.Request) -> web.StreamResponse:
            refused = self._guard.refusal(request.headers)
            if refused is not None:
                return _refusal(*refused)
            try:
                return _json(200, answer(request))
            except _Unknown as error:
                return _json(404, facts.ApiError(error=str(error)))

        return handle

    def _route(self, request: web.Request) -> facts.RouteFact:
        name = request.match_info["name"]
        for route in self._facts.routes():
            if route.name == name:
                return route
        raise _Unknown(f"no route is called {name!r}")


def _refusal(status: int, text: str) -> web.Response:
    response = _json(status, facts.ApiError(error=text))
    if status == 401:
        response.headers["WWW-Authenticate"] = 'Bearer realm="nats-event-gateway"'
    return response


def _json(status: int, body: object) -> web.Response:
    headers = {"Content-Type": "application/json", **HEADERS}
    return web.Response(status=status, body=msgspec.json.encode(body) + b"\n", headers=headers)
