"""Tell plugins of the gateway's life. One that raises is logged, and the others are told all the same."""

from __future__ import annotations

import logging

import pluggy

from ..lent import GatewayInfo, RouteInfo

log = logging.getLogger("gateway.plugins")


class LifeCycle:
    """Calls the life-cycle hooks of every plugin, each behind a guard."""

    def __init__(self, manager: pluggy.PluginManager) -> None:
        self._manager = manager

    def started(self, info: GatewayInfo) -> None:
        """Every route is up, or down with a reason."""
        self._tell("gateway_started", info)

    def stopping(self, info: GatewayInfo) -> None:
        """The drain is about to begin."""
        self._tell("gateway_stopping", info)

    def route_started(self, route: RouteInfo) -> None:
        """A route begins to pull."""
        self._tell("gateway_route_started", route)

    def route_stopped(self, route: RouteInfo) -> None:
        """A route was drained."""
        self._tell("gateway_route_stopped", route)

    def _tell(self, hook: str, told: GatewayInfo | RouteInfo) -> None:
        # pluggy's own call would end at the first plugin that raises.
        for implementation in getattr(self._manager.hook, hook).get_hookimpls():
            try:
                implementation.function(*[told for _ in implementation.argnames])
            except BaseException:  # a daemon's SIGINT raises nothing: a KeyboardInterrupt is the plugin's own
                log.exception(
                    "plugin %s failed in %s",
                    implementation.plugin_name,
                    hook,
                    extra={"event": "plugin.hook-failed", "plugin": implementation.plugin_name, "hook": hook},
                )
