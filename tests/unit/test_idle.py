"""What an idle gateway does not do: its timers fall together, and a lane that only waits is left in peace."""

from __future__ import annotations

import subprocess
import sys

import pytest

from gateway import Drop, Event, Retry
from gateway.runtime.lane import REST
from gateway.runtime.ticks import until_tick
from tests.unit.lanes import FakeSource, TestBed
from tests.unit.routes import route_of, transform

NOT_OF_RUN = ("gateway.demo", "gateway.dlq", "gateway.testing", "gateway.jetstream.server", "unittest", "asyncpg")
"""What other commands need, and plugins that are switched off."""
NOT_UNTIL_USED = ("cel_expr_python",)
"""Libraries so large that a plugin loads them with the first route that needs them."""


class Counting(FakeSource):
    """Counts the whole sweeps: each looks after the source."""

    checks = 0

    def check(self, now: float) -> None:
        self.checks += 1


def bed(backlog: int = 0) -> tuple[TestBed, Counting]:
    """A lane that was started, has nothing in flight, and has just been seen to wait only."""
    made = TestBed(route_of(), backlog)
    made.source.__class__ = Counting
    made.start()
    made.run(REST / 2, step=0.1)
    assert isinstance(made.source, Counting)
    return made, made.source


def checks_in(made: TestBed, source: Counting, seconds: float) -> int:
    before = source.checks
    made.run(seconds, step=0.1)
    return source.checks - before


async def test_a_lane_that_only_waits_is_swept_whole_once_a_second() -> None:
    made, source = bed()
    assert checks_in(made, source, 30) <= 30 / REST + 1


async def test_rest_ends_with_an_event() -> None:
    """Its time-outs and pauses are looked at ten times a second, as ever."""
    made, source = bed()
    made.publisher.refuses.update(target.subject.constant or "" for target in made.lane.route.targets)
    source.backlog = 1
    source.hand_out()
    assert made.lane.window.entries
    assert checks_in(made, source, 2) >= 19


async def test_rest_ends_with_a_pull_that_is_gone() -> None:
    """A request that nobody serves any more is made again with the next sweep."""
    made, source = bed()
    pulls, source.wanted = source.pulls, 0
    made.run(0.1, step=0.1)
    assert source.pulls == pulls + 1


@pytest.mark.parametrize("silent", ["unheard", "parked", "paused", "draining"])
async def test_a_lane_with_something_to_tell_does_not_rest(silent: str) -> None:
    made, source = bed()
    if silent == "unheard":
        source.heard = False
    elif silent == "parked":
        made.stats.parked = 1
    elif silent == "draining":
        made.lane.begin_drain()
    else:
        made.lane.pause()
    made.run(REST, step=0.1)  # what rest there was is over
    for _ in range(10):
        assert not made.lane.rests
        made.run(0.1, step=0.1)


async def test_a_lane_that_rests_shows_nothing_in_flight() -> None:
    """Its last event may have ended in the very sweep after which it rests."""
    tries = 0

    def step(event: Event) -> Event | Drop:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise Retry(after=0.2)
        return Drop("seen twice")

    made = TestBed(route_of(transform(step)), 1)
    made.start()
    made.source.hand_out()
    while not made.source.settled:
        made.clock.now += 0.1
        made.lane.sweep()
    assert made.stats.in_flight == 0


@pytest.mark.parametrize("now", [0.0, 12.3, 12.299, 12.3004, 99_999.999, 1e6 + 0.0499])
@pytest.mark.parametrize("period", [0.1, 0.5, 0.01])
def test_timers_of_one_period_end_at_the_same_millisecond_and_never_twice(now: float, period: float) -> None:
    pause = until_tick(now, period)
    assert 0 < pause <= period
    assert round((round(now, 3) + pause) * 1000) % round(period * 1000) == 0
    assert until_tick(now + pause, period) == pytest.approx(period), "not twice for one tick"


def test_run_imports_nothing_that_only_other_commands_or_routes_need() -> None:
    """Each module is time at the start, and memory for as long as the gateway runs."""
    run, loaded = _modules()
    assert not [name for name in run if name.startswith(NOT_OF_RUN)]
    commands = [name for name in run if name.startswith("gateway.cli.")]
    assert sorted(commands) == ["gateway.cli.exits", "gateway.cli.options", "gateway.cli.run"]
    assert "gateway_cel" in loaded
    assert not [name for name in loaded if name.startswith(NOT_UNTIL_USED)]


def _modules() -> tuple[list[str], list[str]]:
    """What is imported to run without plugins, and once every installed one is loaded."""
    load = "import sys, gateway.cli.run; from gateway.registry import load_plugins"
    code = f"{load}; load_plugins(only=[]); print(*sys.modules); load_plugins(); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    run, loaded = done.stdout.splitlines()
    return run.split(), loaded.split()
