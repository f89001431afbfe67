"""The pytest plugin of whoever has the gateway installed: the fixtures `nats_server` and `run_gateway`.

It is imported by every run of pytest there, so it imports nothing before a fixture is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def nats_server(tmp_path: Path) -> Iterator[Any]:
    """A real nats-server with JetStream for this test, on a free port of the loopback interface; `.url` is its address.

    It needs `nats-event-gateway[embedded]`, or a nats-server on PATH.
    """
    from gateway.jetstream.server import EmbeddedServer

    with EmbeddedServer(tmp_path / "nats") as server:
        yield server


@pytest.fixture
def run_gateway(nats_server: Any) -> Iterator[Callable[..., Any]]:
    """Start real gateways (RunningGateway) on `nats_server`: `gateway = run_gateway(config, MyFilter)`.

    They end with the test. `config` is what a file would hold, as plain data; declare streams with
    `provision: create` in it. With `wait=False` it comes back before the routes are up.
    """
    from gateway.testing.running import RunningGateway

    running: list[RunningGateway] = []

    def start(config: Mapping[str, Any], *components: type, wait: bool = True) -> RunningGateway:
        gateway = RunningGateway(config, nats_server.url, components)
        running.append(gateway)
        gateway.start(wait=wait)
        return gateway

    yield start
    for gateway in reversed(running):
        gateway.stop()
