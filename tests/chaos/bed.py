"""What chaos is done to: three servers, two gateways, and a link of our own wherever two of them talk."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import itertools
import random
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import nats.errors
import yaml
from nats.aio.client import Client

from gateway.jetstream.server import EmbeddedServer
from tests.support.clients import connect
from tests.support.distribution import install
from tests.support.eventually import eventually
from tests.support.process import GatewayProcess
from tests.support.streams import api

from . import events
from .links import Link

NODES = ("n0", "n1", "n2")
GATEWAYS = ("g0", "g1")
DURABLES = tuple(f"{events.NAME}-{route}" for route in events.ROUTES)
DRAIN = 5.0
_PORTS = range(11_000, 20_000)
"""Below those that `free_port` gives."""

_SERVER = """
server_name: {name}
accounts {{
  APP: {{ jetstream: enabled, users: [{{ user: app, password: app }}] }}
  SYS: {{ users: [{{ user: sys, password: sys }}] }}
}}
system_account: SYS
no_auth_user: app
cluster {{
  name: CHAOS, listen: "127.0.0.1:{port}", no_advertise: true, routes: [{routes}]
  # Where nobody listens: servers that hear of each other would go around the links.
  advertise: "127.0.0.1:9"
}}
"""


class Bed:
    """Servers, links and gateways by name.

    `window` is the streams' duplicate window, `keep` how long they keep messages, both in seconds; 0 is for ever.
    """

    def __init__(self, folder: Path, window: float, keep: float = 0) -> None:
        self._folder = folder
        self._keep = keep
        self._window = window
        taken: set[int] = set()
        ports = {node: _port(taken) for node in NODES}
        self.routes = {
            (one, other): Link(_port(taken), ports[other]) for one, other in itertools.permutations(NODES, 2)
        }
        self.servers = {node: self._server(node, ports[node], _port(taken)) for node in NODES}
        self.links = {
            (gateway, node): Link(_port(taken), self.servers[node].port) for gateway in GATEWAYS for node in NODES
        }
        self.gateways = {gateway: self._gateway(gateway, _port(taken)) for gateway in GATEWAYS}
        self._nc: Client | None = None

    @property
    def nc(self) -> Client:
        """A client of the test's own, past all links."""
        assert self._nc is not None
        return self._nc

    @property
    def urls(self) -> list[str]:
        """Where clients that no link may disturb connect."""
        return [server.url for server in self.servers.values()]

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Everything started and ready, and ended afterwards."""
        async with contextlib.AsyncExitStack() as stack:
            for link in [*self.routes.values(), *self.links.values()]:
                await stack.enter_async_context(link)
            stack.callback(self._end)
            for server in self.servers.values():
                server.launch()
            for server in self.servers.values():
                await asyncio.to_thread(server.wait_ready, 60)
            self._nc = await stack.enter_async_context(client(self.urls))
            for stream, subjects in events.STREAMS.items():
                await self._make_stream(stream, subjects)
            for gateway in self.gateways.values():
                gateway.launch()
            for gateway in self.gateways.values():
                await gateway.ready(60)
                await eventually(functools.partial(_all_up, gateway), 60, "routes up")
            yield

    def node_links(self, node: str) -> Iterator[Link]:
        """All links between a server and the others."""
        return (link for ends, link in self.routes.items() if node in ends)

    def pair_links(self, one: str, other: str) -> Iterator[Link]:
        """The links between two servers: either may have called the other."""
        return (link for ends, link in self.routes.items() if {one, other} == set(ends))

    def gateway_links(self, gateway: str) -> Iterator[Link]:
        """All links of a gateway."""
        return (link for (owner, _), link in self.links.items() if owner == gateway)

    async def meta_step_down(self) -> dict[str, Any]:
        """Have the leader of all leaders resign."""
        async with client([url.replace("//", "//sys:sys@") for url in self.urls]) as nc:
            return await api(nc, "META.LEADER.STEPDOWN")

    async def alive(self) -> None:
        """Mend every link, and wait until servers and gateways are as in the beginning."""
        for link in [*self.routes.values(), *self.links.values()]:
            link.mend()
        for server in self.servers.values():
            await asyncio.to_thread(server.wait_ready, 60)
        for gateway in self.gateways.values():
            await gateway.ready(60)

    def write_config(self, gateway: str, flag: int = 0) -> None:
        """Write a gateway's config; the routes differ with `flag`, in something that changes no event."""
        process = self.gateways[gateway]
        port = yaml.safe_load(process.config.read_text())["http"]["listen"]
        process.config.write_text(self._config(gateway, port, flag))

    def _server(self, name: str, cluster_port: int, port: int) -> EmbeddedServer:
        routes = ", ".join(
            f'"nats-route://127.0.0.1:{link.port}"' for (one, _), link in self.routes.items() if one == name
        )
        text = _SERVER.format(name=name, port=cluster_port, routes=routes)
        return EmbeddedServer(self._folder / name, port, config_text=text)

    def _gateway(self, name: str, port: int) -> GatewayProcess:
        folder = self._folder / name
        install(folder / "plugins", "gateway-chaos-steps", "1.0", {"chaos_steps": events.PLUGIN})
        (folder / "state").mkdir()
        config = folder / "gateway.yaml"
        config.write_text(self._config(name, f"127.0.0.1:{port}", 0))
        root = Path(__file__).parents[2]
        env = {"PYTHONPATH": f"{root}:{folder / 'plugins'}", "STATE_DIRECTORY": str(folder / "state")}
        return GatewayProcess(config, folder, env=env)

    def _config(self, gateway: str, listen: str, flag: int) -> str:
        config = {
            "name": events.NAME,
            "nats": {"servers": [f"nats://127.0.0.1:{self.links[gateway, node].port}" for node in NODES]},
            "http": {"listen": listen},
            "log": {"format": "json"},
            "drain": f"{DRAIN:g}s",
            "defaults": {"max-in-flight": 512 - flag},
            "routes": events.routes(),
        }
        return yaml.safe_dump(config, sort_keys=False)

    async def _make_stream(self, name: str, subjects: list[str]) -> None:
        config = {
            "name": name,
            "subjects": subjects,
            "storage": "file",
            "num_replicas": 3,
            "duplicate_window": int(self._window * 1e9),
            "max_age": int(self._keep * 1e9),
        }

        async def made() -> bool:
            # A cluster that has just begun may have no leader yet.
            with contextlib.suppress(nats.errors.Error):
                answer = await api(self.nc, f"STREAM.CREATE.{name}", config)
                assert "error" not in answer, answer["error"]
                return True
            return False

        await eventually(made, 40, f"stream {name}", interval=0.2)

    def _end(self) -> None:
        for process in self.gateways.values():
            process.shut_down()
        for server in self.servers.values():
            server.kill()


@contextlib.asynccontextmanager
async def client(urls: list[str]) -> AsyncIterator[Client]:
    """A client that finds out soon when its server is gone, stopped or alone, and goes to another."""

    async def note(_error: Exception) -> None:
        """Reconnects are what this is about."""

    nc = await connect(
        urls,
        reconnect_time_wait=0.1,
        max_reconnect_attempts=-1,
        connect_timeout=2,
        ping_interval=1,
        max_outstanding_pings=2,
        error_cb=note,
        disconnected_cb=None,
    )
    try:
        yield nc
    finally:
        await nc.close()


async def _all_up(gateway: GatewayProcess) -> bool:
    routes = await gateway.routes()
    return bool(routes) and all(route["state"] == "up" for route in routes.values())


def _port(taken: set[int]) -> int:
    """A port that nobody listens on and no other test asks for: ours must be ours also while a process is down."""
    while True:
        port = random.choice(_PORTS)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                probe.bind(("127.0.0.1", port))
                if port not in taken:
                    taken.add(port)
                    return port
