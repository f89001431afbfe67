"""The gateway inside the test's own process: config text -> Application, with components the test brings."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from gateway.app import Application
from gateway.config import model
from gateway.config.loader import examine_text
from gateway.hookspecs import hookimpl
from gateway.plugin import Audit, Codec, Component, Filter, Transform
from gateway.registry import Registry, load_plugins
from gateway.runtime.lane import Lane
from gateway.runtime.stats import RouteStats

from .eventually import PATIENCE, eventually

_KINDS: dict[str, type[Component]] = {
    "gateway_codecs": Codec,
    "gateway_filters": Filter,
    "gateway_transforms": Transform,
    "gateway_audits": Audit,
}


class _Plugin:
    """A plugin made of the test's own components; also the entry point that finds it."""

    name = "test"
    value = "tests.support.running"

    def __init__(self, components: Sequence[type[Component]], hooks: Mapping[str, Any]) -> None:
        for name, function in hooks.items():
            setattr(self, name, hookimpl(function))
        for hook, kind in _KINDS.items():
            setattr(self, hook, _hook([component for component in components if issubclass(component, kind)]))

    def load(self) -> _Plugin:
        return self


def _hook(components: list[type[Component]]) -> Any:
    def offered() -> list[type[Component]]:
        return components

    return hookimpl(offered)


def registry_with(
    components: Sequence[type[Component]], hooks: Mapping[str, Any] | None = None, disable: Sequence[str] = ()
) -> Registry:
    """The built-ins, and a plugin `test` with `components` and other hooks, whatever else is installed."""
    return load_plugins(disable, entry_points=[_Plugin(components, hooks or {})] if components or hooks else [])


def read_config(config: dict[str, Any], registry: Registry) -> model.Config:
    """The config as the loader makes it of a file with this content; fails the test if it has errors."""
    loaded = examine_text(json.dumps(config, ensure_ascii=False), registry=registry)
    assert loaded.config is not None, "\n".join(str(problem) for problem in loaded.problems)
    return loaded.config


class RunningGateway:
    """One gateway. `stop` drains it, `crash` ends it as `kill -9` would."""

    def __init__(
        self,
        config: dict[str, Any],
        components: Sequence[type[Component]] = (),
        hooks: Mapping[str, Any] | None = None,
    ) -> None:
        registry = registry_with(components, hooks)
        self.app = Application(read_config(config, registry), registry)
        self._runs = False

    async def start(self) -> None:
        """Start it; its routes are not up yet."""
        self._runs = True
        await self.app.start()

    async def reload(self, config: dict[str, Any], *components: type[Component]) -> dict[str, list[str]]:
        """Go over to another config, on the servers it has if it names none; what was done with the routes."""
        registry = registry_with(components)
        whole = {"nats": {"servers": self.app.config.nats.servers}, "http": "off", "drain": "5s", **config}
        return await self.app.reload(read_config(whole, registry), registry)

    async def up(self, *routes: str, timeout: float = PATIENCE) -> None:
        """Wait until these routes, or all of them, are up."""

        def all_up() -> bool:
            stats = self.app.stats.routes
            states = {name: (stats[name].state, stats[name].reason) for name in routes or stats}
            assert all(state == "up" for state, _ in states.values()), states
            return bool(states)

        await eventually(all_up, timeout, "routes up")

    async def down(self, code: str, route: str = "", timeout: float = PATIENCE) -> RouteStats:
        """Wait until a route is down with this code."""
        stats = self.stats(route)
        await eventually(lambda: stats.state == "down" and stats.code == code, timeout, f"route down with {code}")
        return stats

    def stats(self, route: str = "") -> RouteStats:
        """The numbers of a route; of the only one without a name."""
        routes = self.app.stats.routes
        return routes[route] if route else next(iter(routes.values()))

    def lane(self, route: str = "") -> Lane:
        """The lane of a route, for a look at its window."""
        supervisors = self.app._gateway.supervisors
        return (supervisors[route] if route else next(iter(supervisors.values()))).lane

    async def stop(self) -> None:
        """Drain and close; harmless when it does not run."""
        if self._runs:
            self._runs = False
            await self.app.stop()

    async def crash(self) -> None:
        """End without a word to the server: no ack, no nak, no flush."""
        self._runs = False
        wire = self.app._edge.connection.wire
        wire.sinks.clear()
        wire._out.clear()
        await wire._close(wire.CLOSED, do_cbs=False)
        for supervisor in self.app._gateway.supervisors.values():
            supervisor.lane.window.forget()
        self.app._edge.connection.changed.clear()
        await self.app.stop()
