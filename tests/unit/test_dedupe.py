"""The filter `dedupe`: one event of a key within a window, and one verdict for every delivery of a message."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from gateway.components.filters import dedupe
from gateway.components.filters.dedupe import Dedupe
from gateway.errors import ConfigProblem
from gateway.event import Outcome
from tests.unit.build import make, make_event
from tests.unit.dedupes import NOT_PUBLISHED, PUBLISHED, event, step_of


def test_the_first_event_with_a_key_passes_and_those_that_follow_do_not() -> None:
    step = step_of()
    assert [step.accepts(event(n, key)) for n, key in enumerate("abacb")] == [True, True, False, True, False]


def test_the_window_begins_with_the_first_and_duplicates_do_not_prolong_it() -> None:
    step = step_of("10s")
    times = [0, 6, 9.999, 10, 15, 19.9, 20]
    verdicts = [step.accepts(event(n, at=at)) for n, at in enumerate(times)]
    assert verdicts == [True, False, False, True, False, False, True]


def test_the_window_is_measured_by_when_events_were_stored() -> None:
    """However fast a backlog is read: these are judged within microseconds of each other."""
    step = step_of("1h")
    assert [step.accepts(event(n, at=n * 3600)) for n in range(5)] == [True] * 5
    assert [step.accepts(event(5 + n, at=4 * 3600 + n)) for n in range(5)] == [False] * 5


@pytest.mark.parametrize("body", [{}, {"k": None}, {"x": 1}, [], 5])
def test_an_event_without_a_key_passes(body: Any) -> None:
    """Absent and null are no key: two events that lack one are not each other's duplicates."""
    step = step_of()
    assert [step.accepts(make_event(body, sequence=n)) for n in range(3)] == [True] * 3


def test_keys_are_equal_when_their_json_is() -> None:
    """5 and "5" differ; the order of an object's fields does not count."""
    step = step_of()
    bodies = [b'{"k":5}', b'{"k":"5"}', b'{"k":{"a":1,"b":2}}', b'{"k":{"b":2,"a":1}}', b'{"k":[5]}', b'{"k":"[5]"}']
    assert [step.accepts(make_event(body, sequence=n)) for n, body in enumerate(bodies)] == [True] * 3 + [False] + [
        True
    ] * 2


def test_the_parts_of_a_template_do_not_run_into_each_other() -> None:
    """Else "1" and "12" would be a duplicate of "11" and "2", and be lost."""
    step = make(Dedupe, {"key": "{a}{b}"})
    bodies = [{"a": "1", "b": "12"}, {"a": "11", "b": "2"}, {"a": "1", "b": "12"}, {"a": "1"}, {"a": "1"}]
    verdicts = [step.accepts(make_event(body, sequence=n)) for n, body in enumerate(bodies)]
    assert verdicts == [True, True, False, True, True]
    assert step.reads() == {"a", "b"}


def test_a_default_stands_in_for_an_absent_part() -> None:
    step = make(Dedupe, {"key": "{a|or:none}"})
    assert [step.accepts(make_event({}, sequence=n)) for n in range(2)] == [True, False]


# ------------------------------------------------------------------------------------- deliveries


@pytest.mark.parametrize("settled", [False, True])
def test_a_message_is_never_its_own_duplicate(settled: bool) -> None:
    """Tried again in this process, delivered again while in flight, or after its acknowledgement got lost."""
    step = step_of()
    assert step.accepts(event(1))
    assert step.accepts(event(1)), "another try"
    if settled:
        step.settled(event(1), PUBLISHED)
    for deliveries in (2, 3):
        assert step.accepts(event(1, deliveries=deliveries))
    assert not step.accepts(event(2))


def test_a_duplicate_stays_filtered_when_it_is_delivered_again() -> None:
    """Its acknowledgement got lost; neither the first one's fate nor time changes the verdict."""
    step = step_of("10s")
    assert step.accepts(event(1))
    assert not step.accepts(event(2))
    step.settled(event(2), Outcome.FILTERED)
    assert not step.accepts(event(2, deliveries=2))
    step.settled(event(1), Outcome.DEAD_LETTERED)
    assert not step.accepts(event(2, deliveries=3))
    assert step.accepts(event(3, at=60))
    assert not step.accepts(event(2, deliveries=4))


def test_after_a_crash_no_redelivered_message_is_filtered() -> None:
    """The process before may have sent a part of its copies: whoever comes first now, both go on."""
    for order in ([1, 2], [2, 1]):
        fresh = step_of()
        assert [fresh.accepts(event(n, deliveries=2)) for n in order] == [True, True]


def test_a_new_message_that_overtakes_a_redelivered_one_does_not_filter_it() -> None:
    """After a crash the backlog goes on before ack-wait brings back what was in flight."""
    fresh = step_of()
    assert fresh.accepts(event(5))
    assert fresh.accepts(event(1, deliveries=2))
    assert not fresh.accepts(event(6))
    assert fresh.accepts(event(5, deliveries=2))
    assert fresh.accepts(event(1, deliveries=3))


def test_of_two_in_flight_only_the_first_passes() -> None:
    """The second does not wait for what becomes of the first: its own acknowledgement cannot be taken back."""
    step = step_of()
    assert step.accepts(event(1))
    assert not step.accepts(event(2))
    step.settled(event(2), Outcome.FILTERED)
    step.settled(event(1), PUBLISHED)
    assert not step.accepts(event(3))


@pytest.mark.parametrize("outcome", NOT_PUBLISHED)
def test_a_key_whose_event_was_not_published_is_free_again(outcome: Outcome) -> None:
    """A sender that sends again after a dead letter gets through."""
    step = step_of()
    assert step.accepts(event(1))
    step.settled(event(1), outcome)
    assert step.accepts(event(2))
    assert not step.accepts(event(3))


@pytest.mark.parametrize("outcome", NOT_PUBLISHED)
def test_what_did_not_have_the_key_does_not_free_it(outcome: Outcome) -> None:
    """Nor does an event that never came here: an earlier filter ended it."""
    step = step_of()
    assert step.accepts(event(1))
    assert not step.accepts(event(2))
    step.settled(event(2), Outcome.FILTERED)
    step.settled(event(9), outcome)
    assert step.accepts(event(0, deliveries=2))
    step.settled(event(0), outcome)
    assert not step.accepts(event(3))


def test_a_published_event_takes_a_key_that_became_free() -> None:
    """The one that had it was dead-lettered, but a redelivered one with the same key was published."""
    step = step_of()
    assert step.accepts(event(5))
    assert step.accepts(event(1, deliveries=2))
    step.settled(event(5), Outcome.DEAD_LETTERED)
    step.settled(event(1), PUBLISHED)
    assert not step.accepts(event(6))


def test_a_stream_made_anew_is_judged_by_time() -> None:
    """Its sequences begin again: an equal one is another message, and the key is still taken."""
    step = step_of("10s")
    assert step.accepts(event(1, at=100))
    step.settled(event(1, at=100), PUBLISHED)
    assert not step.accepts(event(1, at=105))
    assert step.accepts(event(2, at=111))


# ------------------------------------------------------------------------------------- memory


def test_memory_holds_max_keys_and_forgets_the_oldest(caplog: pytest.LogCaptureFixture) -> None:
    """It says so once; the key taken first is the one forgotten, seen again or not."""
    step = step_of("1h", max_keys=3)
    for n, key in enumerate("abca"):
        assert step.accepts(event(n, key)) is (n != 3)
    assert caplog.records == []
    assert step.accepts(event(4, "d"))
    assert step.accepts(event(5, "a")), "forgotten"
    assert step.accepts(event(6, "b")), "forgotten for that"
    assert not step.accepts(event(7, "d"))
    assert [record.__dict__["event"] for record in caplog.records] == ["dedupe.full"]


def test_a_forgotten_key_changes_no_verdict_in_flight() -> None:
    """With far more in flight than keys are remembered, each message keeps its verdict."""
    step = step_of("1h", max_keys=1)
    verdicts = {n: step.accepts(event(n, key)) for n, key in enumerate("aabbaabb")}
    assert list(verdicts.values()) == [True, False] * 4
    for deliveries in (1, 2):
        assert verdicts == {n: step.accepts(event(n, key, deliveries)) for n, key in enumerate("aabbaabb")}


def test_keys_whose_window_is_over_take_no_memory(caplog: pytest.LogCaptureFixture) -> None:
    step = step_of("10s", max_keys=20)
    for n in range(1000):
        assert step.accepts(event(n, f"k{n}"))
        step.settled(event(n, f"k{n}"), PUBLISHED)
        assert len(step._first) <= 10
    assert step._passed == {}
    assert caplog.records == []


def test_large_keys_take_no_more_memory_than_small_ones() -> None:
    step = step_of()
    assert step.accepts(event(1, "x" * 100_000))
    assert not step.accepts(event(2, "x" * 100_000))
    assert {len(key) for memory in (step._first, step._passed.values()) for key in memory} == {16}


def test_what_is_never_settled_here_is_forgotten_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process may have settled it: memory stays bounded all the same."""
    monkeypatch.setattr(dedupe, "VERDICTS", 10)
    step = step_of("1h")
    for n in range(100):
        step.accepts(event(n, n % 50))
    assert (len(step._passed), len(step._filtered)) == (10, 10)


def test_who_has_the_key_passes_even_when_its_verdict_was_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another try after very many other events."""
    monkeypatch.setattr(dedupe, "VERDICTS", 1)
    step = step_of()
    assert step.accepts(event(1))
    assert step.accepts(event(2, "b"))
    assert step.accepts(event(1))
    assert not step.accepts(event(3))


def test_it_explains_itself_without_values() -> None:
    """The message that has the key is named, not the key."""
    step = step_of()
    step.accepts(event(1, "secret"))
    assert step.explain(event(2, "secret")) == "its key was taken by ORDERS:1"
    assert step.explain(event(2, "other")) == "its key was taken when it came first"


@pytest.mark.parametrize("key", ["", "$deliveries", "x.{$attempt}", "{", "constant{{}}"])
def test_a_config_that_makes_no_sense_names_its_place(key: str) -> None:
    with pytest.raises(ConfigProblem) as caught:
        make(Dedupe, {"key": key})
    assert caught.value.path == ("key",)


def test_window_and_memory_have_limits() -> None:
    """The config layer reports these at the field."""
    for config in ({"key": "k", "max-keys": 0}, {"window": "1s"}, {"key": "k", "maxkeys": 1}):
        with pytest.raises(msgspec.ValidationError):
            make(Dedupe, config)
    with pytest.raises(ConfigProblem) as caught:
        make(Dedupe, {"key": "k", "window": "0s"})
    assert caught.value.path == ("window",)
