"""Who is active in an ordered route, as the API tells it."""

from __future__ import annotations

import pytest

from gateway.facts import GatewayFacts
from gateway.runtime.stats import GatewayStats, RouteStats
from tests.support.running import read_config, registry_with

ROUTE = {
    "name": "r",
    "ordering": "strict",
    "source": {"stream": "IN", "subjects": ["in"]},
    "targets": [{"subject": "out"}],
}


@pytest.mark.parametrize(
    ("connected", "holder", "role", "active"),
    [
        (True, "me", "active", "me"),
        (True, "another", "standby", "another"),
        (True, "", "standby", None),
        (True, None, "none", None),
        (False, "me", "none", None),
    ],
)
def test_the_role_is_who_holds_the_route_as_long_as_that_can_be_known(
    connected: bool, holder: str | None, role: str, active: str | None
) -> None:
    """Without a connection another replica may have taken over long ago."""
    config = read_config({"routes": [ROUTE]}, registry_with([]))
    stats = GatewayStats("test", "digest")
    stats.connected = connected
    stats.routes["r"] = RouteStats("r")
    known = GatewayFacts(stats, "me", "0", dict, lambda: config, tuple, lambda: dict, lambda route: holder, dict)
    told = known.route("r")
    assert told is not None
    assert (told.role, told.active_instance) == (role, active)
