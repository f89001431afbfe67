"""The soak's judgement: what grows is found, what goes up and down is not."""

from __future__ import annotations

import random

import pytest

from tests.chaos.schedule import Kind
from tests.chaos.soak import EVERY, TOLERANCE, Sample, disturbances, growth, report

FLAT = {"MiB": 80.0, "fds": 20.0, "threads": 5.0, "tasks": 30.0}


def an_hour(**more_per_hour: float) -> list[Sample]:
    """Samples of an hour with noise, a warm-up of 20 MiB, and peaks; and with what grows."""
    rng = random.Random(1)
    samples = []
    for at in range(0, 3600, 5):
        holds = {name: value + rng.uniform(-1, 1) for name, value in FLAT.items()}
        holds["MiB"] += min(20.0, at / 20) + (30.0 if rng.random() < 0.05 else 0.0)
        for name, more in more_per_hour.items():
            holds[name] += more * at / 3600
        samples.append(Sample(at, holds))
    return samples


def test_what_is_flat_is_flat() -> None:
    """A warm-up and peaks are no growth."""
    table, grows = report({"g0": an_hour(), "g1": an_hour()})
    assert grows == []
    assert table.count("| g0 |") == len(TOLERANCE)


@pytest.mark.parametrize("name", TOLERANCE)
def test_what_grows_is_found(name: str) -> None:
    """Twice what may be, spread over an hour; the gateway that does not grow is not named."""
    _, grows = report({"g0": an_hour(), "g1": an_hour(**{name: 2 * TOLERANCE[name]})})
    assert [line.split()[:2] for line in grows] == [["g1:", name]]


def test_the_growth_is_that_of_the_slope() -> None:
    """Over the three quarters that are measured."""
    assert growth(an_hour(tasks=40.0), "tasks") == pytest.approx(30.0, abs=1.5)
    assert growth([Sample(0, FLAT)], "MiB") == 0.0


def test_an_hour_has_hundreds_of_disturbances() -> None:
    """Each kind in its turn, none of them longer than the time to the next."""
    faults = disturbances(3600)
    assert len(faults) == 720
    assert {fault.kind for fault in faults} > {Kind.GATEWAY_RELOAD, Kind.GATEWAY_CUT, Kind.CONSUMER_STEP_DOWN}
    assert all(fault.seconds < EVERY for fault in faults)
