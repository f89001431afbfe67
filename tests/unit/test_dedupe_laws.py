"""What holds for the filter `dedupe` in whatever order its events come, end and come again."""

from __future__ import annotations

from collections.abc import Iterator

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from gateway.event import Outcome
from tests.unit.dedupes import NOT_PUBLISHED, PUBLISHED, event, step_of


class Life(RuleBasedStateMachine):
    """Messages of few keys are delivered, tried, redelivered and settled in any order, by processes that crash."""

    def __init__(self) -> None:
        super().__init__()
        self.step = step_of("8s", max_keys=2)
        self.keys: list[str] = []
        self.ever: dict[int, bool] = {}
        """The verdict a message was given last, by whatever process."""
        self.here: dict[int, bool] = {}
        """The verdicts of this process."""
        self.open: set[int] = set()

    def deliver(self, sequence: int, deliveries: int) -> None:
        verdict = self.step.accepts(event(sequence, self.keys[sequence], deliveries))
        if sequence in self.here:
            assert verdict is self.here[sequence], "a verdict changed"
        if self.ever.get(sequence):
            assert verdict, "copies of it may be on their way, and the rest would never be sent"
        self.ever[sequence] = self.here[sequence] = verdict
        self.open.add(sequence)

    @rule(key=st.sampled_from("abc"))
    def new(self, key: str) -> None:
        self.keys.append(key)
        self.deliver(len(self.keys) - 1, 1)

    @rule(data=st.data())
    def again(self, data: st.DataObject) -> None:
        if self.ever:
            self.deliver(data.draw(st.sampled_from(sorted(self.ever))), 2)

    @rule(data=st.data())
    def another_try(self, data: st.DataObject) -> None:
        tried = sorted(self.open & self.here.keys())
        if tried:
            self.deliver(data.draw(st.sampled_from(tried)), 1)

    @rule(data=st.data(), outcome=st.sampled_from([PUBLISHED, *NOT_PUBLISHED]))
    def settle(self, data: st.DataObject, outcome: Outcome) -> None:
        if self.open:
            sequence = data.draw(st.sampled_from(sorted(self.open)))
            self.open.discard(sequence)
            outcome = outcome if self.here[sequence] else Outcome.FILTERED
            self.step.settled(event(sequence, self.keys[sequence]), outcome)

    @rule()
    def crash(self) -> None:
        self.step = step_of("8s", max_keys=2)
        self.here.clear()
        self.open.clear()

    @invariant()
    def memory_is_bounded(self) -> None:
        assert len(self.step._first) <= 2


class TestLife(Life.TestCase):  # type: ignore[name-defined,misc]
    """A message that was let through once is never filtered; within a process no verdict ever changes."""

    settings = settings(max_examples=100, stateful_step_count=30, deadline=None)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 6)), max_size=40))
def test_first_deliveries_are_judged_as_the_window_says(stream: list[tuple[str, int]]) -> None:
    """The plain rule, by a plain loop: filtered within 10 s of the last event with its key that passed."""
    step = step_of("10s")
    passed: dict[str, float] = {}
    for n, (key, at) in enumerate(zip_time(stream)):
        expected = key not in passed or at - passed[key] >= 10
        assert step.accepts(event(n, key, at=at)) is expected
        if expected:
            passed[key] = at
            step.settled(event(n, key, at=at), PUBLISHED)


def zip_time(stream: list[tuple[str, int]]) -> Iterator[tuple[str, float]]:
    """Keys with times, from pauses."""
    at = 0
    for key, pause in stream:
        at += pause
        yield key, float(at)
