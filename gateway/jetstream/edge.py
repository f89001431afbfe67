"""The JetStream edge as a whole: one connection, and for each route a source, a publisher and the checks it needs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from functools import partial
from weakref import WeakValueDictionary

from ..config import model
from ..errors import RouteFault
from ..routing.route import CompiledRoute
from ..runtime.gateway import Link
from ..runtime.stats import GatewayStats
from .api import JetStreamApi
from .connection import Connection
from .consumers import Durable
from .context import Services
from .doubts import StreamDoubts
from .permissions import widest
from .pinned import PinnedSource
from .publisher import JetStreamPublisher
from .replicas import Replicas
from .source import JetStreamSource
from .streams import Provisioner, letters_line, make_line, missing_stream, taking

log = logging.getLogger("gateway.nats")


class JetStreamEdge:
    """Where routes get their links from."""

    def __init__(self, config: model.Config, instance: str, stats: GatewayStats) -> None:
        self._config = config
        self._inbox = config.nats.inbox_prefix
        self.connection = Connection(config.nats, config.name)
        self.api = JetStreamApi(self.connection, config.nats.domain)
        self.services = Services(self.api, config.nats.inbox_prefix)
        self.replicas = Replicas(
            self.api, config.name, instance, config.digest, self._streams_read, stats.replicas_seen, self._pins
        )
        self._instance = instance
        self._pinned: WeakValueDictionary[str, PinnedSource] = WeakValueDictionary()
        """The sources of ordered routes, by route."""
        self._provisioned = -1
        self._provisioner = Provisioner(self.api)
        self._provisioning = asyncio.Lock()
        self._warned: set[str] = set()
        self._doubts = StreamDoubts(self.api)

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
        self._provisioner.forget_others(config.streams)
        self.replicas.use(config.digest)

    def holder(self, route: str) -> str | None:
        """Which instance is active in an ordered route: "" when it cannot be named, None when nobody is known."""
        source = self._pinned.get(route)
        if source is None or source.pin is None:
            return None
        return self._instance if source.pinned else self.replicas.holder(source.pin)

    def _pins(self) -> Iterator[tuple[str, bool]]:
        return ((source.pin, source.pinned) for source in list(self._pinned.values()) if source.pin)

    def _streams_read(self) -> set[str]:
        return {route.source.stream for route in self._config.routes if route.enabled}

    async def close(self) -> None:
        """Leave the replicas, flush and close the connection."""
        self._doubts.close()
        self._provisioner.close()
        await self.replicas.leave()
        await self.connection.close()

    def link(self, route: CompiledRoute) -> Link:
        """Source, publisher and checks of one route."""
        inbox = self._inbox
        ordered = route.config.ordering != "none"
        durable = Durable(self.api, self.replicas, route.config.source, route.name, ordered=ordered)
        missing = partial(self._missing, route.config.source)
        kind = PinnedSource if ordered else JetStreamSource
        source = kind(self.connection, self.api, route.config, durable, inbox, missing)
        if isinstance(source, PinnedSource):
            source.turn_changed = self.replicas.turn_changed
            self._pinned[route.name] = source
        publisher = JetStreamPublisher(
            self.connection,
            partial(self._takers, witness=route.origin.stream),
            self.api.has_stream,
            inbox,
            partial(self._advice, route),
        )

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
            self._doubts.look(route, self._config)

        return Link(source, publisher, ready)

    async def _provision(self) -> None:
        """Declared streams are made or checked once per connection."""
        if self._provisioned == self.connection.generation:
            return
        async with self._provisioning:
            config, generation = self._config, self.connection.generation
            if self._provisioned == generation:
                return
            await self._provisioner.provision(config.streams)
            self._provisioner.forget_others(self._config.streams)
            if config is self._config:
                self._provisioned = generation

    async def _provision_again(self) -> bool:
        """Try those again that are not usable; False when all are. Only a route that may need one waits for it."""
        async with self._provisioning:
            broken = [stream for stream in self._config.streams if stream.name in self._provisioner.faults]
            await self._provisioner.provision(broken)
        await self._provisioner.remade(broken)
        return bool(broken)

    async def _missing(self, source: model.Source) -> RouteFault:
        """The fault of a route whose source stream is not there; a declared one is made anew before the next try."""
        stream = next((stream for stream in self._config.streams if stream.name == source.stream), None)
        subjects = [str(subject) for subject in source.subjects]
        fault = missing_stream(source.stream, subjects, stream)
        others = await self.api.takers(subjects[0])
        if others:
            text = f"{fault.text}, and {others[0]} takes {subjects[0]}"
            fault = RouteFault(fault.code, text, f"set source.stream to {others[0]}, or {fault.hint}")
        if stream is not None and stream.provision != "off":
            self._provisioner.faults[stream.name] = fault
        return fault

    async def _takers(self, subject: str, witness: str) -> list[str] | None:
        """The streams that take a subject, None when nobody says; declared ones that are gone are made anew."""
        found = await self.api.takers(subject, witness)
        makes = [stream for stream in taking(self._config.streams, subject) if stream.provision == "create"]
        if found != [] or not makes:
            return found
        async with self._provisioning:
            await self._provisioner.provision(makes)
        await self._provisioner.remade(makes)
        return await self.api.takers(subject, witness)

    async def _check(self, route: CompiledRoute) -> None:
        """What the route needs of the server, found out before the first event instead of with it."""
        fault = self._provisioner.faults.get(route.origin.stream)
        if fault is not None:
            raise fault
        for target in route.targets:
            subject = target.subject.constant
            if subject is not None and await self._takers(subject, route.origin.stream) == []:
                hint = make_line(self._config.streams, subject, target.stream or "NAME", target.stream)
                raise RouteFault("no-stream", f"no stream takes {subject}, the target {target.name}", hint)
        if await self._takers(route.dead_letter, route.origin.stream) == []:
            self._warn_dead_letters(route)

    def _advice(self, route: CompiledRoute, target: str | None) -> str:
        """How to make the stream that a target lacks, or the dead letters. No value of an event is in it: a placeholder
        is a wildcard.
        """
        if target is None:
            return letters_line(self._config.streams, route.dead_letter)
        for one in route.targets:
            if one.name == target:
                subject = one.subject.constant or widest(one.subject, self._config.name, route)
                return make_line(self._config.streams, subject, one.stream or "NAME", one.stream)
        return ""

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
                    "hint": letters_line(self._config.streams, route.dead_letter),
                },
            )
