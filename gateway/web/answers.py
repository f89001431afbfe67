"""How answers look, those included that aiohttp gives by itself to what is no request."""

from __future__ import annotations

from typing import Any

import msgspec
from aiohttp import web

JSON = "application/json"
HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


def as_json(status: int, body: object) -> web.Response:
    """A JSON answer; bytes are JSON already."""
    data = body if isinstance(body, bytes) else msgspec.json.encode(body)
    return web.Response(status=status, body=data + b"\n", headers={"Content-Type": JSON, **HEADERS})


async def dress(request: web.Request, response: web.StreamResponse) -> None:
    """Nothing is kept or guessed at; and which versions we run is nobody's business."""
    response.headers.update(HEADERS)
    response.headers.pop("Server", None)


class Handler(web.RequestHandler):
    """aiohttp's side of one connection. By itself it would tell its version, and repeat what it could not read."""

    __slots__ = ()

    def handle_error(
        self, request: web.BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        """Answer what cannot be read as a request."""
        super().handle_error(request, status, exc, message)  # logs a fault of its own, and ends what has begun
        response = as_json(status, {"error": "bad request" if status == 400 else "internal error"})
        response.headers["Server"] = "nats-event-gateway"  # else it is set
        response.force_close()
        return response


def make_handler(server: web.Server, loop: Any, linger: float) -> Handler:
    """A connection of `server`; a body that no request of ours has may come for `linger` seconds more."""
    return Handler(server, loop=loop, access_log=None, lingering_time=linger)  # type: ignore[arg-type]
