"""Whether the gateway is ready, as /readyz tells it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from ..runtime.stats import GatewayStats, RouteState, RouteStats


class RouteHealth(msgspec.Struct, frozen=True, omit_defaults=True):
    """One route."""

    name: str
    """As in the config, in metrics and in logs."""
    state: RouteState
    """Where it is in its life."""
    code: str
    """Why it is not up, or what it waits for; empty when nothing is wrong."""
    reason: str
    """The same for people."""
    since: Annotated[str, Meta(extra_json_schema={"format": "date-time"})] = ""
    """Since when (UTC); left out when nothing is wrong."""


class Health(msgspec.Struct, frozen=True):
    """The body of /readyz."""

    ready: bool
    """What the status code says."""
    state: Literal["ok", "degraded", "down"]
    """ok: connected and every enabled route is up. down: not connected, or none of them is up."""
    routes: list[RouteHealth]
    """Those that were asked for, the disabled ones, which do not count, last."""


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
        ready,
        state,
        [RouteHealth(r.route, r.state, r.code, r.reason, instant(r.since) if r.since else "") for r in routes],
    )


def instant(seconds: float) -> str:
    """A time of the epoch for people: RFC 3339, UTC."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
