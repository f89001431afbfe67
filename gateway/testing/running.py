"""A real gateway inside a test's process, on a real nats-server; every method blocks, no event loop is needed.

def test_large_orders_arrive(run_gateway):
    gateway = run_gateway(CONFIG)
    gateway.publish("orders.created", {"total": 500})
    (message,) = gateway.wait_for("LARGE", 1)
    assert message.json()["total"] == 500
"""

from __future__ import annotations

import asyncio
import base64
import json
import threading
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import Future
from importlib import metadata
from typing import Any, TypeVar

import msgspec

from ..app import Application
from ..config.loader import examine_text
from ..errors import ConfigError
from ..event import PubAck
from ..headers import Headers
from ..hookspecs import GROUP, hookimpl
from ..jetstream.api import JetStreamApi
from ..jetstream.context import JetStreamContext
from ..plugin import Component
from ..registry import Registry, load_plugins
from ..routing.offline import NullMetrics
from ..runtime.stats import RouteState
from .steps import kind_of

T = TypeVar("T")
_POLL = 0.01


class Message(msgspec.Struct, frozen=True):
    """A message as a stream holds it."""

    subject: str
    sequence: int
    headers: Headers
    data: bytes

    def json(self) -> Any:
        """The payload decoded from JSON."""
        return msgspec.json.decode(self.data)


class RunningGateway:
    """One gateway in a thread of its own. `start`, then whatever the test does, then `stop`."""

    def __init__(self, config: Mapping[str, Any], server_url: str, components: Sequence[type[Component]] = ()) -> None:
        """`config` is what a file would hold; without `nats` it is connected to `server_url`, and `http` is off.

        Installed plugins are there, and `components` besides, as a plugin called `test`. Raises ConfigError.
        """
        whole = {"nats": {"servers": [server_url]}, "http": "off", "drain": "5s", **config}
        loaded = examine_text(json.dumps(whole), file="<test>", registry=_registry(components))
        if loaded.config is None:
            raise ConfigError([problem for problem in loaded.problems if not problem.is_warning])
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="gateway-under-test", daemon=True)
        self._thread.start()
        self._config, self._registry = loaded.config, loaded.registry
        try:
            self._app = self._call(self._make())
        except BaseException:
            self._end_thread()
            raise

    async def _make(self) -> Application:
        return Application(self._config, self._registry)

    def start(self, timeout: float = 10.0, *, wait: bool = True) -> None:
        """Start it and wait until every route is up; AssertionError with the reasons of those that are not."""
        self._call(self._app.start())
        if wait:
            self._until(lambda: not self._down(), timeout, self._down)

    def publish(
        self, subject: str, body: Any = b"", headers: Mapping[str, str] | None = None, timeout: float = 10.0
    ) -> PubAck:
        """Publish to a stream, which must take it; bytes as they are, anything else as JSON."""
        data = body if isinstance(body, bytes) else msgspec.json.encode(body)
        return self._call(self._context.publish(subject, data, headers), timeout)

    def messages(self, stream: str) -> list[Message]:
        """Everything a stream holds, oldest first."""
        return self._call(self._read(stream))

    def wait_for(self, stream: str, count: int, timeout: float = 10.0) -> list[Message]:
        """Wait until a stream holds at least so many messages; AssertionError with what it holds otherwise."""

        def held() -> int:
            return int(self._call(self._api.stream_info(stream))["state"]["messages"])

        self._until(lambda: held() >= count, timeout, lambda: f"{stream} holds {held()} of {count}; {self.outcomes()}")
        return self.messages(stream)

    def wait_settled(self, timeout: float = 10.0) -> None:
        """Wait until every route has settled all there is in its source; then nothing more will come of it."""

        def unsettled() -> dict[str, int]:
            counts = {route.name: self._call(self._unsettled(route.source)) for route in self._config.routes}
            return {name: count for name, count in counts.items() if count}

        self._until(lambda: not unsettled(), timeout, lambda: f"unsettled {unsettled()}; {self._troubles()}")

    def _troubles(self) -> dict[str, Any]:
        """What keeps events from ending: states and reasons of routes, and retries by code."""
        return {
            name: (*self.route_state(name), {code: count for code, count in own.retries.items() if count})
            for name, own in self._app.stats.routes.items()
        }

    def outcomes(self, route: str | None = None) -> dict[str, int]:
        """How many events ended how, of one route or of all: published, filtered, dropped, dead_lettered."""
        stats = self._app.stats.routes
        total: dict[str, int] = {}
        for own in [stats[route]] if route else stats.values():
            for outcome, count in own.outcomes.items():
                total[outcome] = total.get(outcome, 0) + count
        return total

    def route_state(self, route: str) -> tuple[str, str, str]:
        """State, code and reason of a route, as /readyz tells them."""
        stats = self._app.stats.routes[route]
        return str(stats.state), stats.code, stats.reason

    def stop(self, timeout: float = 30.0) -> None:
        """Drain and end; harmless when it has ended."""
        if not self._thread.is_alive():
            return
        try:
            self._call(self._app.stop(), timeout)
        finally:
            self._end_thread()

    def _end_thread(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    # ------------------------------------------------------------------ inside

    @property
    def _api(self) -> JetStreamApi:
        return self._app.edge.api

    @property
    def _context(self) -> JetStreamContext:
        return JetStreamContext(self._app.edge.services, "test", "test", "test", None, NullMetrics())

    def _call(self, coroutine: Coroutine[Any, Any, T], timeout: float = 30.0) -> T:
        future: Future[T] = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        return future.result(timeout)

    def _until(self, holds: Callable[[], bool], timeout: float, seen: Callable[[], Any]) -> None:
        deadline = time.monotonic() + timeout
        while not holds():
            assert time.monotonic() < deadline, f"not within {timeout:g} s: {seen()}"
            time.sleep(_POLL)

    def _down(self) -> dict[str, str]:
        wanted = [route.name for route in self._config.routes if route.enabled]
        states = {name: self._app.stats.routes[name] for name in wanted}
        return {name: f"{own.state} {own.reason}" for name, own in states.items() if own.state is not RouteState.UP}

    async def _unsettled(self, source: Any) -> int:
        info = await self._api.request(f"CONSUMER.INFO.{source.stream}.{source.durable}")
        if left := int(info["num_pending"]) + int(info["num_ack_pending"]):
            return left
        # The server counts what was just stored as pending a moment after it has acknowledged it.
        behind = int(info["delivered"]["stream_seq"]) + 1
        found = [await self._api.message(source.stream, behind, str(subject)) for subject in source.subjects]
        return sum(message is not None for message in found)

    async def _read(self, stream: str) -> list[Message]:
        state = (await self._api.stream_info(stream))["state"]
        found: list[Message] = []
        sequence = int(state["first_seq"])
        while sequence <= int(state["last_seq"]) and len(found) < int(state["messages"]):
            answer = await self._api.request(f"STREAM.MSG.GET.{stream}", {"seq": sequence, "next_by_subj": ">"})
            message = answer["message"]
            block = base64.b64decode(message.get("hdrs", ""))
            data = base64.b64decode(message.get("data", ""))
            found.append(Message(message["subject"], message["seq"], Headers.parse(block), data))
            sequence = int(message["seq"]) + 1
        return found


class _Given:
    """A plugin of the test's own components; also the entry point that finds it."""

    name = "test"
    value = "test"

    def __init__(self, components: Sequence[type[Component]]) -> None:
        for kind in ("codec", "filter", "transform", "audit"):
            own = [component for component in components if kind_of(component) == kind]
            setattr(self, f"gateway_{kind}s", hookimpl(lambda own=own: own))

    def load(self) -> _Given:
        return self


def _registry(components: Sequence[type[Component]]) -> Registry:
    installed = list(metadata.entry_points(group=GROUP))
    return load_plugins(entry_points=[*installed, _Given(components)] if components else installed)
