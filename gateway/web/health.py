"""Whether the gateway is ready, as /readyz tells it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Literal

import msgspec

from ..runtime.stats import GatewayStats, RouteState, RouteStats


class RouteHealth(msgspec.Struct, frozen=True, omit_defaults=True):
    """One route; `code` and `reason` are empty, and `since` is left out, unless something is wrong."""

    name: str
    state: str
    code: str
    reason: str
    since: str = ""
    """RFC 3339, UTC."""


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
    return Health(
        ready, state, [RouteHealth(r.route, r.state.value, r.code, r.reason, _instant(r.since)) for r in routes]
    )


def _instant(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if seconds else ""
