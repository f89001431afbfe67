"""A target that is away for hours: nothing grows, nothing is redelivered, and all goes when it is back."""

from __future__ import annotations

import asyncio

import pytest

from gateway.ports import Backlog
from gateway.runtime.circuit import PROBE_WITHIN
from tests.unit.lanes import TestBed
from tests.unit.routes import route_of

HOUR = 3600.0
EVENTS = 12
TARGETS = "[{subject: full.x, name: full}, {subject: other.x, name: other}]"


def bed(more: str = "") -> TestBed:
    """A lane with room for five events in front of twelve, one of whose targets is full."""
    made = TestBed(route_of(targets=TARGETS, more=f"max-in-flight: 5\n{more}"), EVENTS)
    made.publisher.refuses.add("full.x")
    made.start()
    return made


def state_of(bed: TestBed) -> dict[str, int]:
    """The size of everything a lane keeps."""
    sender, window = bed.lane._sender, bed.lane.window
    copies = [copy for entry in window.entries.values() for copy in entry.copies]
    return {
        "entries": len(window.entries),
        "bytes": window.size,
        "history": len(window.history),
        "stored": len(window.stored),
        "pending": len(sender._pending),
        "held": len(sender.circuits["full"].held),
        "tokens": sum(len(copy.tokens) for copy in copies),
        "waiting": len(bed.lane._waiting),
        "tasks": len(asyncio.all_tasks()),
        "wanted": bed.source.wanted,
    }


@pytest.mark.fault("target-held-for-hours")
async def test_six_hours_of_a_full_target_change_nothing_but_the_count_of_probes() -> None:
    """max-age is a day. One probe in five seconds; the other target got each event once, in the first minute."""
    held = bed()
    held.run(60)
    before, pulls, sent = state_of(held), held.source.pulls, dict(held.publisher.sent)
    assert before["entries"] == before["held"] == 5
    assert sent["other.x"] == 5
    held.run(6 * HOUR, step=2)
    assert state_of(held) == before
    assert held.source.pulls == pulls, "nothing is pulled"
    assert held.publisher.sent["other.x"] == 5
    probes = held.publisher.sent["full.x"] - sent["full.x"]
    assert 6 * HOUR / PROBE_WITHIN * 0.7 < probes < 6 * HOUR / PROBE_WITHIN * 1.3
    assert (held.source.settled, held.source.returned) == ([], [])
    assert held.stats.circuit_open
    assert (held.stats.state, held.stats.code) == ("up", "stream-full")

    held.publisher.refuses.clear()
    held.run(PROBE_WITHIN * 1.2 + 3)  # the probe, its answer, a pull, and what it brings
    assert len(held.source.settled) == EVENTS, "what was held, and what waited in the source"
    assert held.publisher.sent["other.x"] == EVENTS
    assert not held.stats.circuit_open
    assert held.stats.code == ""


async def test_what_is_remembered_of_events_that_came_to_a_replica_instead_does_not_stay() -> None:
    """It would cost memory, and a look for every event. After a set back the consumer has still all to give."""
    held = bed()
    held.run(10)
    held.lane.disconnected_for(HOUR)
    assert state_of(held)["stored"] == 5
    held.lane.looked(Backlog(EVENTS, 0))
    assert state_of(held)["stored"] == 5
    held.lane.looked(Backlog(0, 0))
    assert state_of(held)["stored"] == 0


@pytest.mark.fault("target-full")
async def test_nothing_is_pulled_while_a_target_is_down_though_the_window_has_room() -> None:
    """The request that stands may still bring what it asked for; when it ends, none follows until a PubAck."""
    held = bed()
    held.source.backlog = 0
    held.run(5)
    held.source.backlog = 2
    held.run(5)
    assert held.stats.circuit_open
    held.source.wanted = held.source.pulls = 0
    held.lane.pull_ended()
    held.source.backlog = 10
    held.run(60)
    assert (held.source.pulls, len(held.lane.window.entries)) == (0, 2)
    held.publisher.refuses.clear()
    held.run(PROBE_WITHIN * 1.2 + 3)  # the probe, its answer, a pull, and what it brings
    assert len(held.source.settled) == 12


@pytest.mark.fault("target-held-for-hours")
async def test_what_is_held_is_told_as_in_progress_from_half_of_ack_wait_on() -> None:
    """Each event once in fifteen seconds, from the fifteenth on: so that no peer is given it."""
    held = bed()
    held.run(14)
    assert held.source.in_progress == []
    held.run(2)
    assert sorted(held.source.in_progress) == sorted(str(n) for n in range(1, 6))
    held.run(HOUR)
    each = [held.source.in_progress.count(str(n)) for n in range(1, 6)]
    assert min(each) >= HOUR / 15 * 0.9


@pytest.mark.fault("target-max-age")
async def test_after_max_age_what_is_held_goes_to_the_dead_letters_and_others_are_tried() -> None:
    """A day of it: five letters, then the next five events have their day."""
    held = bed()
    held.run(23 * HOUR, step=5)
    assert held.stats.outcomes["dead_lettered"] == 0
    held.run(2 * HOUR, step=5)
    assert held.stats.outcomes["dead_lettered"] == 5
    assert held.stats.dead_letters["retries-exhausted"] == 5
    assert len(held.lane.window.entries) == 5
    assert held.publisher.sent["other.x"] == 10


@pytest.mark.fault("stale-answer")
async def test_an_answer_to_what_was_forgotten_settles_nothing() -> None:
    """It comes after a gap, when the event was given away and is delivered anew: that one is sent, and waited for."""
    late = TestBed(route_of(), 1)
    late.start()
    late.source.hand_out()
    [(token, _)] = stale = late.publisher.unanswered
    late.publisher.unanswered = []
    late.lane.pause()
    late.lane.disconnected_for(31)
    late.start()
    late.source.backlog, late.source.sequence, late.source.wanted = 1, 0, 1
    late.source.hand_out()
    [(again, _)] = late.publisher.unanswered
    assert again != token
    late.publisher.unanswered, answered = stale, late.publisher.unanswered
    late.publisher.answer()
    assert late.source.settled == []
    assert late.stats.ignored_answers == 1
    late.publisher.unanswered = answered
    late.publisher.answer()
    assert late.source.settled == ["1"]


async def test_a_drain_waits_for_nothing_that_was_forgotten() -> None:
    """The connection was away for longer than ack-wait in the middle of it: the server has given all of it away."""
    held = bed()
    held.run(2)
    held.lane.begin_drain()
    assert held.lane.window.entries
    assert not held.lane.empty.is_set()
    held.lane.disconnected_for(31)
    assert not held.lane.window.entries
    assert held.lane.empty.is_set()
