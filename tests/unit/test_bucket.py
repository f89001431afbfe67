"""The rate of a route: so many events a second, and no burst that would make it another rate."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.runtime.bucket import TokenBucket


class Clock:
    """A clock that is set."""

    now = 50.0

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        raise AssertionError("a rate is about time that passes")


def taken(bucket: TokenBucket, most: int = 10_000) -> int:
    """How many tokens there are now."""
    return next((count for count in range(most) if not bucket.take()), most)


@pytest.mark.parametrize(
    ("rate", "burst"), [(1000.0, 250), (100.0, 25), (8.0, 2), (7.9, 1), (4.0, 1), (1.0, 1), (0.01, 1)]
)
def test_a_full_bucket_holds_a_quarter_second_and_at_least_one(rate: float, burst: int) -> None:
    clock = Clock()
    bucket = TokenBucket(rate, clock)
    assert (bucket.burst, taken(bucket)) == (burst, burst)
    clock.now += 1e6
    assert taken(bucket) == burst, "a quiet night is not saved up"


def test_tokens_come_at_the_rate() -> None:
    clock = Clock()
    bucket = TokenBucket(10.0, clock)
    assert taken(bucket) == 2
    clock.now += 0.0625
    assert taken(bucket) == 0
    clock.now += 0.0625
    assert taken(bucket) == 1
    clock.now += 0.1875
    assert taken(bucket) == 2, "0.25 + 1.875: what is not whole stays"


def test_a_slow_rate_is_kept_too() -> None:
    """One in ten seconds, asked for every tenth of a second: asking costs nothing."""
    clock = Clock()
    bucket = TokenBucket(0.1, clock)
    got = 0
    for _ in range(1000):
        got += bucket.take()
        clock.now += 0.125
    assert got == 13


@given(st.floats(0.1, 5000), st.lists(st.floats(0, 2), max_size=30))
def test_never_more_than_the_burst_and_the_rate_allow(rate: float, waits: list[float]) -> None:
    clock = Clock()
    bucket = TokenBucket(rate, clock)
    got = 0
    for wait in waits:
        clock.now += wait
        got += taken(bucket)
    assert got <= bucket.burst + rate * sum(waits) + 1e-6
