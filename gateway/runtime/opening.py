"""Opens and closes the components of routes; one that routes share opens with the first and closes after the last."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable
from functools import partial

from ..errors import ConfigProblem, EventError, RouteFault
from ..plugin import Component
from ..routing.route import CompiledRoute, of_plugin
from ..routing.run import one_line
from ..routing.sharing import SharedComponents
from .secrets import without_secrets
from .waiting import GRACE
from .worker import Worker, Workers

log = logging.getLogger("gateway.route")

OPEN_LIMIT = 10.0
"""Seconds a component may take to open, and to close: a route that waits for ever would look like one that starts."""


Call = Callable[[], Awaitable[BaseException | None]]
"""Opens or closes, and returns what was raised: an exit raised in a task would end the event loop."""


class _Unended(Exception):
    """A call that survives its cancellation."""


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
        self._unended: dict[int, asyncio.Future[BaseException | None]] = {}
        """Calls that survived their cancellation, by component: there is never a second one beside them."""
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
                if isinstance(error, _Unended):
                    text = f"{component.name}: {error}"
                elif isinstance(error, EventError | ConfigProblem):
                    # Raised on purpose, with words meant to be read; any other's may hold a secret.
                    words = error.message if isinstance(error, EventError) else error.text
                    text = f"{text}: {one_line(words)}"
                plugin = self._route.owner_of(component)
                text = f"{text}{of_plugin(plugin)}"
                told = {"event": "component.open-failed", "route": self._route.name, "plugin": plugin}
                log.warning(text, extra={**told, "error": without_secrets(error, component)})
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
        told["plugin"] = self._route.owner_of(component)
        if component.blocking and self.workers.of(component).busy:
            log.error("a component was not closed: one of its calls does not return", extra=told)
            return
        error = await self._call(component, "close")
        if error is not None:
            log.error("a component failed to close: %s", without_secrets(error, component), extra=told)

    async def _call(self, component: Component, name: str) -> BaseException | None:
        """Call `open` or `close`, where the component's calls belong; what it raised, within its time."""
        before = self._unended.get(id(component))
        if before is not None and not before.done():
            return _Unended("an earlier call does not end")
        attempt = asyncio.ensure_future(self._attempt(component, name))
        try:
            done, pending = await asyncio.wait({attempt}, timeout=OPEN_LIMIT)
            if not done:
                attempt.cancel()
                _, pending = await asyncio.wait({attempt}, timeout=GRACE)
        except asyncio.CancelledError:
            attempt.cancel()
            raise
        if pending:
            # Waiting for it would keep the route from saying what is wrong, and the process from ending.
            self._unended[id(component)] = attempt
            return _Unended(f"{name} does not end, although it was cancelled after {OPEN_LIMIT:g} s")
        if not done:
            return TimeoutError()
        return asyncio.CancelledError() if attempt.cancelled() else attempt.result()

    async def _attempt(self, component: Component, name: str) -> BaseException | None:
        function: Callable[[], Awaitable[None] | None] = getattr(component, name)
        waiting: Awaitable[None] | None
        try:
            if component.blocking and not inspect.iscoroutinefunction(function):
                waiting, error = await self.workers.of(component).call(function)
                if error is not None:
                    return error
            else:
                waiting = function()
            if inspect.isawaitable(waiting):
                await waiting
        except BaseException as error:
            task = asyncio.current_task()
            if isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling():
                raise
            return error
        return None
