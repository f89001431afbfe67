"""Opens and closes the components of routes; one that routes share opens with the first and closes after the last."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import Any

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


Opening = asyncio.Future[BaseException | None]
"""A call under way."""


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
        self.unended: dict[int, Opening] = {}
        """Opens nobody waits for any more, by component: there is never a second one beside them."""
        self._closing: set[asyncio.Task[None]] = set()

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

    async def leave(self, component: Component, close: Callable[[bool], Awaitable[None]]) -> None:
        """A route needs a shared component no more; the last one closes it, told whether it is open."""
        shared = self._shared[id(component)]
        shared.users -= 1
        async with shared.lock:
            if shared.users:
                return
            del self._shared[id(component)]
            self._components.forget(component)
            await close(shared.opened)
            self.end_thread(component)

    def end_thread(self, component: Component) -> None:
        """A shared blocking component is done with; its thread ends after the calls that wait."""
        worker = self.threads.pop(id(component), None)
        if worker is not None:
            worker.close()

    def close_later(self, close: Coroutine[Any, Any, None]) -> None:
        """Close what opens only now, after its route has ended."""
        task = asyncio.get_running_loop().create_task(close)
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)


class RouteComponents:
    """The components of one route, its own and those it shares."""

    def __init__(self, route: CompiledRoute, openings: Openings) -> None:
        self._route = route
        self._openings = openings
        self._opened: set[int] = set()
        self._kept = list(route.components)
        """Those that were not let go of yet."""
        self.workers = Workers(openings.threads)

    async def open(self) -> None:
        """Open what is not open yet; raises RouteFault, and what is open stays so for the next try."""
        for component in self._route.components:
            if id(component) in self._opened:
                continue
            call = partial(self._open, component)
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
        """Close what was opened, the last one first; what that raises is logged. Each is let go of once."""
        while self._kept:
            component = self._kept.pop()
            close = partial(self._close, component)
            await (self._openings.leave(component, close) if component.shared else close(id(component) in self._opened))
        self._opened.clear()
        self.workers.close()

    async def _close(self, component: Component, opened: bool) -> None:
        told = {"event": "component.close-failed", "route": self._route.name, "component": component.name}
        told["plugin"] = self._route.owner_of(component)
        opening = self._openings.unended.pop(id(component), None)
        if opening is not None:
            # The route ended while it opened.
            await asyncio.wait({opening}, timeout=GRACE)
            if not opening.done():
                log.error("a component is not closed before it has opened, which does not end", extra=told)
                self._openings.close_later(self._close_late(component, opening))
                return
            opened = opened or _succeeded(opening)
        if not opened:
            return
        if component.blocking and self.workers.of(component).busy:
            log.error("a component is not closed before one of its calls returns", extra=told)
            if not inspect.iscoroutinefunction(component.close):
                # In line behind that call: what it holds, such as the lock of a file, must not outlive it.
                self.workers.of(component).call(component.close)
            return
        error = await self._call(component, "close")
        if error is not None:
            log.error("a component failed to close: %s", without_secrets(error, component), extra=told)

    async def _close_late(self, component: Component, opening: Opening) -> None:
        await asyncio.wait({opening})
        await self._close(component, _succeeded(opening))
        self._openings.end_thread(component)
        self.workers.close()

    async def _open(self, component: Component) -> BaseException | None:
        """Open a component, unless a call that was given up has done so meanwhile."""
        before = self._openings.unended.get(id(component))
        if before is not None and not before.done():
            return _Unended("an earlier call does not end")
        if before is not None:
            del self._openings.unended[id(component)]
            if _succeeded(before):
                return None
        return await self._call(component, "open")

    async def _call(self, component: Component, name: str) -> BaseException | None:
        """Call `open` or `close`, where the component's calls belong; what it raised, within its time."""
        # A thread cannot be cancelled; cancelling the future would only hide that the call still runs.
        threaded = component.blocking and not inspect.iscoroutinefunction(getattr(component, name))
        attempt = asyncio.ensure_future(self._attempt(component, name, threaded))
        try:
            done, pending = await asyncio.wait({attempt}, timeout=OPEN_LIMIT)
            if not done and not threaded:
                attempt.cancel()
                _, pending = await asyncio.wait({attempt}, timeout=GRACE)
        except asyncio.CancelledError:
            if not threaded:
                attempt.cancel()
            self._give_up(component, name, attempt)
            raise
        if pending:
            # Waiting for it would keep the route from saying what is wrong, and the process from ending.
            self._give_up(component, name, attempt)
            how = "" if threaded else ", although it was cancelled"
            return _Unended(f"{name} does not end{how} after {OPEN_LIMIT:g} s")
        if not done:
            return TimeoutError()
        return asyncio.CancelledError() if attempt.cancelled() else attempt.result()

    def _give_up(self, component: Component, name: str, attempt: Opening) -> None:
        """Nobody waits for a call any more; one that opens may succeed all the same."""
        if name == "open":
            self._openings.unended[id(component)] = attempt

    async def _attempt(self, component: Component, name: str, threaded: bool) -> BaseException | None:
        function: Callable[[], Awaitable[None] | None] = getattr(component, name)
        waiting: Awaitable[None] | None
        try:
            if threaded:
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


def _succeeded(opening: Opening) -> bool:
    return opening.done() and not opening.cancelled() and opening.result() is None
