"""The hooks a plugin may implement, through pluggy. All run at start or when a route is compiled, none per event."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pluggy

from .plugin import Audit, Codec, Filter, GatewayInfo, RouteInfo, Transform

PROJECT = "gateway"
GROUP = "gateway.plugins"
"""The entry-point group plugins are found under."""

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)

# ---------------------------------------------------------------- components: called once, when plugins are loaded


@hookspec
def gateway_codecs() -> Sequence[type[Codec]]:  # type: ignore[empty-body]
    """Called once, when plugins are loaded. Returns the codec classes of this plugin."""


@hookspec
def gateway_filters() -> Sequence[type[Filter]]:  # type: ignore[empty-body]
    """Called once, when plugins are loaded. Returns the filter classes of this plugin."""


@hookspec
def gateway_transforms() -> Sequence[type[Transform]]:  # type: ignore[empty-body]
    """Called once, when plugins are loaded. Returns the transform classes of this plugin."""


@hookspec
def gateway_audits() -> Sequence[type[Audit]]:  # type: ignore[empty-body]
    """Called once, when plugins are loaded. Returns the audit classes of this plugin."""


@hookspec
def gateway_settings() -> Any:
    """Called once, when plugins are loaded. Returns the type of `plugins.settings.<plugin>`, or None for none."""


# ---------------------------------------------------------------- life cycle: sync, on the event loop, so be quick


@hookspec
def gateway_started(info: GatewayInfo) -> None:
    """Called once per process, when every route is up, or down with a reason. What it raises is logged."""


@hookspec
def gateway_stopping(info: GatewayInfo) -> None:
    """Called once per process, before the drain. What it raises is logged."""


@hookspec
def gateway_route_started(route: RouteInfo) -> None:
    """Called when a route begins to pull for the first time, and again after a reload replaced it."""


@hookspec
def gateway_route_stopped(route: RouteInfo) -> None:
    """Called when a route that had started was drained: at the end, or because a reload changed or removed it."""
