"""`gateway dlq redrive` from the config to the last letter: connect, plan, run stream after stream, let go."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from importlib.metadata import version
from typing import Protocol

from ..config import model
from ..errors import ConfigError, ConnectionGone, Retry
from ..instance import Slot
from ..jetstream.context import JetStreamContext
from ..jetstream.edge import JetStreamEdge
from ..jetstream.oneshot import raise_if_gone, reach
from ..jetstream.reader import StreamReader
from ..lent import Context, GatewayInfo
from ..observe.metrics import Metrics
from ..observe.plugin_metrics import PluginMetrics
from ..registry import Registry
from ..registry.lifecycle import LifeCycle
from ..routing.compile import compile_config
from ..routing.route import CompiledRoute
from ..routing.sharing import SharedComponents
from ..runtime.stats import GatewayStats
from .engine import Listener, Redriven, Run
from .plan import Judge, Order, Plan, make_plan
from .selection import Selection
from .source import Pace
from .store import DeadLetters, find_streams
from .tally import Tally

log = logging.getLogger("gateway.dlq")

DISTRIBUTION = "nats-event-gateway"


class Reporter(Listener, Protocol):
    """Who is told what will be done, and how far it is."""

    def planned(self, plan: Plan) -> None: ...


class Shop:
    """A gateway without sources: its edge, its routes, and the name it writes into audit records."""

    def __init__(self, config: model.Config, registry: Registry) -> None:
        """Nothing is connected yet."""
        self.config = config
        self.registry = registry
        self.stats = GatewayStats(config.name, config.digest)
        self._slot = Slot(config.name, os.environ.get("STATE_DIRECTORY", ""))
        self.instance = self._slot.instance
        self.edge = JetStreamEdge(config, self.instance, self.stats)
        self.reader = StreamReader(self.edge.api, config.nats.inbox_prefix)
        self.drain = float(config.drain)
        self.life = LifeCycle(registry.manager)
        self.shared = SharedComponents()
        self.routes: dict[str, CompiledRoute] = {}
        self._metrics = PluginMetrics(Metrics(self.stats).registry)
        self.compile()

    def compile(self) -> None:
        """Make the routes, with components that nobody has opened; raises ConfigError."""
        self.shared = SharedComponents()
        routes, problems = compile_config(self.config, self.registry, self._context, self.shared)
        if problems:
            raise ConfigError(problems)
        self.routes = {route.name: route for route in routes}

    def _context(self, plugin: str, route: str) -> Context:
        config = self.config
        settings = config.plugins.settings.get(plugin)
        services, metrics = self.edge.services, self._metrics.of(plugin)
        return JetStreamContext(services, config.name, route, plugin, settings, metrics)

    async def connect(self, patience: float) -> None:
        """Connect; raises ServerUnreachable."""
        await reach(self.edge.connection, self.config.nats.servers, patience)

    async def close(self) -> None:
        """Let go of the server and the name."""
        await self.edge.close()
        self._slot.give_back()

    @property
    def info(self) -> GatewayInfo:
        """What plugins are told of the process."""
        return GatewayInfo(
            name=self.config.name, instance=self.instance, version=version(DISTRIBUTION), config=self.config.digest
        )


class Request:
    """What was asked of a redrive."""

    def __init__(
        self,
        order: Order,
        selection: Callable[[dict[str, CompiledRoute]], Selection],
        *,
        stream: str | None = None,
        dry_run: bool = False,
        patience: float = 5.0,
    ) -> None:
        """`selection` is made when the routes are compiled: a pattern reads bodies as they do."""
        self.order = order
        self.selection = selection
        self.stream = stream
        self.dry_run = dry_run
        self.patience = patience


async def redrive(shop: Shop, request: Request, reporter: Reporter, stop: asyncio.Event) -> Redriven:
    """Send dead letters again. Raises ServerUnreachable, ConnectionGone and Retry where nothing could be begun."""
    try:
        await shop.connect(request.patience)
        return await _redrive(shop, request, reporter, stop)
    except Retry as error:
        raise_if_gone(shop.edge.connection, error)
        raise
    finally:
        await shop.close()


async def _redrive(shop: Shop, request: Request, reporter: Reporter, stop: asyncio.Event) -> Redriven:
    order = request.order
    selection = request.selection(shop.routes)
    disabled = {route.name for route in shop.config.routes if not route.enabled}
    judge = Judge(shop.routes, disabled, order)
    api = shop.edge.api
    streams = await find_streams(
        api, shop.reader, shop.config, request.patience, request.stream, selection.routes, reporter.notice
    )
    todo: list[tuple[DeadLetters, Plan]] = []
    left = order.limit
    for letters in streams:
        if order.limit and left <= 0:
            break
        plan = await make_plan(letters, selection, judge, order, left)
        left -= plan.letters
        todo.append((letters, plan))
        reporter.planned(plan)
    tally = Tally(sum(plan.letters for _, plan in todo))
    redriven = Redriven([plan for _, plan in todo], tally, dry_run=request.dry_run)
    if request.dry_run or not tally.letters:
        return redriven
    for letters, plan in todo:
        if plan.letters:
            await letters.check_removal()
    shop.life.started(shop.info)
    try:
        pace = Pace(order.rate)
        for letters, plan in todo:
            if plan.letters and not stop.is_set():
                shop.compile()
                run = Run(shop, letters, plan, selection, judge, order, pace, tally, reporter, request.patience)
                await run.go(stop)
    except (ConnectionGone, Retry) as error:
        redriven.fault = error
    finally:
        shop.life.stopping(shop.info)
    redriven.stopped = stop.is_set() and tally.done < tally.letters
    return redriven
