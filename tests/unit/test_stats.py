"""The numbers of a route: a closed set of series, which only grow."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import pytest

from gateway.errors import DecodeError
from gateway.event import Outcome
from gateway.routing.run import Failed
from gateway.runtime.stats import OTHER, REFUSAL_CODES, TARGET_CODES, Buckets, RouteState, RouteStats

SERIES = ("outcomes", "published", "duplicates", "retries", "dead_letters", "step_errors", "audit_records")
STEPS = ("filter-0-pattern", "transform-1-set")


def stats_of(**more: Any) -> RouteStats:
    """The numbers of a route with one of everything."""
    parts = {"targets": ["billing"], "steps": STEPS, "audits": ["audit-0-log"], "codes": ["too-old"]}
    return RouteStats("orders", **{**parts, **more})


def grown(stats: RouteStats) -> dict[str, dict[Any, int]]:
    """The series that are not zero."""
    found: dict[str, Mapping[Any, int]] = {name: getattr(stats, name) for name in SERIES}
    series = {name: {key: count for key, count in each.items() if count} for name, each in found.items()}
    return {name: each for name, each in series.items() if each}


def test_every_series_is_there_from_the_start() -> None:
    """An alert needs the zero, and a series that appears with its first error hides that error from `rate()`."""
    stats = stats_of()
    assert grown(stats) == {}
    assert set(stats.outcomes) == {str(outcome) for outcome in Outcome}
    assert {*TARGET_CODES, *REFUSAL_CODES, "retry", "step-timeout", OTHER} == set(stats.retries)
    assert {"retries-exhausted", "crash-loop", "loop", "decode-error", "too-old", "too-large", OTHER} <= set(
        stats.dead_letters
    )
    assert set(stats.audit_records) == {("audit-0-log", "stored"), ("audit-0-log", "failed")}
    for step, kind in zip(STEPS, ("filter-error", "transform-error"), strict=True):
        codes = {code for known, code in stats.step_errors if known == step}
        assert codes == {kind, "too-old", "retry", "step-timeout", OTHER}


@pytest.mark.parametrize("code", ["", "made-up-by-a-plugin", "4111-1111", "transform-error "])
def test_codes_nobody_declared_are_one_series(code: str) -> None:
    """An event cannot make series without end."""
    stats = stats_of()
    before = {name: set(getattr(stats, name)) for name in SERIES}
    stats.count_retry(code)
    stats.count_dead_letter(code)
    stats.count_step_error("transform-1-set", code)
    stats.count_step_error("publish", code)
    stats.count_step_error(code, code)
    assert {name: set(getattr(stats, name)) for name in SERIES} == before
    assert grown(stats) == {
        "retries": {OTHER: 1},
        "dead_letters": {OTHER: 1},
        "step_errors": {("transform-1-set", OTHER): 1, ("publish", OTHER): 2},
    }


def test_known_codes_are_counted_where_they_belong() -> None:
    stats = stats_of()
    stats.count_retry("timeout")
    stats.count_dead_letter("too-old")
    stats.count_step_error("filter-0-pattern", "too-old")
    stats.count_step_error("filter-0-pattern", "transform-error")
    decode = DecodeError("json: no")
    stats.count_step_error("decode", decode.code)
    assert grown(stats) == {
        "retries": {"timeout": 1},
        "dead_letters": {"too-old": 1},
        "step_errors": {("filter-0-pattern", "too-old"): 1, ("filter-0-pattern", OTHER): 1,
                        ("decode", "decode-error"): 1},
    }  # fmt: skip


def test_a_reloaded_route_goes_on_counting() -> None:
    """Counters never fall; what the new config has not is gone, what it has new begins at zero."""
    before = stats_of()
    before.received, before.received_bytes, before.redeliveries = 10, 1000, 1
    before.published_bytes, before.ignored_answers = 900, 2
    before.outcomes["published"] = 9
    before.published["billing"] = 9
    before.duplicates["billing"] = 1
    before.audit_records["audit-0-log", "stored"] = 4
    before.count_retry("timeout")
    before.count_dead_letter("too-old")
    before.count_step_error("filter-0-pattern", "filter-error")
    before.duration.observe(0.001)
    before.lag.observe(9.0)
    before.state, before.code, before.in_flight, before.parked = RouteState.DOWN, "x", 3, 1
    expected = copy.deepcopy(grown(before))

    after = stats_of(targets=["billing", "new"], steps=STEPS[:1], codes=[])
    after.continue_from(before)
    del expected["dead_letters"]  # too-old is nobody's code any more
    assert grown(after) == expected
    assert after.published == {"billing": 9, "new": 0}
    assert "too-old" not in after.dead_letters
    assert not any(step == STEPS[1] for step, _ in after.step_errors)
    names = ("received", "received_bytes", "redeliveries", "published_bytes", "ignored_answers")
    assert [getattr(after, name) for name in names] == [10, 1000, 1, 900, 2]
    assert (sum(after.duration.counts), sum(after.lag.counts)) == (1, 1)
    assert (after.state, after.code, after.in_flight, after.parked) == (RouteState.STARTING, "", 0, 0)


@pytest.mark.parametrize("state", RouteState)
def test_a_route_is_up_in_one_state_only(state: RouteState) -> None:
    stats = stats_of()
    stats.state = state
    assert stats.up == (state is RouteState.UP)


def test_an_observation_counts_in_the_first_bucket_it_fits() -> None:
    """A bound belongs to its own bucket, as Prometheus has it: at most."""
    buckets = Buckets((1.0, 2.0, 5.0))
    for amount in (0.0, 1.0, 1.5, 2.0, 5.0, 5.1, 1e9):
        buckets.observe(amount)
    assert buckets.counts == [2, 2, 1, 2]
    assert buckets.total == pytest.approx(1e9 + 14.6)


def test_every_fault_of_a_run_is_a_series_of_its_step() -> None:
    """What `run` says of a step is what is counted for it."""
    stats = stats_of()
    for step, code in ((STEPS[0], "filter-error"), (STEPS[1], "transform-error")):
        fault = Failed(step, code, "")
        stats.count_step_error(fault.step, fault.code)
        assert stats.step_errors[step, code] == 1
