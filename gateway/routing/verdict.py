"""What follows from a fault: wait, hand over, hold, or give up. Pure: the same facts give the same verdict."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from ..config.model import Retry
from ..ports import Answer, AnswerKind

REFUSAL_CONFIRMED_AFTER = 10.0
"""Seconds between the two refusals after which a target's no is believed: a stream being moved, or permissions being
changed, look like a refusal for a moment.
"""
CRASH_LOOP = 100
"""Deliveries without a fault known to this process after which an event is taken to kill its gateway."""
ANSWER_WAIT = 4.0
"""Seconds a publish may stay unanswered. A leader election takes 4 to 9 s, and repeating earlier only adds load."""


class Pause(msgspec.Struct, frozen=True, gc=False):
    """Try again after this many seconds, in the window."""

    seconds: float


class HandOver(msgspec.Struct, frozen=True, gc=False):
    """Give the event back to the server for this many seconds: the pause is longer than ack-wait."""

    seconds: float


class GiveUp(msgspec.Struct, frozen=True, gc=False):
    """The retry policy is used up; `exhausted` says which half of it."""

    exhausted: str


def after_event_fault(
    policy: Retry, tries: int, age: float, asked: float | None, ack_wait: float, chance: float
) -> Pause | HandOver | GiveUp:
    """What follows the `tries`-th failed try of an event whose first failed try was `age` seconds ago.

    `asked` is the pause a component wished for; `chance` in [0, 1) spreads the pauses.
    """
    if tries >= policy.attempts:
        return GiveUp("attempts")
    seconds = backoff(policy, tries, chance) if asked is None else max(0.0, asked)
    if age + seconds > policy.max_age:
        return GiveUp("max-age")
    return HandOver(seconds) if seconds > ack_wait else Pause(seconds)


def backoff(policy: Retry, failures: int, chance: float, longest: float = float("inf")) -> float:
    """The pause after the `failures`-th failure in a row, from 1; jitter spreads it by its share to both sides."""
    growth = policy.factor ** min(failures - 1, 64)
    seconds = min(float(policy.max), longest, float(policy.initial) * growth)
    return float(seconds * (1 + policy.jitter * (2 * chance - 1)))


class Holding(StrEnum):
    """What a target's answer means for the copy."""

    STORED = "stored"
    HOLD_TARGET = "hold-target"
    """The target cannot take anything now: its circuit opens."""
    HOLD_COPY = "hold-copy"
    """This copy cannot be taken now; others of the target may."""
    HOLD_ROUTE = "hold-route"
    """The route is misconfigured or lacks a right: down until it heals, nothing is dead-lettered for it."""
    REFUSED = "refused"
    """This copy can never be stored."""
    IGNORED = "ignored"


TARGET_REFUSALS = frozenset({"no-stream", "no-permission", "wrong-stream", "refused"})
"""Refusals that are the route's fault on a constant subject, and a copy's, once confirmed, on a templated one. What a
stream refuses without a word of ours, sealed or made for counters, it refuses of every event.
"""


def judge(answer: Answer, *, constant: bool, refused_before: float | None, letter: bool = False) -> Holding:
    """What an answer means. `refused_before`: seconds since this copy was first refused, None at the first time.

    `letter`: the copy is a dead letter, which has no other way out: it is refused only when it is too large.
    """
    if answer.kind is AnswerKind.STORED:
        return Holding.STORED
    if answer.kind is AnswerKind.IGNORED:
        return Holding.IGNORED
    if answer.kind is AnswerKind.REFUSED:
        if answer.code not in TARGET_REFUSALS and (not letter or answer.code == "too-large"):
            return Holding.REFUSED
        if constant or letter:
            return Holding.HOLD_ROUTE
        confirmed = refused_before is not None and refused_before >= REFUSAL_CONFIRMED_AFTER
        return Holding.REFUSED if confirmed else Holding.HOLD_COPY
    if answer.code == "subject-full" and not constant and not letter:
        return Holding.HOLD_COPY
    return Holding.HOLD_TARGET


def unanswered(subject: str, takers: list[str] | None, missing: str | None) -> Answer:
    """Why nobody answers for a subject: its streams, None while nobody says; or the named stream that is not there."""
    if takers is None:
        return Answer(AnswerKind.BUSY, code="no-responders", text=f"nobody answers for {subject}")
    if takers:
        return Answer(AnswerKind.BUSY, code="no-leader", text=f"{takers[0]} has no leader")
    if missing is not None:
        return Answer(AnswerKind.REFUSED, code="no-stream", text=f"there is no stream {missing}", of_route=True)
    return Answer(AnswerKind.REFUSED, code="no-stream", text=f"no stream takes {subject}")
