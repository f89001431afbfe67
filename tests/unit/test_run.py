"""What a route makes of its steps' answers, exceptions and pauses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import Drop, Event, Filter, Outcome, Reject, Transform
from gateway.routing.run import Failed, Passed, Result, Stopped, Suspended, resume, run
from tests.unit.routes import (
    awaited,
    delivery_of,
    filter_,
    finish,
    opened,
    raises,
    route_of,
    transform,
    went,
)

SECRET = "4111-1111-1111-1111"


def parts_of(event: Event, count: int) -> list[Event]:
    """A split: each part knows its way."""
    return [event.set("at", [*event.body["at"], index]) for index in range(count)]


def ways(result: Result) -> list[list[int]]:
    """The ways of the events that passed, in order."""
    assert isinstance(result, Passed)
    return [event.body["at"] for event in result.events]


def test_an_event_that_every_step_lets_pass_is_one_event() -> None:
    """Filters come first, then transforms, each in the order of the config."""
    seen: list[str] = []

    def noted(name: str, answer: Callable[[Event], Any]) -> Callable[[Event], Any]:
        def call(event: Event) -> Any:
            seen.append(name)
            return answer(event)

        return call

    route = route_of(
        filter_(noted("f0", lambda event: True), "one"),
        filter_(noted("f1", lambda event: True), "two"),
        transform(noted("t0", lambda event: event.set("x", 1)), "three"),
        transform(noted("t1", lambda event: event.set("y", event.get("x") + 1)), "four"),
    )
    result = went(route)
    assert isinstance(result, Passed)
    assert [event.body for event in result.events] == [{"at": [], "x": 1, "y": 2}]
    assert seen == ["f0", "f1", "t0", "t1"]
    labels = "filter-0-one filter-1-two transform-0-three transform-1-four"
    assert " ".join(step.label for step in route.steps) == labels
    assert route.is_sync


def test_a_route_without_steps_passes_the_event_itself() -> None:
    route = route_of()
    event = opened(route, delivery_of(b"{}"))
    assert run(route, event) == Passed([event])


def test_a_filter_that_says_no_ends_the_event_and_can_explain_itself() -> None:
    """Later steps are not asked; what `explain` raises is no fault of the event."""

    class Picky(Filter, name="picky"):
        def accepts(self, event: Event) -> bool:
            return False

        def explain(self, event: Event) -> str:
            return "not today" if event.get("at") == [] else str(event.body["nope"])

    route = route_of(Picky, transform(raises(AssertionError("not reached"))))
    result = went(route)
    assert isinstance(result, Stopped)
    assert (result.outcome, result.step.label) == (Outcome.FILTERED, "filter-0-picky")
    assert result.explain() == "not today"
    other = went(route, b'{"at": 1}')
    assert isinstance(other, Stopped)
    assert other.explain() == "filter-0-picky said no (KeyError while explaining)"


WRONG_FOR_A_FILTER = [None, 1, 0, "yes", "", [], [True], {"ok": SECRET}, 1.0, b"x"]


@pytest.mark.parametrize("answer", WRONG_FOR_A_FILTER, ids=repr)
@pytest.mark.parametrize("waits", [False, True])
def test_a_filter_may_answer_only_true_or_false(answer: Any, waits: bool) -> None:
    """Truth of anything else is not guessed, and the message tells its type only."""

    async def later(event: Event) -> Any:
        return answer

    route = route_of(filter_(later if waits else lambda event: answer))
    assert finish(route, went(route)) == Failed(
        "filter-0-check", "filter-error", f"a filter answers True or False, this one a {type(answer).__name__}"
    )


WRONG_FOR_A_TRANSFORM: list[tuple[Callable[[Event], Any], str]] = [
    (lambda event: None, "a NoneType"),
    (lambda event: [], "an empty list"),
    (lambda event: True, "a bool"),
    (lambda event: SECRET, "a str"),
    (lambda event: {SECRET: 1}, "a dict"),
    (lambda event: (event, event), "a tuple"),
    (lambda event: iter([event]), "a list_iterator"),
    (lambda event: [event, None], "a list"),
    (lambda event: [event, Drop("x")], "a list"),
    (lambda event: [[event]], "a list"),
    (lambda event: [{}], "a list"),
    (lambda event: Event, "a type"),
    (lambda event: Drop, "a type"),
]


@pytest.mark.parametrize(("answer", "what"), WRONG_FOR_A_TRANSFORM)
@pytest.mark.parametrize("blocks", [False, True])
def test_a_transform_may_answer_only_events_or_a_drop(answer: Callable[[Event], Any], what: str, blocks: bool) -> None:
    """None and an empty list are slips, not drops: losing an event takes a word."""
    route = route_of(transform(answer, blocks=blocks))
    assert finish(route, went(route)) == Failed(
        "transform-0-change", "transform-error", f"a transform answers an Event, a list of them or Drop, not {what}"
    )


def test_a_drop_ends_the_event_with_its_reason_on_one_line() -> None:
    result = went(route_of(transform(lambda event: Drop("too\nold")), transform(raises(AssertionError()), "never")))
    assert isinstance(result, Stopped)
    assert (result.outcome, result.step.label) == (Outcome.DROPPED, "transform-0-change")
    assert result.explain() == "too old"


counts = st.lists(st.integers(0, 3), min_size=1, max_size=4)


@given(st.lists(st.tuples(counts, st.sampled_from(["sync", "async", "blocking"])), max_size=4))
def test_splits_keep_their_order_however_they_nest_and_wait(plan: list[tuple[list[int], str]]) -> None:
    """Parts come out in the order of a walk down the tree of splits, whichever step drops (0) or has to wait."""

    def count(index: int, way: list[int]) -> int:
        numbers = plan[index][0]
        return numbers[sum(way) % len(numbers)]

    def step(index: int, kind: str) -> type[Transform]:
        def answer(event: Event) -> Any:
            number = count(index, event.body["at"])
            parts = parts_of(event, number)
            return Drop(f"{index}") if number == 0 else parts[0] if number == 1 else parts

        async def later(event: Event) -> Any:
            return answer(event)

        return transform(later if kind == "async" else answer, f"s{index}", blocks=kind == "blocking")

    def expected(index: int, way: list[int]) -> list[list[int]]:
        if index == len(plan):
            return [way]
        return [end for part in range(count(index, way)) for end in expected(index + 1, [*way, part])]

    route = route_of(*(step(index, kind) for index, (_, kind) in enumerate(plan)))
    result = finish(route, went(route))
    left = expected(0, [])
    if left:
        assert ways(result) == left
    else:
        assert isinstance(result, Stopped)
        assert result.outcome is Outcome.DROPPED


@pytest.mark.parametrize("waits", [False, True])
def test_any_number_of_parts_may_be_dropped_or_split_again(waits: bool) -> None:
    """As many as a split may have, without a deeper stack for each."""

    def split(event: Event) -> list[Event]:
        return parts_of(event, 10_000)

    def again(event: Event) -> Any:
        return Drop("odd") if event.body["at"][-1] % 2 else parts_of(event, 1)

    steps = (transform(split, "many"), transform(again, "again", blocks=waits))
    route = route_of(*steps)
    assert ways(finish(route, went(route))) == [[number, 0] for number in range(0, 10_000, 2)]


def test_a_fault_of_one_part_is_the_fault_of_the_event() -> None:
    """Half an event is never published: the parts before the fault are not either."""

    def second_fails(event: Event) -> Event:
        if event.body["at"] == [1]:
            raise Reject("bad-part", "no")
        return event

    route = route_of(transform(lambda event: parts_of(event, 3), "part"), transform(second_fails))
    assert went(route) == Failed("transform-1-change", "bad-part", "no")


def test_a_suspension_in_the_middle_of_a_split_keeps_what_was_done_and_what_is_left() -> None:
    """The second of three parts waits: the first is not run again, the third not forgotten."""
    asked: list[list[int]] = []

    async def later(event: Event) -> Event | list[Event]:
        asked.append(event.body["at"])
        return parts_of(event, 2) if event.body["at"] == [1] else event

    async def said_yes(event: Event) -> bool:
        return True

    route = route_of(filter_(said_yes), transform(lambda event: parts_of(event, 3), "part"), transform(later))
    assert not route.is_sync
    result = went(route)
    suspended = []
    while isinstance(result, Suspended):
        suspended.append((result.step.label, result.event.body["at"], len(result.done), len(result.todo)))
        result = resume(route, result, awaited(result.awaitable))
    assert suspended == [("filter-0-check", [], 0, 0), ("transform-1-change", [0], 0, 2),
                         ("transform-1-change", [1], 1, 1), ("transform-1-change", [2], 3, 0)]  # fmt: skip
    assert ways(result) == [[0], [1, 0], [1, 1], [2]]
    assert asked == [[0], [1], [2]]


def test_a_step_that_may_wait_suspends_the_run_only_when_it_does() -> None:
    """Known at once: no task, no suspension. Asked: waited for like an async step."""

    async def later(event: Event) -> Any:
        return event.set("late", True)

    async def unsure(event: Event) -> bool:
        return False

    change = transform(lambda event: later(event) if event.get("ask") == "change" else event.set("late", False))
    check = filter_(lambda event: unsure(event) if event.get("ask") == "check" else True)
    change.may_wait = check.may_wait = True
    route = route_of(check, change)
    assert not route.is_sync
    known = went(route, b"{}")
    assert isinstance(known, Passed)
    assert [event.body for event in known.events] == [{"late": False}]
    waits = went(route, b'{"ask": "change"}')
    assert isinstance(waits, Suspended)
    done = resume(route, waits, awaited(waits.awaitable))
    assert isinstance(done, Passed)
    assert [event.body for event in done.events] == [{"ask": "change", "late": True}]
    asked = went(route, b'{"ask": "check"}')
    assert isinstance(asked, Suspended)
    assert isinstance(resume(route, asked, awaited(asked.awaitable)), Stopped)


def test_a_blocking_step_is_not_called_by_the_run() -> None:
    """The runtime calls it, in the component's thread."""
    route = route_of(filter_(raises(AssertionError("not here")), blocks=True))
    result = went(route)
    assert isinstance(result, Suspended)
    assert result.awaitable is None
    assert isinstance(resume(route, result, True), Passed)
    stopped = resume(route, result, False)
    assert isinstance(stopped, Stopped)
    assert stopped.outcome is Outcome.FILTERED


def test_what_a_waited_for_step_answers_is_checked_like_any_answer() -> None:
    async def later(event: Event) -> None: ...

    route = route_of(transform(later))
    result = finish(route, went(route))
    assert isinstance(result, Failed)
    assert result.code == "transform-error"


def test_what_turns_out_malformed_when_a_step_reads_it_is_a_decode_error() -> None:
    """The body is read as far as somebody asks; the fault is the sender's, not the step's."""
    more = 'filters: [{pattern: {a: [1]}}]\ntransforms: [{set: {d: "{c.x}"}}]'
    bad = b'{"a": 1, "c": {"x": "' + SECRET.encode() + b'\xff"}}'
    result = went(route_of(more=more), bad)
    assert isinstance(result, Failed)
    assert (result.step, result.code) == ("decode", "decode-error")
    assert SECRET not in result.message
    assert isinstance(went(route_of(more="filters: [{pattern: {a: [1]}}]"), bad), Passed), "nobody reads c"
