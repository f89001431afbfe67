"""Whether the gateway is ready, as /readyz tells it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from ..runtime.stats import GatewayStats, RouteState, RouteStats


class RouteHealth(msgspec.Struct, frozen=True):
    """One route; `code` and `reason` are empty unless something is wrong."""

    name: str
    state: str
    code: str
    reason: str


class Health(msgspec.Struct, frozen=True):
    """The body of /readyz."""

    ready: bool
    state: Literal["ok", "degraded", "down"]
    """ok: connected and every enabled route is up. down: not connected, or none of them is up."""
    routes: list[RouteHealth]


def health(stats: GatewayStats, routes: Sequence[RouteStats], strict: bool = False) -> Health:
    """Judge `routes`, all of them or the one asked for. Disabled routes are shown and do not count.

    Ready is connected with one enabled route up, or none enabled; `strict` wants every enabled route up.
    """
    enabled = [route for route in routes if route.state is not RouteState.DISABLED]
    up = sum(route.up for route in enabled)
    state: Literal["ok", "degraded", "down"]
    if stats.connected and up == len(enabled):
        state = "ok"
    elif stats.connected and up:
        state = "degraded"
    else:
        state = "down"
    ready = state == "ok" or (state == "degraded" and not strict)
    return Health(ready, state, [RouteHealth(r.route, r.state.value, r.code, r.reason) for r in routes])
