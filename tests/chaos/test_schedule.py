"""The schedule: the same of one seed, every fault in it, and never more than the servers are meant to bear."""

from __future__ import annotations

import itertools

import pytest

from tests.chaos.run import SCENE, WINDOW
from tests.chaos.schedule import COST_A_NODE, DECK, Fault, Kind, Pace, schedule, schedule_for

SEEDS = range(40)


def test_a_seed_is_a_schedule() -> None:
    """Running it again runs the same, and a longer one begins like a shorter one."""
    assert schedule(5, 60, SCENE) == schedule(5, 60, SCENE)
    assert schedule(5, 60, SCENE)[:20] == schedule(5, 20, SCENE)
    assert schedule(5, 60, SCENE) != schedule(6, 60, SCENE)
    within = schedule_for(5, 120, SCENE)
    assert within == schedule(5, len(within), SCENE)
    assert within[-1].at < 120


@pytest.mark.parametrize("seed", SEEDS)
def test_every_kind_of_fault_is_dealt(seed: int) -> None:
    """However the cards fall, a hand of the deck's size has all of them, and fifty have each twice."""
    assert {fault.kind for fault in schedule(seed, len(DECK), SCENE)} == set(Kind)
    faults = schedule(seed, 50, SCENE)
    assert [fault.number for fault in faults] == list(range(50))
    assert [fault.at for fault in faults] == sorted(fault.at for fault in faults)


@pytest.mark.parametrize("seed", SEEDS)
def test_no_fault_lasts_half_of_the_duplicate_window(seed: int) -> None:
    faults = schedule(seed, 200, SCENE)
    assert max(fault.seconds for fault in faults) <= Pace().longest < WINDOW / 2
    assert any(fault.seconds > Pace().longest / 2 for fault in faults)


@pytest.mark.parametrize("seed", SEEDS)
def test_what_costs_a_node_never_overlaps(seed: int) -> None:
    """Losing the majority is a fault of its own, for a time of its own; between two of them the servers rest."""
    costly = [fault for fault in schedule(seed, 200, SCENE) if fault.kind in COST_A_NODE]
    for one, other in itertools.pairwise(costly):
        assert other.at >= one.end + Pace().rest - 0.02, (one, other)


def test_faults_overlap_and_majorities_are_lost() -> None:
    """It is no exercise where everything waits for everything."""
    faults = schedule(1, 100, SCENE)
    assert sum(other.at < one.end for one, other in itertools.pairwise(faults)) > 10
    assert sum(fault.kind is Kind.QUORUM_LOSS for fault in faults) >= 4


@pytest.mark.parametrize("seed", SEEDS)
def test_one_process_has_one_fault_at_a_time(seed: int) -> None:
    """Nobody starts a gateway that runs, or stops one that is not there."""
    done: dict[str, Fault] = {}
    for fault in schedule(seed, 200, SCENE):
        if fault.kind.startswith("gateway-") and fault.kind is not Kind.GATEWAY_CUT:
            before = done.get(fault.on[0])
            assert before is None or fault.at > before.end, (before, fault)
            done[fault.on[0]] = fault
