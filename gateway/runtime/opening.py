"""Opens and closes the components of routes; one that routes share opens with the first and closes after the last."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable
from functools import partial

from ..errors import EventError, RouteFault
from ..plugin import Component
from ..routing.route import CompiledRoute
from ..routing.run import one_line
from ..routing.sharing import SharedComponents
from .worker import Worker, Workers

log = logging.getLogger("gateway.route")

OPEN_LIMIT = 10.0
"""Seconds a component may take to open, and to close: a route that waits for ever would look like one that starts."""


Call = Callable[[], Awaitable[BaseException | None]]
"""Opens or closes, and returns what was raised: an exit raised in a task would end the event loop."""


class _Shared:
    """A component that routes share, and how many of them do."""

    def __init__(self) -> None:
        self.users = 0
        self.opened = False
        self.lock = asyncio.Lock()
        """Held while it opens or closes: of two routes that start together, one opens it and the other waits."""


class Openings:
    """What all routes of a process know of the components they share."""

    def __init__(self, components: SharedComponents | None = None) -> None:
        self._components = components or SharedComponents()
        self._shared: dict[int, _Shared] = {}
        self.threads: dict[int, Worker] = {}
        """The threads of shared blocking components."""

    def join(self, route: CompiledRoute) -> RouteComponents:
        """A route is about to use its components: none it shares is closed before it has left."""
        for component in route.components:
            if component.shared:
                self._shared.setdefault(id(component), _Shared()).users += 1
        return RouteComponents(route, self)

    async def open(self, component: Component, call: Call) -> BaseException | None:
        """Open a shared component unless it is; returns what that raised."""
        shared = self._shared[id(component)]
        async with shared.lock:
            error = None if shared.opened else await call()
            shared.opened = error is None
            return error

    async def leave(self, component: Component, call: Callable[[], Awaitable[None]]) -> None:
        """A route needs a shared component no more; the last one closes it."""
        shared = self._shared[id(component)]
        shared.users -= 1
        async with shared.lock:
            if shared.users:
                return
            del self._shared[id(component)]
            self._components.forget(component)
            if shared.opened:
                await call()
            worker = self.threads.pop(id(component), None)
            if worker is not None:
                worker.close()


class RouteComponents:
    """The components of one route, its own and those it shares."""

    def __init__(self, route: CompiledRoute, openings: Openings) -> None:
        self._route = route
        self._openings = openings
        self._opened: set[int] = set()
        self.workers = Workers(openings.threads)

    async def open(self) -> None:
        """Open what is not open yet; raises RouteFault, and what is open stays so for the next try."""
        for component in self._route.components:
            if id(component) in self._opened:
                continue
            call = partial(self._call, component, "open")
            error = await (self._openings.open(component, call) if component.shared else call())
            if error is not None:
                text = f"{component.name}: open raised {type(error).__name__}"
                if isinstance(error, EventError):
                    # Raised on purpose, with words meant to be read; any other's may hold a secret.
                    text = f"{text}: {one_line(error.message)}"
                log.warning(
                    text, extra={"event": "component.open-failed", "route": self._route.name, "error": str(error)}
                )
                raise RouteFault("open-failed", text) from error
            self._opened.add(id(component))

    async def close(self) -> None:
        """Close what was opened, the last one first; what that raises is logged."""
        for component in reversed(self._route.components):
            if component.shared:
                await self._openings.leave(component, partial(self._close, component))
            elif id(component) in self._opened:
                await self._close(component)
        self._opened.clear()
        self.workers.close()

    async def _close(self, component: Component) -> None:
        told = {"event": "component.close-failed", "route": self._route.name, "component": component.name}
        if component.blocking and self.workers.of(component).busy:
            log.error("a component was not closed: one of its calls does not return", extra=told)
            return
        error = await self._call(component, "close")
        if error is not None:
            log.error("a component failed to close", exc_info=error, extra=told)

    async def _call(self, component: Component, name: str) -> BaseException | None:
        """Call `open` or `close`, where the component's calls belong, with a limit; returns what it raised."""
        try:
            return await asyncio.wait_for(self._attempt(component, getattr(component, name)), OPEN_LIMIT)
        except TimeoutError as error:
            return error

    async def _attempt(
        self, component: Component, function: Callable[[], Awaitable[None] | None]
    ) -> BaseException | None:
        try:
            waiting: Awaitable[None] | None
            if component.blocking and not inspect.iscoroutinefunction(function):
                waiting, error = await self.workers.of(component).call(function)
                if error is not None:
                    return error
            else:
                waiting = function()
            if inspect.isawaitable(waiting):
                await waiting
        except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever it raises is its route's trouble only
            return error
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            return error
        return None
