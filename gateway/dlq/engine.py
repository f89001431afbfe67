"""Redrive: the routes at work on dead letters instead of their sources.

Steps, copies, retries, circuits, audits and new letters are the runtime's own. What is different is here and beside:
where events come from and what settles them (`source`), and what counts as stored (`proving`).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from functools import partial
from typing import Protocol

from ..clock import SystemClock
from ..errors import ConnectionGone, GatewayError, Retry
from ..jetstream.api import ApiError, ApiUnavailable
from ..jetstream.edge import JetStreamEdge
from ..registry.lifecycle import LifeCycle
from ..routing.redrive import Letter
from ..routing.route import CompiledRoute
from ..routing.sharing import SharedComponents
from ..runtime.gateway import Gateway, Link
from ..runtime.stats import GatewayStats, RouteState
from .plan import Judge, Order, Plan, Share, Way
from .proving import ProvingPublisher
from .remover import Remover
from .selection import Selection, Sieve
from .source import LetterSource, Pace
from .store import DeadLetters
from .tally import Tally
from .ways import redriving

TICK = 0.5
"""Seconds between two looks at how far it is."""


class Listener(Protocol):
    """Who is told how far it is."""

    def progress(self, tally: Tally) -> None: ...

    def notice(self, text: str) -> None: ...


class Workshop(Protocol):
    """What a run needs that others made."""

    edge: JetStreamEdge
    routes: dict[str, CompiledRoute]
    shared: SharedComponents
    """Components of several routes."""
    life: LifeCycle
    stats: GatewayStats
    instance: str
    """Who writes in audit records that it was."""
    drain: float
    """Seconds that what is in flight may take at the end."""


class _Edge:
    """Gives each route its letters for a source, and a publisher that proves what it is told."""

    def __init__(self, edge: JetStreamEdge, sources: dict[str, LetterSource], tally: Tally, way: Way) -> None:
        self._edge = edge
        self._sources = sources
        self._tally = tally
        self._way = way

    def link(self, route: CompiledRoute) -> Link:
        """Source, publisher and checks of one route."""
        link = self._edge.link(route)
        source = self._sources[route.name]
        publisher = ProvingPublisher(
            link.publisher,
            self._edge.api,
            self._tally,
            source.keep,
            writes_letters=self._way is not Way.SOURCE,
        )
        return Link(source, publisher, link.ready)

    @property
    def connected(self) -> bool:
        """Whether a server can be reached now."""
        return self._edge.connected

    @property
    def gap(self) -> float:
        """Seconds the last disconnection lasted."""
        return self._edge.gap


class Run:
    """One stream's letters, from the first to the last of its plan."""

    def __init__(
        self,
        shop: Workshop,
        letters: DeadLetters,
        plan: Plan,
        selection: Selection,
        judge: Judge,
        order: Order,
        pace: Pace,
        tally: Tally,
        listener: Listener,
        patience: float,
    ) -> None:
        """`patience` is how many seconds a server, or a route that cannot start, is waited for."""
        self._shop = shop
        self._letters = letters
        self._plan = plan
        self._selection = selection
        self._judge = judge
        self._order = order
        self._pace = pace
        self._tally = tally
        self._listener = listener
        self._patience = patience
        self._sources: dict[str, LetterSource] = {}
        self._remover = Remover(letters, tally, self._moved)
        self._gateway = Gateway(
            _Edge(shop.edge, self._sources, tally, order.way),
            shop.stats,
            SystemClock(),
            shop.instance,
            shop.life,
            shop.shared,
        )
        self._told: dict[str, str] = {}
        self._down_since: dict[str, float] = {}
        """Since when a route that has not begun cannot."""
        self._last_seen = time.monotonic()

    async def go(self, stop: asyncio.Event) -> None:
        """Redrive until all is done, or `stop` is set: then what is in flight is finished within `drain`.

        Raises ConnectionGone when the server went and did not come back in time, and Retry when the letters cannot be
        read or removed any more. Either way what was begun is ended or given back.
        """
        routes = [await self._prepared(share) for share in self._plan.shares.values()]
        self._remover.start()
        changed = self._shop.edge.connection.changed
        changed.append(self._gateway.connection_changed)
        self._gateway.start(routes)
        for name, source in self._sources.items():
            lane = self._gateway.supervisors[name].lane
            source.entry_of = lane.window.entries.get
            source.give_back = lane.give_back
        try:
            await self._watch(stop)
        finally:
            # Without a server nothing of it can be finished.
            await self._gateway.drain(self._shop.drain if self._shop.edge.connected else 0.0)
            changed.remove(self._gateway.connection_changed)
            await self._remover.flushed(self._patience)
            self._remover.close()
            self._listener.progress(self._tally)
        if self._remover.left:
            away = self._remover.fault is None and not self._shop.edge.connected
            raise ConnectionGone(self._lost()) if away else self._remover.excuse

    async def _prepared(self, share: Share) -> CompiledRoute:
        shop, letters = self._shop, self._letters
        route = redriving(shop.routes[share.route], self._order.way, letters.name, letters.created)
        assert route.redrive is not None
        self._sources[share.route] = LetterSource(
            share.route,
            route.redrive,
            partial(self._read, share),
            letters.holds,
            share.letters,
            await self._created(route.origin.stream),
            self._pace,
            self._remover,
            self._tally,
        )
        return route

    async def _created(self, stream: str) -> str:
        """The creation time of the stream that events came from, for audit records; empty when it is gone."""
        try:
            return str((await self._shop.edge.api.stream_info(stream))["created"])
        except (ApiError, ApiUnavailable):
            return ""

    async def _read(self, share: Share) -> AsyncIterator[Letter]:
        """The letters of one route, as planned."""
        async for letter in Sieve(self._selection).sift(self._letters.walk(share.first, share.last, share.subject)):
            if self._judge.route_of(letter) == share.route and self._judge.objection(letter) is None:
                yield letter

    def _moved(self) -> None:
        for source in self._sources.values():
            source.moved()

    async def _watch(self, stop: asyncio.Event) -> None:
        """Until the end; raises ConnectionGone and Retry."""
        loop = asyncio.get_running_loop()
        done = loop.create_task(self._all_finished())
        ends = [done, loop.create_task(stop.wait()), loop.create_task(self._remover.failed.wait())]
        try:
            while not any(end.done() for end in ends):
                await asyncio.wait(ends, timeout=TICK, return_when=asyncio.FIRST_COMPLETED)
                self._listener.progress(self._tally)
                self._look()
        finally:
            for end in ends:
                end.cancel()
        if self._remover.fault is not None:
            raise self._remover.fault
        for source in self._sources.values():
            # Who stops it need not hear that it would have ended anyway.
            if source.fault is not None and not (stop.is_set() and isinstance(source.fault, Retry)):
                raise source.fault

    async def _all_finished(self) -> None:
        for source in self._sources.values():
            await source.finished.wait()

    def _look(self) -> None:
        """Say what holds routes, give up those that cannot start, and the run when the server is gone."""
        now = time.monotonic()
        if self._shop.edge.connected:
            self._last_seen = now
        elif now - self._last_seen > self._patience:
            raise ConnectionGone(self._lost())
        for name, source in self._sources.items():
            stats = self._gateway.stats.routes[name]
            if stats.code == "disconnected" or source.finished.is_set():
                continue
            if self._told.get(name, "") != stats.reason:
                self._told[name] = stats.reason
                self._listener.notice(f"{name}: {stats.reason or 'goes on'}")
            if source.taken or stats.state is not RouteState.DOWN:
                self._down_since.pop(name, None)
            elif now - self._down_since.setdefault(name, now) > self._patience:
                share = self._plan.shares[name]
                self._tally.keep(stats.code, f"{self._letters.name}/{share.first}", share.letters)
                source.give_up()

    def _lost(self) -> str:
        return f"the connection was lost, and not there again within {self._patience:g} s"


class Redriven:
    """How a redrive ended."""

    def __init__(self, plans: list[Plan], tally: Tally, *, dry_run: bool = False) -> None:
        self.plans = plans
        self.tally = tally
        self.dry_run = dry_run
        """Whether nothing was to be done."""
        self.stopped = False
        """Whether it was cancelled."""
        self.fault: GatewayError | None = None
        """ConnectionGone or Retry: why it ended early."""

    @property
    def skipped(self) -> int:
        """Letters meant and not taken."""
        return sum(sum(plan.skipped.values()) for plan in self.plans)

    @property
    def good(self) -> bool:
        """Whether every letter meant is gone, and its event where it belongs; in a dry run, whether none would stay."""
        tally = self.tally
        if self.dry_run or self.skipped:
            return not self.skipped
        return self.fault is None and not (tally.kept or tally.dead_lettered) and tally.done == tally.letters
