"""Three nats-servers that form one JetStream cluster."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import nats.errors
from nats.aio.client import Client

from gateway.jetstream.server import EmbeddedServer, free_port

from .eventually import eventually
from .streams import api

_CONFIG = """
server_name: {name}
server_tags: ["{name}"]
cluster {{ name: TEST, listen: "127.0.0.1:{port}", no_advertise: true, routes: [{routes}] }}
"""


class Cluster:
    """The nodes by name, `n0` to `n2`; each is an EmbeddedServer to stop, kill and start again."""

    def __init__(self, folder: Path) -> None:
        ports: list[int] = []
        while len(ports) < 3:
            ports += [port for port in [free_port()] if port not in ports]
        routes = ", ".join(f'"nats-route://127.0.0.1:{port}"' for port in ports)
        self.nodes = {
            f"n{i}": EmbeddedServer(
                folder / f"n{i}", config_text=_CONFIG.format(name=f"n{i}", port=port, routes=routes)
            )
            for i, port in enumerate(ports)
        }

    @property
    def urls(self) -> list[str]:
        """Where clients connect; nodes do not tell clients about each other."""
        return [node.url for node in self.nodes.values()]

    def start_blocking(self, timeout: float = 40.0) -> None:
        """Start all nodes and wait until the cluster has a leader; about three seconds."""
        deadline = time.monotonic() + timeout
        for node in self.nodes.values():
            node.launch()
        for node in self.nodes.values():
            node.wait_ready(max(deadline - time.monotonic(), 0.1))

    def shut_down(self) -> None:
        """End all nodes."""
        for node in self.nodes.values():
            node.kill()

    async def renew(self, nc: Client) -> None:
        """For the next test of a file that shares the nodes: all of them run, and there is no stream."""
        for node in self.nodes.values():
            if not node.running:
                await node.start()

        async def empty() -> bool:
            try:
                names = (await api(nc, "STREAM.NAMES")).get("streams") or []
                for name in names:
                    await api(nc, f"STREAM.DELETE.{name}")
            except (nats.errors.Error, OSError):
                return False  # an election
            return not names

        await eventually(empty)

    async def leader(self, nc: Client, stream: str, durable: str | None = None) -> EmbeddedServer:
        """The node that leads a stream, or a consumer of it; waits through an election."""
        request = f"CONSUMER.INFO.{stream}.{durable}" if durable else f"STREAM.INFO.{stream}"
        deadline = time.monotonic() + 30
        while True:
            answer = await api(nc, request)
            name = answer.get("cluster", {}).get("leader")
            if name:
                return self.nodes[name]
            assert time.monotonic() < deadline, f"{request}: no leader after 30 s: {answer}"
            await asyncio.sleep(0.05)


def running_cluster(folder: Path) -> Iterator[Cluster]:
    """What a fixture yields."""
    nodes = Cluster(folder)
    try:
        nodes.start_blocking()
        yield nodes
    finally:
        nodes.shut_down()
