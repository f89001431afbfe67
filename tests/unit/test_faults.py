"""The state of a route, made of its faults and of what its targets cannot take."""

from __future__ import annotations

import itertools

import pytest

from gateway.runtime.faults import Faults
from gateway.runtime.stats import RouteState, RouteStats


@pytest.fixture
def stats() -> RouteStats:
    return RouteStats("r")


@pytest.fixture
def faults(stats: RouteStats) -> Faults:
    """Of a running route; each question for the time is answered a second later, from 101 on."""
    seconds = itertools.count(101.0)
    faults = Faults(stats, lambda: next(seconds))
    faults.started()
    return faults


def shown(stats: RouteStats) -> tuple[str, str, str, float]:
    return stats.state.value, stats.code, stats.reason, stats.since


def test_two_targets_with_different_faults_are_both_told(stats: RouteStats, faults: Faults) -> None:
    """Whoever mends the first one should not have to come back for the second. The older one gives code and time."""
    faults.hold("target a", "stream-full", "full", first=True)
    faults.hold("target b", "no-leader", "electing", first=True)
    held = "cannot take events now, they are held"
    both = f"target a {held}: full; target b {held}: electing"
    assert shown(stats) == ("up", "stream-full", both, 101.0)
    faults.release("target a", healed=True)
    assert shown(stats) == ("up", "no-leader", f"target b {held}: electing", 102.0)
    faults.release("target b", healed=True)
    assert shown(stats) == ("up", "", "", 0.0)


def test_a_fault_of_the_route_is_told_before_what_targets_cannot_take(stats: RouteStats, faults: Faults) -> None:
    faults.hold("target a", "stream-full", "full", first=True)
    faults.set("target b", "no-stream", "no stream takes b")
    assert shown(stats) == ("down", "no-stream", "no stream takes b", 102.0)
    faults.clear("target b")
    assert stats.state is RouteState.UP
    assert stats.code == "stream-full"


def test_a_new_reason_does_not_change_since_when(stats: RouteStats, faults: Faults) -> None:
    """Nor does a fault that goes over from the route's to the target's."""
    faults.set("target a", "no-stream", "gone")
    faults.set("target a", "no-permission", "denied")
    assert stats.since == 101.0
    faults.hold("target a", "timeout", "no answer", first=False)
    faults.clear("target a")
    assert (stats.code, stats.since) == ("timeout", 101.0)
    faults.release("target a", healed=True)
    faults.set("target a", "no-stream", "gone")
    assert stats.since > 101.0, "a new fault begins anew"


def test_a_route_that_ended_says_nothing_any_more(stats: RouteStats, faults: Faults) -> None:
    faults.set("target a", "no-stream", "gone")
    faults.stopped(RouteState.STOPPED)
    assert shown(stats) == ("stopped", "", "", 0.0)
