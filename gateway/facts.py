"""What the admin API knows of a running gateway."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from .registry.lookup import PluginHealth
from .routing.route import CompiledRoute
from .runtime.stats import GatewayStats, RouteStats
from .web import facts


class GatewayFacts:
    """Reads what the gateway counts and what its routes are made of; changes nothing."""

    def __init__(
        self,
        stats: GatewayStats,
        instance: str,
        version: str,
        routes: Callable[[], Mapping[str, CompiledRoute]],
        plugins: Callable[[], Sequence[PluginHealth]],
        config: Callable[[], dict[str, Any]],
    ) -> None:
        """The callables give what is true now: a reload changes it."""
        self._stats = stats
        self._instance = instance
        self._version = version
        self._routes = routes
        self._plugins = plugins
        self._config = config

    def version(self) -> facts.Version:
        """Who answers."""
        return facts.Version(
            name=self._stats.name,
            instance=self._instance,
            version=self._version,
            python=platform.python_version(),
            config=self._stats.digest,
            connected=self._stats.connected,
        )

    def routes(self) -> list[facts.RouteFact]:
        """All routes; disabled ones are the last, and have no more than their name."""
        compiled = self._routes()
        return [_route(stats, compiled.get(name)) for name, stats in self._stats.routes.items()]

    def plugins(self) -> list[facts.PluginFact]:
        """All plugins that were found."""
        return [
            facts.PluginFact(
                name=plugin.name,
                distribution=plugin.distribution,
                version=plugin.version,
                status=str(plugin.status),
                reason=plugin.reason,
                components=list(plugin.components),
            )
            for plugin in self._plugins()
        ]

    def config(self) -> facts.Config:
        """The running config, secrets masked."""
        return facts.Config(digest=self._stats.digest, config=self._config())


def _route(stats: RouteStats, route: CompiledRoute | None) -> facts.RouteFact:
    return facts.RouteFact(
        name=stats.route,
        description=route.config.description if route else "",
        state=str(stats.state),
        code=stats.code,
        reason=stats.reason,
        stream=route.origin.stream if route else "",
        subjects=[str(subject) for subject in route.config.source.subjects] if route else [],
        durable=route.origin.durable if route else "",
        steps=list(stats.steps),
        targets=[
            facts.TargetFact(
                name=target.name,
                subject=str(target.subject),
                stream=target.stream,
                published=stats.published.get(target.name, 0),
                duplicates=stats.duplicates.get(target.name, 0),
            )
            for target in (route.targets if route else ())
        ],
        audits=[audit.label for audit in route.audits] if route else [],
        dead_letter=route.dead_letter if route else "",
        received=stats.received,
        redeliveries=stats.redeliveries,
        outcomes=dict(stats.outcomes),
        dead_letters=_some(stats.dead_letters),
        retries=_some(stats.retries),
        in_flight=stats.in_flight,
        parked=stats.parked,
        pending=stats.pending,
        ack_pending=stats.ack_pending,
        circuit_open=stats.circuit_open,
    )


def _some(counts: Mapping[str, int]) -> dict[str, int]:
    return {code: count for code, count in counts.items() if count}
