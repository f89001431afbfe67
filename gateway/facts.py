"""What the admin API knows of a running gateway."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from .config import model
from .registry.lookup import PluginHealth
from .routing.route import CompiledRoute
from .runtime.stats import GatewayStats, RouteStats
from .templates import fixed_text
from .web import facts
from .web.health import instant


class GatewayFacts:
    """Reads what the gateway counts and what its routes are made of; changes nothing."""

    def __init__(
        self,
        stats: GatewayStats,
        instance: str,
        version: str,
        routes: Callable[[], Mapping[str, CompiledRoute]],
        config: Callable[[], model.Config],
        plugins: Callable[[], Sequence[PluginHealth]],
        effective: Callable[[], Callable[[], dict[str, Any]]],
        holder: Callable[[str], str | None],
        replicas: Callable[[], Mapping[str, str]],
    ) -> None:
        """The callables give what is true now: a reload changes it.

        `routes` are those that run, `config` also has the others. `holder` of an ordered route is the active instance,
        "" when it cannot be named, None when nobody is known. `replicas` are instances and the configs' digests.
        """
        self._stats = stats
        self._instance = instance
        self._version = version
        self._routes = routes
        self._config = config
        self._plugins = plugins
        self._effective = effective
        self._holder = holder
        self._replicas = replicas
        self._started = time.time()

    def version(self) -> facts.Version:
        """Who answers."""
        stats = self._stats
        return facts.Version(
            name=stats.name,
            instance=self._instance,
            version=self._version,
            python=platform.python_version(),
            config=stats.digest,
            started=instant(self._started),
            reloaded=instant(stats.last_reload_success_time),
            reload_failed=not stats.last_reload_successful,
            connected=stats.connected,
            replicas=[facts.ReplicaFact(instance=who, config=config) for who, config in self._replicas().items()],
        )

    def names(self) -> list[str]:
        """The names of all routes, the disabled ones last."""
        return list(self._stats.routes)

    def route(self, name: str) -> facts.RouteFact | None:
        """One route, whether it runs or not; None when there is none of that name (any more)."""
        stats = self._stats.routes.get(name)
        if stats is None:
            return None
        running = self._routes().get(name)
        # One that a reload has stopped is of the config before, which counts until the reload is done.
        route = running.config if running is not None else self._configured(name)
        return None if route is None else self._told(stats, route, running)

    def plugins(self) -> list[facts.PluginFact]:
        """All plugins that were found."""
        return [
            facts.PluginFact(
                name=plugin.name,
                distribution=plugin.distribution,
                version=plugin.version,
                status=plugin.status,
                reason=plugin.reason,
                components=list(plugin.components),
            )
            for plugin in self._plugins()
        ]

    def config(self) -> tuple[str, Callable[[], dict[str, Any]]]:
        """Digest of the running config, and who shows it."""
        return self._stats.digest, self._effective()

    def _configured(self, name: str) -> model.Route | None:
        return next((route for route in self._config().routes if route.name == name), None)

    def _told(self, stats: RouteStats, route: model.Route, running: CompiledRoute | None) -> facts.RouteFact:
        source = route.source
        role, active = self._turn(route)
        return facts.RouteFact(
            name=stats.route,
            description=route.description,
            state=stats.state,
            code=stats.code,
            reason=stats.reason,
            since=instant(stats.since) if stats.since else None,
            config=running.config_digest if running is not None else self._stats.digest,
            stream=source.stream,
            subjects=[str(subject) for subject in source.subjects],
            durable=source.durable,
            ordering=kind_of(route.ordering),
            role=role,
            active_instance=active,
            steps=list(stats.steps),
            targets=[
                facts.TargetFact(
                    name=target.name,
                    subject=str(target.subject),
                    stream=target.stream,
                    published=stats.published.get(target.name, 0),
                    duplicates=stats.duplicates.get(target.name, 0),
                )
                for target in route.targets
            ],
            audits=list(dict.fromkeys(label for label, _ in stats.audit_records)),
            dead_letter=fixed_text(route.dead_letter.subject, self._stats.name, stats.route, source.stream),
            received=stats.received,
            redeliveries=stats.redeliveries,
            outcomes=facts.Outcomes(**stats.outcomes),
            dead_letters=_some(stats.dead_letters),
            retries=_some(stats.retries),
            in_flight=stats.in_flight,
            parked=stats.parked,
            pending=stats.pending,
            ack_pending=stats.ack_pending,
            circuit_open=stats.circuit_open,
        )

    def _turn(self, route: model.Route) -> tuple[Literal["shared", "active", "standby", "none"], str | None]:
        """The role of this replica, and who is active."""
        if route.ordering == "none":
            return "shared", None
        # Without a connection, the turn may have gone to another replica long ago.
        holder = self._holder(route.name) if self._stats.connected else None
        if holder is None:
            return "none", None
        return "active" if holder == self._instance else "standby", holder or None


def kind_of(ordering: Literal["none", "strict"] | model.KeyOrdering) -> Literal["none", "strict", "key"]:
    """A route's ordering in a word."""
    return "key" if isinstance(ordering, model.KeyOrdering) else ordering


def _some(counts: Mapping[str, int]) -> dict[str, int]:
    return {code: count for code, count in counts.items() if count}
