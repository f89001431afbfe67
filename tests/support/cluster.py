"""Three nats-servers that form one JetStream cluster."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nats.errors
from nats.aio.client import Client

from gateway.jetstream.server import EmbeddedServer, free_port

from .eventually import LONG, eventually
from .streams import api, make_stream
from .witness import ask

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

    def start_blocking(self) -> None:
        """Start all nodes, and wait until they are at work; about three seconds."""
        self._launch()
        self._wait_ready()

    def _launch(self) -> None:
        for node in self.nodes.values():
            if not node.running:
                node.launch()

    def _wait_ready(self, timeout: float = LONG) -> None:
        # A leader may not know of every node yet, nor of its tags: streams on each node alone and on all three show it.
        deadline = time.monotonic() + timeout
        for node in self.nodes.values():
            node.wait_ready(max(deadline - time.monotonic(), 0.1))
        places: list[dict[str, Any]] = [{"placement": {"tags": [name]}} for name in self.nodes]
        for number, place in enumerate([*places, {"num_replicas": 3}]):
            name = f"AT_WORK_{number}"
            self._ask(f"STREAM.CREATE.{name}", {"name": name, "subjects": [name], **place}, deadline)
            self._ask(f"STREAM.DELETE.{name}", {}, deadline)

    def _ask(self, request: str, body: dict[str, Any], deadline: float) -> None:
        node = self.nodes["n0"]
        while True:
            try:
                return ask(node.url, request, body, timeout=5)
            except (OSError, ValueError, AssertionError) as error:
                # The deletion of before was done, and its answer got lost.
                if "stream not found" in str(error):
                    return None
                if time.monotonic() > deadline:
                    raise AssertionError(f"{request}: {error!r}\n{node.log_file.read_text()[-2000:]}") from None
                time.sleep(0.1)

    def shut_down(self) -> None:
        """End all nodes."""
        for node in self.nodes.values():
            node.kill()

    async def start_again(self) -> None:
        """Start the nodes that do not run, and wait until all are at work."""
        # Not in a thread: they end with the one that started them.
        self._launch()
        await asyncio.to_thread(self._wait_ready)

    async def renew(self, nc: Client) -> None:
        """For the next test of a file that shares the nodes: all of them run, and there is no stream."""
        await self.start_again()

        async def empty() -> bool:
            try:
                names = (await api(nc, "STREAM.NAMES")).get("streams") or []
                for name in names:
                    await api(nc, f"STREAM.DELETE.{name}")
            except (nats.errors.Error, OSError):
                return False  # an election
            return not names

        await eventually(empty, LONG)

    async def make_stream(self, nc: Client, name: str, subjects: list[str], **config: Any) -> None:
        """As `make_stream` does, through elections, and while a node that came back is not known yet."""

        async def made() -> bool:
            try:
                return bool(await make_stream(nc, name, subjects, **config))
            except (nats.errors.Error, OSError) as error:
                raise AssertionError(repr(error)) from None

        await eventually(made, LONG, f"stream {name}", interval=0.1)

    async def caught_up(self, nc: Client, *streams: str) -> None:
        """Wait until each copy of these streams has all there is: after that, one more node may die.

        A node that was killed sometimes refuses what its leader sends ("Expected first catchup entry to be a snapshot")
        for as long as that one leads. Then another one is made to lead, as an operator would.
        """
        ask_again = time.monotonic() + 10

        async def current() -> bool:
            nonlocal ask_again
            for stream in streams:
                try:
                    group = (await api(nc, f"STREAM.INFO.{stream}", timeout=2))["cluster"]
                    behind = not group.get("leader") or not all(one["current"] for one in group["replicas"])
                    if behind and time.monotonic() > ask_again:
                        ask_again = time.monotonic() + 10
                        await api(nc, f"STREAM.LEADER.STEPDOWN.{stream}", timeout=2)
                except (nats.errors.Error, KeyError, OSError):
                    return False  # an election
                if behind:
                    return False
            return True

        await eventually(current, LONG, f"all copies of {', '.join(streams)} current", interval=0.1)

    async def leader(self, nc: Client, stream: str, durable: str | None = None) -> EmbeddedServer:
        """The node that leads a stream, or a consumer of it; waits through an election."""
        request = f"CONSUMER.INFO.{stream}.{durable}" if durable else f"STREAM.INFO.{stream}"

        async def known() -> EmbeddedServer | None:
            try:
                name = (await api(nc, request, timeout=2)).get("cluster", {}).get("leader")
            except (nats.errors.Error, OSError) as error:
                raise AssertionError(repr(error)) from None
            return self.nodes[name] if name else None

        found = await eventually(known, LONG, f"{request}: a leader", interval=0.05)
        assert found is not None
        return found


def running_cluster(folder: Path) -> Iterator[Cluster]:
    """What a fixture yields."""
    nodes = Cluster(folder)
    try:
        nodes.start_blocking()
        yield nodes
    finally:
        nodes.shut_down()
