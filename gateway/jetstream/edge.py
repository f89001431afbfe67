"""The JetStream edge as a whole: one connection, and for each route a source, a publisher and the checks it needs."""

from __future__ import annotations

import asyncio
import logging

from ..config import model
from ..errors import RouteFault
from ..routing.route import CompiledRoute
from ..runtime.gateway import Link
from .api import JetStreamApi
from .connection import Connection
from .consumers import Durable
from .publisher import JetStreamPublisher
from .source import JetStreamSource
from .streams import Provisioner, add_line

log = logging.getLogger("gateway.nats")


class JetStreamEdge:
    """Where routes get their links from."""

    def __init__(self, config: model.Config) -> None:
        self._config = config
        self.connection = Connection(config.nats, config.name)
        self.api = JetStreamApi(self.connection, config.nats.domain)
        self._provisioned = -1
        self._stream_faults: dict[str, RouteFault] = {}
        self._provisioning = asyncio.Lock()
        self._warned: set[str] = set()

    @property
    def connected(self) -> bool:
        """Whether a server can be reached now."""
        return self.connection.connected

    @property
    def gap(self) -> float:
        """Seconds the last disconnection lasted."""
        return self.connection.gap

    def use(self, config: model.Config) -> None:
        """Go over to a reloaded config; declared streams are looked at again."""
        self._config = config
        self._provisioned = -1

    def link(self, route: CompiledRoute) -> Link:
        """Source, publisher and checks of one route."""
        inbox = self._config.nats.inbox_prefix
        durable = Durable(self.api, self._config.name, self._config.digest, route.config.source, route.name)
        source = JetStreamSource(self.connection, self.api, route.config, durable, inbox)
        publisher = JetStreamPublisher(self.connection, self.api, inbox)

        async def ready() -> None:
            if not self.connected:
                raise RouteFault("disconnected", "no connection to a server")
            await self._provision()
            try:
                await self._check(route)
            except RouteFault:
                if not await self._provision_again():
                    raise
                await self._check(route)
            await publisher.prepare()

        return Link(source, publisher, ready)

    async def _provision(self) -> None:
        """Declared streams are made or checked once per connection."""
        if self._provisioned == self.connection.generation:
            return
        async with self._provisioning:
            config, generation = self._config, self.connection.generation
            if self._provisioned == generation:
                return
            self._stream_faults = await Provisioner(self.api, config.streams).provision()
            if config is self._config:
                self._provisioned = generation

    async def _provision_again(self) -> bool:
        """Try those again that are not usable; False when all are. Only a route that may need one waits for it."""
        async with self._provisioning:
            broken = [stream for stream in self._config.streams if stream.name in self._stream_faults]
            if broken:
                self._stream_faults = await Provisioner(self.api, broken).provision()
            return bool(broken)

    async def _check(self, route: CompiledRoute) -> None:
        """What the route needs of the server, found out before the first event instead of with it."""
        fault = self._stream_faults.get(route.origin.stream)
        if fault is not None:
            raise fault
        for target in route.targets:
            subject = target.subject.constant
            if subject is not None and await self.api.takers(subject) == []:
                raise RouteFault(
                    "no-stream",
                    f"no stream takes {subject}, the target {target.name}",
                    f"make one: {add_line(target.stream or 'NAME', [subject])}",
                )
        if await self.api.takers(route.dead_letter) == []:
            self._warn_dead_letters(route)

    def _warn_dead_letters(self, route: CompiledRoute) -> None:
        """The route can run, but its first dead letter will hold it: say so once, now."""
        if route.name not in self._warned:
            self._warned.add(route.name)
            log.warning(
                "no stream takes %s, the dead letters of %s: events that cannot go on will wait",
                route.dead_letter,
                route.name,
                extra={
                    "event": "route.no-dead-letter-stream",
                    "route": route.name,
                    "hint": f"make one: {add_line('DLQ', ['dlq.>'])}",
                },
            )
