"""Where the concrete classes meet: config + plugins + JetStream + runtime = the daemon."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable
from importlib.metadata import version
from operator import attrgetter
from typing import Any

from .clock import SystemClock
from .config import model
from .errors import ConfigError, GatewayError
from .facts import GatewayFacts
from .instance import Slot
from .jetstream.context import JetStreamContext
from .jetstream.edge import JetStreamEdge
from .lent import Context, GatewayInfo
from .observe import loop_lag
from .observe.blocking import BlockWatch
from .observe.metrics import Metrics
from .observe.plugin_metrics import PluginMetrics
from .plugin import Component
from .registry import Registry
from .registry.lifecycle import LifeCycle
from .routing.compile import compile_config
from .routing.route import CompiledRoute
from .routing.sharing import SharedComponents
from .runtime.gateway import Gateway
from .runtime.stats import GatewayStats
from .web.api import AdminApi
from .web.guard import Guard
from .web.server import HttpServer, parse_listen

log = logging.getLogger("gateway")

DISTRIBUTION = "nats-event-gateway"
CONNECT_PATIENCE = 2.0
"""Seconds until a server that does not answer at the start counts as away."""
OF_THE_PROCESS = ("nats.domain", "nats.inbox_prefix", "http")
"""What of the config a reload leaves as it is."""


class ReloadRefused(GatewayError):
    """The config is good, but not for a gateway that runs."""


class Application:
    """One gateway process. `start`, then `stop`; `reload` in between."""

    def __init__(self, config: model.Config, registry: Registry) -> None:
        """Compile the routes; raises ConfigError when one cannot be."""
        self.config = config
        self._at_start = config
        self.registry = registry
        self._slot = Slot(config.name, os.environ.get("STATE_DIRECTORY", ""))
        self.instance = self._slot.instance
        self.stats = GatewayStats(config.name, config.digest)
        self.stats.plugins = _shown(registry)
        self._edge = JetStreamEdge(config, self.instance, self.stats)
        self._metrics = Metrics(self.stats)
        self._plugin_metrics = PluginMetrics(self._metrics.registry)
        self._shared = SharedComponents()
        self._routes = self._compile(config, registry)
        self._life = LifeCycle(registry.manager)
        self._gateway = Gateway(self._edge, self.stats, SystemClock(), self.instance, self._life, self._shared)
        self._http: HttpServer | None = None
        self._lag: asyncio.Task[None] | None = None
        self._block_watch = BlockWatch(self._owner_of, self._gateway.pace)
        self._told = False
        self.effective: Callable[[], dict[str, Any]] = dict
        """The running config as people read it, set by whoever loads it."""
        self.http_url: str | None = None
        """Where metrics and health are served; None when off."""

    def _compile(self, config: model.Config, registry: Registry) -> list[CompiledRoute]:
        routes, problems = compile_config(config, registry, self._context_factory(config), self._shared)
        if problems:
            raise ConfigError(problems)
        return routes

    def _context_factory(self, config: model.Config) -> Callable[[str, str], Context]:
        def make(plugin: str, route: str) -> Context:
            settings = config.plugins.settings.get(plugin)
            metrics = self._plugin_metrics.of(plugin)
            return JetStreamContext(self._edge.services, config.name, route, plugin, settings, metrics)

        return make

    async def start(self) -> None:
        """Serve HTTP, begin to connect, start the routes. Returns before they are up: a server may be away."""
        self.stats.last_reload_success_time = time.time()
        if self.config.http is not None:
            self._http = HttpServer(self.stats, self._metrics, self.config.http.listen, self._api(self.config.http))
            port = await self._http.start()
            self.http_url = f"http://{self.config.http.listen.rpartition(':')[0] or '127.0.0.1'}:{port}"
        self._lag = asyncio.get_running_loop().create_task(loop_lag.watch(self.stats))
        self._block_watch.start()
        self._edge.connection.changed.append(self._connection_changed)
        self._edge.replicas.start()
        self._edge.connection.start()
        self._gateway.start(self._routes, self._disabled(self.config))

    async def settled(self) -> None:
        """Wait until every route is up, or down with a reason, be it that there is no server; then tell the plugins."""
        settled = asyncio.get_running_loop().create_task(self._gateway.settled())
        try:
            # A server that went again, before the routes were up, is not waited for either.
            while not settled.done() and await self._edge.connection.wait(CONNECT_PATIENCE):
                await asyncio.wait({settled}, timeout=CONNECT_PATIENCE)
        finally:
            settled.cancel()
        if not self._told:
            self._told = True
            self._life.started(self._info())

    def _info(self) -> GatewayInfo:
        return GatewayInfo(
            name=self.config.name, instance=self.instance, version=version(DISTRIBUTION), config=self.config.digest
        )

    def _api(self, http: model.Http) -> AdminApi:
        known = GatewayFacts(
            self.stats,
            self.instance,
            version(DISTRIBUTION),
            lambda: {name: supervisor.route for name, supervisor in self._gateway.supervisors.items()},
            lambda: self.config,
            lambda: self.registry.health,
            lambda: self.effective,
            self._edge.holder,
            lambda: self._edge.replicas.seen,
        )
        return AdminApi(known, Guard(parse_listen(http.listen)[0], http.token))

    @property
    def edge(self) -> JetStreamEdge:
        """The way to the servers."""
        return self._edge

    @property
    def swept_at(self) -> float:
        """When the routes were last swept, on the loop's clock."""
        return self._gateway.swept_at

    async def stop(self) -> None:
        """Drain, flush, close."""
        self._life.stopping(self._info())
        self._edge.connection.stay()
        await self._gateway.drain(float(self.config.drain))
        self._block_watch.stop()
        if self._lag is not None:
            self._lag.cancel()
        await self._edge.close()
        if self._http is not None:
            await self._http.close()
        self._slot.give_back()

    async def reload(self, config: model.Config, registry: Registry) -> dict[str, list[str]]:
        """Go over to another config; raises ConfigError, and keeps the old one, when it cannot be compiled.

        What belongs to the process, not to routes, stays until a restart, and the log says so. Another name is refused,
        with ReloadRefused: every durable and message id would be another one, and the streams would begin anew.
        """
        if config.name != self.config.name:
            raise ReloadRefused(
                f"the gateway's name changes from {self.config.name} to {config.name}: restart it for that"
            )
        try:
            routes = self._compile(config, registry)
        except ConfigError:
            self._shared.keep(self._gateway.components)
            raise
        kept = [name.replace("_", "-") for name in OF_THE_PROCESS if _part(config, name) != _part(self._at_start, name)]
        if kept:
            log.warning(
                "changed, and used only after a restart: %s", ", ".join(kept), extra={"event": "config.needs-restart"}
            )
        self._edge.use(config)
        life = LifeCycle(registry.manager)
        connection = self._edge.connection
        if connection.connected:
            connection.stay()  # Routes that drain need the connection they have.
        else:
            connection.use(config.nats)
        done = await self._gateway.reload(routes, self._disabled(config), float(self.config.drain), life)
        connection.use(config.nats)
        self.config, self.registry, self._life = config, registry, life
        stats = self.stats
        stats.plugins = _shown(registry)
        stats.digest = config.digest
        stats.reloads["success"] += 1
        stats.last_reload_successful = True
        stats.last_reload_success_time = time.time()
        return done

    def reload_failed(self) -> None:
        """Note that a reload was refused; everything goes on as before."""
        self.stats.reloads["failure"] += 1
        self.stats.last_reload_successful = False

    def _owner_of(self, component: type[Component]) -> str:
        # Not the registry's own method: a reload brings another registry.
        return self.registry.owner_of(component)

    def _connection_changed(self, connected: bool) -> None:
        self.stats.reconnects = self._edge.connection.reconnects
        self._gateway.connection_changed(connected)

    @staticmethod
    def _disabled(config: model.Config) -> list[str]:
        return [route.name for route in config.routes if not route.enabled]


def _part(config: model.Config, name: str) -> object:
    """A value deep in the config, by its dotted name."""
    return attrgetter(name)(config)


def _shown(registry: Registry) -> list[tuple[str, str, str]]:
    """Name, version and status of each plugin, as the metrics show them."""
    return [(health.name, health.version, str(health.status)) for health in registry.health]
