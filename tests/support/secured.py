"""Servers set up by a text of their own config, and a whole route through one of them."""

from __future__ import annotations

import logging
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from nats.aio.client import Client

from gateway.jetstream.server import EmbeddedServer

from .arrivals import arrived, settled
from .clients import connect
from .running import RunningGateway

_STREAMS = ("IN", "OUT", "DLQ")

log = logging.getLogger("tests")


class Servers:
    """Starts servers, and ends them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._started: list[EmbeddedServer] = []

    def start(self, config: str = "", *, port: int = -1, greets: bool = True) -> EmbeddedServer:
        """A server with this config; one that does not greet a stranger is ready when its port is there."""
        folder = self._folder / f"server-{len(self._started)}"
        folder.mkdir(parents=True)
        server = EmbeddedServer(folder, port, config, ask_jetstream=greets)
        self._started.append(server)
        server.start_blocking()
        return server

    def end(self) -> None:
        """End all of them."""
        for server in self._started:
            server.kill()


def tls(signed: Any, more: str = "") -> str:
    """The `tls` of a server's config."""
    return f'tls {{ cert_file: "{signed.cert}", key_file: "{signed.key}", ca_file: "{signed.authority}", {more} }}'


def trusting(authority: Path, signed: Any = None) -> ssl.SSLContext:
    """A client's context."""
    context = ssl.create_default_context(cafile=str(authority))
    if signed is not None:
        context.load_cert_chain(signed.cert, signed.key)
    return context


@asynccontextmanager
async def client(url: str, **options: Any) -> AsyncIterator[Client]:
    """A client of the test's."""

    async def note(error: Exception) -> None:
        log.debug("nats client: %r", error)

    options = {"reconnect_time_wait": 0.05, "max_reconnect_attempts": -1, "error_cb": note, **options}
    nc = await connect(url, **options)
    try:
        yield nc
    finally:
        await nc.close()


def config(nats: dict[str, Any], **more: Any) -> dict[str, Any]:
    """One route from IN to OUT for who signs in like this; it makes its streams."""
    streams = [{"name": name, "subjects": [f"{name.lower()}.>"], "provision": "create"} for name in _STREAMS]
    route = {
        "name": "r",
        "source": {"stream": "IN", "subjects": ["in.>"], "ack-wait": "2s"},
        "targets": [{"subject": "out.it"}],
    }
    return {"nats": nats, "http": "off", "drain": "5s", "streams": streams, "routes": [route], **more}


@asynccontextmanager
async def gateway(nats: dict[str, Any], *, wait: bool = True, **more: Any) -> AsyncIterator[RunningGateway]:
    """A gateway with that route; with `wait` it is up."""
    running = RunningGateway(config(nats, **more))
    await running.start()
    try:
        if wait:
            await running.up()
        yield running
    finally:
        await running.stop()


async def routes_events(nc: Client, number: int = 1) -> None:
    """Publish one more event, and see `number` of them arrive and settled."""
    await nc.jetstream().publish("in.a", b"%d" % number)
    await arrived(nc, "OUT", number)
    await settled(nc)
