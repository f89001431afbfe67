"""Running gateways for the tests of an event's way, and the streams nearly all of them use."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import pytest
from nats.aio.client import Client

from gateway.jetstream.server import EmbeddedServer
from gateway.plugin import Component
from tests.support.running import RunningGateway
from tests.support.secured import Servers
from tests.support.servers import gateway_url, permissions, reload_with, restart_with
from tests.support.streams import make_stream


class RunGateway(Protocol):
    """What `run_gateway` gives: call it with a config and the components it needs."""

    async def __call__(
        self,
        config: dict[str, Any],
        *components: type[Component],
        wait: bool = True,
        hooks: Mapping[str, Any] | None = None,
    ) -> RunningGateway: ...


@pytest.fixture
async def run_gateway(nats_server: EmbeddedServer) -> AsyncIterator[RunGateway]:
    """Start gateways in this process; each is stopped when the test ends. With `wait=False` its routes may be down."""
    running: list[RunningGateway] = []

    async def start(
        config: dict[str, Any],
        *components: type[Component],
        wait: bool = True,
        hooks: Mapping[str, Any] | None = None,
    ) -> RunningGateway:
        whole = {"nats": {"servers": [nats_server.url]}, "http": "off", "drain": "5s", **config}
        gateway = RunningGateway(whole, components, hooks)
        running.append(gateway)
        await gateway.start()
        if wait:
            await gateway.up()
        return gateway

    yield start
    for gateway in running:
        await gateway.stop()


class Restricted:
    """Gateways whose user may not do everything."""

    def __init__(self, server: EmbeddedServer, nc: Client, run_gateway: RunGateway) -> None:
        self._server = server
        self._nc = nc
        self._run_gateway = run_gateway

    async def forbid(self, *subjects: str) -> None:
        """Start the server again with a user who may not publish to these."""
        denied = ", ".join(f'"{subject}"' for subject in subjects)
        await restart_with(self._server, self._nc, permissions(f"publish: {{ deny: [{denied}] }}"))

    async def run(self, config: dict[str, Any], *components: type[Component], wait: bool = True) -> RunningGateway:
        """As `run_gateway`, signed in as this user."""
        nats = {"servers": [gateway_url(self._server)]}
        return await self._run_gateway({"nats": nats, **config}, *components, wait=wait)

    def permit(self) -> None:
        """The user may do everything from now on; the server goes on."""
        reload_with(self._server, permissions(""))


@pytest.fixture
def restricted(nats_server: EmbeddedServer, nc: Client, run_gateway: RunGateway) -> Restricted:
    """`await restricted.forbid("dlq.>")`, then `await restricted.run(config)`."""
    return Restricted(nats_server, nc, run_gateway)


Route = Callable[..., dict[str, Any]]


@pytest.fixture
def route() -> Route:
    """`route(filters=[...])` is a config with one route from IN to OUT, quick in everything that waits."""

    def make(name: str = "r", **fields: Any) -> dict[str, Any]:
        source = {"stream": "IN", "subjects": ["in.>"], "ack-wait": "2s", **fields.pop("source", {})}
        retry = {"initial": "100ms", "max": "400ms", "jitter": 0, **fields.pop("retry", {})}
        targets: Sequence[Any] = fields.pop("targets", [{"subject": "out.it", "name": "out"}])
        return {"name": name, "source": source, "retry": retry, "targets": targets, **fields}

    return make


@pytest.fixture
async def streams(nc: Client) -> None:
    """IN (in.>), OUT (out.>) and DLQ (dlq.>)."""
    for name in ("IN", "OUT", "DLQ"):
        await make_stream(nc, name, [f"{name.lower()}.>"])


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[Servers]:
    """Servers of the test's own."""
    started = Servers(tmp_path)
    yield started
    started.end()
