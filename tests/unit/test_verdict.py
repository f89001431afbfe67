"""What follows from a fault, as tables."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.model import Retry
from gateway.event import PubAck
from gateway.ports import Answer, AnswerKind
from gateway.routing.verdict import (
    REFUSAL_CONFIRMED_AFTER,
    GiveUp,
    HandOver,
    Holding,
    Pause,
    after_event_fault,
    backoff,
    judge,
)
from gateway.values import Duration


def policy(**more: Any) -> Retry:
    """A retry policy without jitter: 1, 2, 4, 8 ... 60 seconds, five times within an hour."""
    plain = Retry(attempts=5, max_age=Duration(3600), initial=Duration(1), factor=2.0, max=Duration(60), jitter=0.0)
    return msgspec.structs.replace(plain, **more)


FAULTS: list[tuple[dict[str, Any], tuple[int, float, float | None, float], Pause | HandOver | GiveUp]] = [
    # policy, (tries, age, asked for, ack-wait), verdict
    ({}, (1, 0, None, 30), Pause(1)),
    ({}, (2, 1, None, 30), Pause(2)),
    ({}, (4, 7, None, 30), Pause(8)),
    ({}, (5, 15, None, 30), GiveUp("attempts")),
    ({}, (6, 15, None, 30), GiveUp("attempts")),
    ({"attempts": 1}, (1, 0, None, 30), GiveUp("attempts")),
    ({}, (3, 0, None, 4), Pause(4)),
    ({}, (3, 0, None, 3.999), HandOver(4)),
    ({}, (1, 0, 0.0, 30), Pause(0)),
    ({}, (1, 0, -5.0, 30), Pause(0)),
    ({}, (1, 0, 30.0, 30), Pause(30)),
    ({}, (1, 0, 30.1, 30), HandOver(30.1)),
    ({}, (1, 0, 600.0, 30), HandOver(600)),
    ({}, (5, 0, 0.0, 30), GiveUp("attempts")),
    ({}, (1, 3599, None, 30), Pause(1)),
    ({}, (1, 3599.5, None, 30), GiveUp("max-age")),
    ({}, (1, 0, 3600.0, 30), HandOver(3600)),
    ({}, (1, 0, 3601.0, 30), GiveUp("max-age")),
    ({}, (1, 0, float("inf"), 30), GiveUp("max-age")),
    ({}, (5, 9999, None, 30), GiveUp("attempts")),
]


@pytest.mark.parametrize(("more", "facts", "verdict"), FAULTS)
def test_a_failed_try_is_paused_handed_over_or_the_last(
    more: dict[str, Any], facts: tuple[int, float, float | None, float], verdict: Pause | HandOver | GiveUp
) -> None:
    """A component's wish counts instead of the policy's pause, but not beyond attempts and max-age."""
    tries, age, asked, ack_wait = facts
    assert after_event_fault(policy(**more), tries, age, asked, ack_wait, 0.5) == verdict


def test_chance_spreads_the_pause_of_an_event() -> None:
    assert after_event_fault(policy(jitter=0.5), 1, 0, None, 30, 0.0) == Pause(0.5)
    assert after_event_fault(policy(jitter=0.5), 1, 0, 10, 30, 0.0) == Pause(10), "a wish is kept as it is"


def test_a_pause_doubles_up_to_the_longest() -> None:
    """Any number of failures later too: a target may be away for a week."""
    pauses = [backoff(policy(), failures, 0.5) for failures in (1, 2, 3, 4, 5, 6, 7, 8, 100, 10**6)]
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60, 60, 60]
    assert backoff(policy(factor=1000.0), 10**6, 0.5) == 60
    assert backoff(policy(factor=1.0), 10**6, 0.5) == 1
    assert backoff(policy(initial=Duration(90)), 1, 0.5) == 60


times = st.floats(0.001, 1e6)


@given(times, times, st.floats(1, 1000), st.floats(0, 1), st.integers(1, 10**9), st.floats(0, 1, exclude_max=True))
def test_jitter_spreads_by_its_share_to_both_sides(
    initial: float, longest: float, factor: float, jitter: float, failures: int, chance: float
) -> None:
    """Never negative, never more than its share beyond the longest, and never shorter for more failures."""
    spread = policy(initial=Duration(initial), max=Duration(longest), factor=factor, jitter=jitter)
    plain = backoff(msgspec.structs.replace(spread, jitter=0.0), failures, chance)
    pause = backoff(spread, failures, chance)
    assert min(initial, longest) <= plain <= longest
    assert 0 <= plain * (1 - jitter) * 0.999999 <= pause <= plain * (1 + jitter)
    assert backoff(spread, failures + 1, chance) >= pause


@given(st.floats(0, 1, exclude_max=True))
def test_chance_runs_from_one_end_of_the_spread_to_the_other(chance: float) -> None:
    assert backoff(policy(jitter=0.2), 1, chance) == pytest.approx(0.8 + 0.4 * chance)


def refused(code: str) -> Answer:
    """The server's no."""
    return Answer(AnswerKind.REFUSED, code=code)


STORED = Answer(AnswerKind.STORED, PubAck("S", 1))
BUSY = Answer(AnswerKind.BUSY, code="stream-full")
ALONE = Answer(AnswerKind.NO_RESPONDERS, code="no-responders")
LATE = REFUSAL_CONFIRMED_AFTER
SOON = LATE - 0.001

VERDICTS: list[tuple[Answer, bool, float | None, bool, Holding]] = [
    # answer, constant subject, seconds since first refused, dead letter, verdict
    (refused("too-large"), True, None, False, Holding.REFUSED),
    (refused("too-large"), False, None, False, Holding.REFUSED),
    (refused("too-large"), True, None, True, Holding.REFUSED),
    (refused("unsafe-subject"), True, LATE, True, Holding.HOLD_ROUTE),
    *(
        case
        for code in ("no-stream", "no-permission", "wrong-stream", "refused")
        for case in (
            (refused(code), True, None, False, Holding.HOLD_ROUTE),
            (refused(code), True, 1e9, False, Holding.HOLD_ROUTE),
            (refused(code), False, None, False, Holding.HOLD_COPY),
            (refused(code), False, SOON, False, Holding.HOLD_COPY),
            (refused(code), False, LATE, False, Holding.REFUSED),
            (refused(code), False, 1e9, False, Holding.REFUSED),
            (refused(code), False, 1e9, True, Holding.HOLD_ROUTE),
        )
    ),
]


@pytest.mark.parametrize(("answer", "constant", "before", "letter", "verdict"), VERDICTS)
def test_a_refusal_is_the_copy_s_the_route_s_or_not_yet_believed(
    answer: Answer, constant: bool, before: float | None, letter: bool, verdict: Holding
) -> None:
    """A constant subject makes it the route's; a templated one the copy's, once confirmed; a letter has no way out."""
    assert judge(answer, constant=constant, refused_before=before, letter=letter) is verdict


@pytest.mark.parametrize(
    ("constant", "letter", "verdict"),
    [
        (False, False, Holding.HOLD_COPY),
        (True, False, Holding.HOLD_TARGET),
        (False, True, Holding.HOLD_TARGET),
        (True, True, Holding.HOLD_TARGET),
    ],
)
def test_a_full_subject_holds_its_own_copies_and_the_target_only_where_it_has_no_other(
    constant: bool, letter: bool, verdict: Holding
) -> None:
    """However often it was refused before: it is never for good."""
    answer = Answer(AnswerKind.BUSY, code="subject-full")
    assert judge(answer, constant=constant, refused_before=1e9, letter=letter) is verdict


@pytest.mark.parametrize("constant", [False, True])
@pytest.mark.parametrize("before", [None, 1e9])
@pytest.mark.parametrize("letter", [False, True])
@pytest.mark.parametrize(
    ("answer", "verdict"),
    [(STORED, Holding.STORED), (BUSY, Holding.HOLD_TARGET), (ALONE, Holding.HOLD_TARGET),
     (Answer(AnswerKind.IGNORED), Holding.IGNORED)],
    ids=lambda value: value.kind if isinstance(value, Answer) else value,
)  # fmt: skip
def test_what_is_no_refusal_means_the_same_for_every_copy(
    answer: Answer, verdict: Holding, constant: bool, before: float | None, letter: bool
) -> None:
    assert judge(answer, constant=constant, refused_before=before, letter=letter) is verdict
