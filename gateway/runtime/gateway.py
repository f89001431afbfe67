"""All routes together: start, sweep, reload by diff, drain. Knows the world through the edge it is given."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

import msgspec

from ..plugin import Component
from ..ports import Clock, Publisher, Source
from ..routing.route import CompiledRoute
from ..routing.sharing import SharedComponents
from .opening import Openings, RouteComponents
from .stats import GatewayStats, RouteState, RouteStats
from .supervisor import RouteLife, Supervisor
from .ticks import Pace
from .timing import time_steps, timed

log = logging.getLogger("gateway")

ASKED = 4
"""In one sweep of so many a route that rests is asked whether it still does: an event that comes ends its rest at once,
and what else may end it can wait that long.
"""
POLL_PENDING = 5.0
"""Seconds between two looks at the consumers' backlogs."""
POLL_AT_ONCE = 10
"""Requests of such a look that are under way together: each alone would wake the process once, for every route."""


class Link(msgspec.Struct):
    """What the edge gives a route."""

    source: Source
    publisher: Publisher
    ready: Callable[[], Awaitable[None]]
    """Prepares the edge for the route and checks what it needs; raises RouteFault."""


class Edge(Protocol):
    """Where routes get their links from."""

    def link(self, route: CompiledRoute) -> Link: ...

    @property
    def connected(self) -> bool: ...

    @property
    def gap(self) -> float:
        """Seconds the last disconnection lasted."""
        ...


class Gateway:
    """The routes at work."""

    def __init__(
        self,
        edge: Edge,
        stats: GatewayStats,
        clock: Clock,
        instance: str,
        life: RouteLife,
        shared: SharedComponents | None = None,
    ) -> None:
        """`shared` are the components that routes share, as they were compiled."""
        self._edge = edge
        self._openings = Openings(shared)
        self._clock = clock
        self._instance = instance
        self._life = life
        self.stats = stats
        self.supervisors: dict[str, Supervisor] = {}
        self._waiting: dict[str, RouteComponents] = {}
        """What routes will use whose predecessors still drain."""
        self.pace = Pace()
        """When sweeps are due; one serves every lane."""
        self._sweeper: asyncio.Task[None] | None = None
        self._poller: asyncio.Task[None] | None = None
        self.swept_at = 0.0
        """When every route was last seen to answer, or shown as down, on the loop's clock: the watchdog asks for it."""

    def start(self, routes: list[CompiledRoute], disabled: list[str] | None = None) -> None:
        """Start every route, and the sweep."""
        for route in routes:
            self._start_route(route, self._openings.join(route))
        for name in disabled or ():
            self._show_disabled(name)
        loop = asyncio.get_running_loop()
        self.swept_at = loop.time()
        self._sweeper = loop.create_task(self._sweep())
        self._poller = loop.create_task(self._poll())

    @property
    def components(self) -> list[Component]:
        """The components of all routes."""
        return [component for supervisor in self.supervisors.values() for component in supervisor.route.components]

    async def settled(self) -> None:
        """Wait until every route is up, or down with a reason."""
        for supervisor in list(self.supervisors.values()):
            await supervisor.settled.wait()

    def connection_changed(self, connected: bool) -> None:
        """Tell every route that the connection went, or came back."""
        self.stats.connected = connected
        for supervisor in self.supervisors.values():
            supervisor.connection_changed(connected, self._edge.gap)

    async def reload(
        self, routes: list[CompiledRoute], disabled: list[str], drain: float, life: RouteLife
    ) -> dict[str, list[str]]:
        """Go over to other routes: only what changed is stopped, started or replaced. Returns names by what was done.

        A replaced route is drained before its successor starts, and so is one whose durable another takes over, so that
        both never hold the same event; nobody waits for anybody else. `life` is told of the routes that start now; of
        those that go on, and of their end, whoever was told of their start.
        """
        wanted = {route.name: route for route in routes}
        gone = [name for name in self.supervisors if name not in wanted]
        changed = [
            name
            for name, running in self.supervisors.items()
            if name in wanted and not same(running.route, wanted[name])
        ]
        fresh = [name for name in wanted if name not in self.supervisors]
        until = asyncio.get_running_loop().time() + drain
        leaving = {name: self.supervisors[name].route for name in (*gone, *changed)}
        # Before their predecessors leave, so that what both share is not closed in between.
        self._waiting = {name: self._openings.join(wanted[name]) for name in (*changed, *fresh)}
        self._life = life
        stops = {
            name: asyncio.ensure_future(self._stop_route(name, until, succeeded=name in wanted)) for name in leaving
        }
        starts = []
        for name in (*changed, *fresh):
            before = [stops[other] for other, route in leaving.items() if _excludes(route, wanted[name])]
            starts.append(self._start_after(before, wanted[name], self.supervisors.get(name)))
        for ended in await asyncio.gather(*stops.values(), *starts, return_exceptions=True):
            if isinstance(ended, BaseException):  # not before all the others have come to their end
                raise ended
        for name in gone:
            del self.stats.routes[name]
        for name in [name for name, stats in self.stats.routes.items() if stats.state is RouteState.DISABLED]:
            del self.stats.routes[name]
        for name, running in self.supervisors.items():
            running.adopt(wanted[name].config_digest)
        for name in disabled:
            self._show_disabled(name)
        return {"stopped": gone, "replaced": changed, "started": fresh}

    async def _start_after(
        self, before: Sequence[asyncio.Future[None]], route: CompiledRoute, predecessor: Supervisor | None
    ) -> None:
        await asyncio.gather(*before)
        self._start_route(route, self._waiting.pop(route.name), predecessor)

    async def drain(self, seconds: float) -> None:
        """Finish what is in flight, give back the rest."""
        started = asyncio.get_running_loop().time()
        until = started + seconds
        # A reload that is still going may take some of them away meanwhile.
        leaving = dict(self.supervisors)
        ended = await asyncio.gather(*(s.drain(until) for s in leaving.values()), return_exceptions=True)
        results = []
        for name, result in zip(leaving, ended, strict=True):
            if isinstance(result, BaseException):
                # The other routes' events must go back all the same.
                told = {"event": "route.drain-failed", "route": name}
                log.error("a route failed to drain", exc_info=result, extra=told)
            else:
                results.append(result)
        for components in self._waiting.values():  # a reload was cut short
            await components.close()
        for task in (self._sweeper, self._poller):
            if task is not None:
                task.cancel()
        in_flight = sum(count for count, _ in results)
        returned = sum(count for _, count in results)
        log.info(
            "drained: %d settled, %d returned to JetStream, in %.1f s",
            in_flight - returned,
            returned,
            asyncio.get_running_loop().time() - started,
            extra={"event": "gateway.drained"},
        )

    def _start_route(
        self, route: CompiledRoute, components: RouteComponents, predecessor: Supervisor | None = None
    ) -> None:
        stats = RouteStats(
            route.name,
            [target.name for target in route.targets],
            [step.label for step in route.steps],
            [audit.label for audit in route.audits],
            [code for component in route.components for code in component.codes],
        )
        if route.config.step_durations:
            time_steps(route, stats)
        before = self.stats.routes.get(route.name)
        if before is not None:
            stats.continue_from(before)
        self.stats.routes[route.name] = stats
        route = timed(route, stats, self._clock.monotonic)
        link = self._edge.link(route)
        supervisor = Supervisor(
            route, link.source, link.publisher, stats, self._clock, link.ready, self._instance, self._life, components
        )
        if predecessor is not None and predecessor.route.origin == route.origin:
            supervisor.lane.inherit(predecessor.lane)
        supervisor.lane.stir = self.pace.stir
        self.supervisors[route.name] = supervisor
        supervisor.start()

    async def _stop_route(self, name: str, until: float, *, succeeded: bool) -> None:
        # Until it is drained it is swept, and a SIGTERM meanwhile drains it too.
        await self.supervisors[name].drain(until, succeeded=succeeded)
        del self.supervisors[name]

    def _show_disabled(self, name: str) -> None:
        stats = RouteStats(name)
        stats.state = RouteState.DISABLED
        self.stats.routes[name] = stats

    async def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        for sweep in itertools.count():
            await self.pace.tick()
            every, calm = self.pace.calm, True
            for turn, supervisor in enumerate(list(self.supervisors.values()), sweep):
                if every or turn % ASKED == 0 or not supervisor.lane.resting:
                    supervisor.sweep()
                calm = calm and supervisor.lane.resting
            if calm:
                self.pace.rest()
            else:
                self.pace.stir()
            self.swept_at = loop.time()

    async def _poll(self) -> None:
        """Look at the consumers' backlogs, a few at a time."""
        while True:
            every = list(self.supervisors.values())
            for start in range(0, len(every), POLL_AT_ONCE):
                few = [one for one in every[start : start + POLL_AT_ONCE] if one.lane.faults.running]
                if self._edge.connected:
                    await asyncio.gather(*(one.poll_pending() for one in few))
            await asyncio.sleep(POLL_PENDING)


def same(one: CompiledRoute, other: CompiledRoute) -> bool:
    """Whether two compilations of a route would do the same, whatever else changed in the files."""
    return (
        one.identity == other.identity
        and one.max_hops == other.max_hops
        and one.origin == other.origin
        and one.plugins == other.plugins
        and one.fault == other.fault
    )


def _excludes(leaving: CompiledRoute, coming: CompiledRoute) -> bool:
    """Whether a route must have ended before the other may start: it has its name, or its durable."""
    durables = [(route.origin.stream, route.origin.durable) for route in (leaving, coming)]
    return leaving.name == coming.name or durables[0] == durables[1]
