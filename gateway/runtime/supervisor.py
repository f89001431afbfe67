"""One route's life: open its components and source, run its lane, open them again when they are lost, drain."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Awaitable, Callable
from typing import Protocol

import msgspec

from ..errors import RouteFault
from ..lent import RouteInfo
from ..ports import Clock, Publisher, Source, SourceInfo
from ..routing.route import CompiledRoute
from .ending import ended
from .lane import UNHEARD, Lane
from .opening import RouteComponents
from .ordered_lane import OrderedLane
from .stats import RouteState, RouteStats
from .timing import journey_for

log = logging.getLogger("gateway.route")

MAX_PAUSE = 30.0
"""Seconds between two tries to start a route, at most."""
OPENING = 60.0
"""Seconds after which a route that still opens is shown as down. Its parts have limits of their own, and shorter ones:
whoever waits for the start must be able to count on an end all the same.
"""
SWEEP = "sweep"
"""The fault of a lane whose sweep fails: what depends on time stands still."""

CANCEL_AGAIN = 1.0
"""Seconds until the task of a route that ends is cancelled again; until then it may give back what it holds."""

UNSERVED = frozenset({"pull-refused", "consumer-unavailable", "source-silent"})
"""Losses of a source that, before it gave any sign of life, are no bad moment of the consumer but its way."""

UNSEEN = frozenset({"disconnected", "jetstream-unavailable"})
"""Why a source could not be opened, when that says nothing of it."""


class RouteLife(Protocol):
    """Who is told of routes that start and stop."""

    def route_started(self, route: RouteInfo) -> None: ...

    def route_stopped(self, route: RouteInfo) -> None: ...


class Supervisor:
    """Keeps one route running. What goes wrong here is this route's; the others do not notice."""

    def __init__(
        self,
        route: CompiledRoute,
        source: Source,
        publisher: Publisher,
        stats: RouteStats,
        clock: Clock,
        ready: Callable[[], Awaitable[None]],
        instance: str,
        life: RouteLife,
        components: RouteComponents,
    ) -> None:
        """`ready` prepares the edge and checks what the route needs of the server; raises RouteFault."""
        self.route = route
        self.stats = stats
        kind = Lane if route.config.ordering == "none" else OrderedLane
        journey = journey_for(route, stats)
        self.lane = kind(route, source, publisher, stats, clock, instance, components.workers, journey)
        self._components = components
        self._source = source
        self._publisher = publisher
        self._clock = clock
        self._ready = ready
        self._wake = asyncio.Event()
        self._life = life
        self._told = False
        self._seen: SourceInfo | None = None
        """What was learnt when the source was opened last."""
        self._task: asyncio.Task[None] | None = None
        self._ends = 0
        """How often the task ended although nobody had ended it."""
        self._opening_since: float | None = None
        self._drain: asyncio.Task[tuple[int, int]] | None = None
        self.settled = asyncio.Event()
        """Set once the route is up, or down with a reason other than that there is no connection yet."""

    def start(self) -> None:
        """Begin; returns at once."""
        self._source.attach(self.lane)
        self._publisher.attach(self.lane)
        self._task = asyncio.get_running_loop().create_task(self._run())

    def sweep(self) -> None:
        """Look after the lane and the task; ten times a second, and never raises: the next route is waiting."""
        if self.lane.rests:
            return
        faults = self.lane.faults
        try:
            self._look_after()
            self.lane.sweep()
        except (Exception, SystemExit, asyncio.CancelledError) as error:  # nothing waits here: it is no cancellation
            if SWEEP not in faults:
                told = {"event": "route.sweep-failed", "route": self.route.name}
                log.exception("the sweep of a route failed", extra=told)
            faults.set(SWEEP, "internal", f"internal error in the sweep: {type(error).__name__}")
        else:
            faults.clear(SWEEP)

    def _look_after(self) -> None:
        """Begin anew what ended although nobody ended it, and show what opens for too long."""
        task = self._task
        if task is None or self._drain is not None:
            return
        if task.done():
            self._ends += 1
            told = {"event": "route.supervisor-ended", "route": self.route.name}
            error = asyncio.CancelledError() if task.cancelled() else task.exception()
            log.error("the task of a route ended; it begins anew", exc_info=error, extra=told)
            self.lane.pause()
            self.lane.faults.set("start", "internal", f"internal error: {type(error).__name__}")
            self.settled.set()
            self._task = asyncio.get_running_loop().create_task(self._run_again())
        elif self._opening_since is not None and self._clock.monotonic() - self._opening_since > OPENING:
            self.lane.faults.set("start", "start-stalled", f"it has not opened within {OPENING:g} s")
            self.settled.set()

    async def _run_again(self) -> None:
        await self._pause(self._ends)
        await self._run()

    def adopt(self, config_digest: str) -> None:
        """The gateway goes on with another config that says the same of this route: events are told with that one."""
        # Everything the route is made of shares this object; making it anew would be a restart of the route.
        msgspec.structs.force_setattr(self.route, "config_digest", config_digest)

    def connection_changed(self, connected: bool, gap: float) -> None:
        """The connection went or came back after `gap` seconds."""
        if connected:
            self.lane.disconnected_for(gap)
            self.lane.lost.set()
            self._wake.set()
        else:
            self.lane.pause()
            self.lane.faults.set("start", "disconnected", "no connection to a server")

    async def drain(self, until: float, *, succeeded: bool = False) -> tuple[int, int]:
        """Stop pulling, finish what is in flight until the loop's time `until`, give back the rest.

        With a successor (`succeeded`), what targets cannot take now is given back at once.

        Returns how many events were in flight and how many of them were given back. Whoever comes while it drains
        waits for the same end, also when the first one was cancelled: a gateway may end during a reload.
        """
        if self._drain is None:
            self._drain = asyncio.get_running_loop().create_task(self._end(until, succeeded=succeeded))
        return await asyncio.shield(self._drain)

    async def _end(self, until: float, *, succeeded: bool) -> tuple[int, int]:
        lane = self.lane
        self.settled.set()  # Whoever waits for the start of a route that ends instead has waited long enough.
        self.lane.faults.stopped(RouteState.DRAINING)
        window = lane.window
        in_flight, before = len(window.entries), window.handed_back
        lane.begin_drain(succeeded=succeeded)
        if self._task is not None:
            # Before the source is closed, which it would open again.
            await ended(self._task, CANCEL_AGAIN)
        try:
            await self._source.close()
            await self._settle_looked_at(until)
            remaining = until - asyncio.get_running_loop().time()
            if succeeded and not self._publisher.connected:
                remaining = 0.0  # Nothing of it can be finished: the successor is there when the connection is back.
            if lane.window.entries and remaining > 0:
                await asyncio.wait_for(lane.empty.wait(), remaining)
        except TimeoutError:
            pass
        await lane.audits_told(until - asyncio.get_running_loop().time())
        lane.end_drain()
        self.lane.faults.stopped(RouteState.STOPPED)
        await self._publisher.close()
        await self._components.close()
        if self._told:
            self._life.route_stopped(self._info())
        return in_flight, min(in_flight, window.handed_back - before)

    async def _settle_looked_at(self, until: float) -> None:
        """Settle what only waited for a look at its source, which nobody opens again; else it would come again."""
        remaining = until - asyncio.get_running_loop().time()
        if self._seen is None or not self.lane.settler.looks or remaining <= 0:
            return
        try:
            created = await asyncio.wait_for(self._source.created(), remaining)
            self.lane.start(msgspec.structs.replace(self._seen, created=created))
        except RouteFault as fault:
            log.debug("no look: %s", fault, extra={"event": "source.no-look", "route": self.route.name})

    async def poll_pending(self) -> None:
        """Look at the consumer's backlog; when it cannot be had, the last numbers stand."""
        try:
            backlog = await self._source.pending()
            self.stats.pending, self.stats.ack_pending = backlog.pending, backlog.unsettled
            self.lane.looked(backlog)
        except RouteFault as fault:
            log.debug("no backlog: %s", fault, extra={"event": "source.no-backlog", "route": self.route.name})
        except Exception:
            # The next route's backlog is looked at all the same.
            log.exception("internal error", extra={"event": "route.internal-error", "route": self.route.name})

    async def _run(self) -> None:
        failures = unserved = 0
        while True:
            self._wake.clear()
            self._opening_since = self._clock.monotonic()
            try:
                await self._open()
                failures = 0
            except RouteFault as fault:
                failures += 1
                self._show(fault)
            except Exception as error:
                failures += 1
                log.exception("route failed to start", extra={"event": "route.start-failed", "route": self.route.name})
                self.lane.faults.set("start", "internal", f"internal error: {type(error).__name__}")
            finally:
                self._opening_since = None
            if not failures or self._publisher.connected:
                self.settled.set()
            if failures:
                await self._pause(failures)
            else:
                await self.lane.lost.wait()
                self.lane.pause()
                code, text = self.lane.lost_reason
                log.log(
                    # A look before settling is routine, not a loss.
                    logging.DEBUG if code == "source-unwatched" else logging.INFO,
                    "source lost: %s",
                    text or "connection",
                    extra={"event": "source.lost", "route": self.route.name, "code": code},
                )
                # Opening it again has worked before and was no use: the route must not look as if it were up, nor ask
                # for ever without a pause.
                unserved = unserved + 1 if code in UNSERVED and not self._source.heard else 0
                if unserved:
                    self.lane.faults.set(UNHEARD, code, text)
                    await self._pause(unserved)

    async def _open(self) -> None:
        """Everything the route needs, then the lane; raises RouteFault."""
        if self.route.fault is not None:
            raise RouteFault(*self.route.fault)
        if not self._publisher.connected:
            # Components may need the server to open, and would be blamed for its absence.
            raise RouteFault("disconnected", "no connection to a server")
        await self._components.open()
        self.lane.lost.clear()
        await self._ready()
        info = self._seen = await self._source.open()
        if self.lane.lost.is_set():
            # The connection changed meanwhile: what was just learnt and asked for may belong to the one before.
            raise RouteFault("disconnected", "the connection changed while the route was opened")
        self.lane.faults.clear("start")
        self.lane.start(info)
        self.lane.faults.started()
        if not self._told:
            self._told = True
            self._life.route_started(self._info())

    def _info(self) -> RouteInfo:
        route = self.route
        return RouteInfo(
            gateway=route.origin.gateway,
            name=route.name,
            description=route.config.description,
            stream=route.origin.stream,
            durable=route.origin.durable,
            targets=tuple(target.name for target in route.targets),
        )

    def _show(self, fault: RouteFault) -> None:
        text = f"{fault.text}; {fault.hint}" if fault.hint else fault.text
        self.lane.faults.set("start", fault.code, text)
        if fault.code not in UNSEEN:
            # Why it was not served is known now; else the status would go on with the code of what was seen before.
            self.lane.faults.clear(UNHEARD)

    async def _pause(self, failures: int) -> None:
        """Wait before the next try; a connection that comes back ends the wait."""
        seconds = min(MAX_PAUSE, 0.5 * 2 ** min(failures - 1, 8)) * (0.8 + 0.4 * random.random())
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._wake.wait(), seconds)
