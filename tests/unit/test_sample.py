"""The filter `sample`: the same share at every delivery, by message or by key."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.components.filters.sample import Sample
from gateway.config.loader import examine_text
from gateway.errors import ConfigProblem
from gateway.event import Event
from gateway.problems import Problem
from gateway.registry import load_plugins
from tests.unit.build import make, make_event

EVENTS = 10_000
DRAWN = [1, 8, 11, 15, 16, 17, 18, 22, 25, 28, 33, 38]


def share(config: Any, events: list[Event]) -> float:
    """The share of events that pass."""
    step = make(Sample, config)
    return sum(step.accepts(event) for event in events) / len(events)


@pytest.fixture(scope="module")
def messages() -> list[Event]:
    """So many messages of one stream."""
    return [make_event({}, sequence=sequence) for sequence in range(EVENTS)]


@pytest.fixture(scope="module")
def customers() -> list[Event]:
    """One event each of so many customers."""
    return [make_event({"customer": f"c{number}"}) for number in range(EVENTS)]


@pytest.mark.parametrize("rate", [0.001, 0.01, 0.1, 0.5, 0.9, 0.999])
def test_the_share_that_passes_is_the_rate(rate: float, messages: list[Event], customers: list[Event]) -> None:
    """Within four standard deviations."""
    deviation = (rate * (1 - rate) / EVENTS) ** 0.5
    assert abs(share(rate, messages) - rate) < 4 * deviation
    assert abs(share({"rate": rate, "key": "customer"}, customers) - rate) < 4 * deviation


def test_the_share_has_no_pattern(messages: list[Event]) -> None:
    """Every stretch of the stream and every n-th event are sampled alike."""
    step = make(Sample, 0.1)
    drawn = [step.accepts(event) for event in messages]
    for start in range(0, EVENTS, 2000):
        assert 0.07 < sum(drawn[start : start + 2000]) / 2000 < 0.13
    for every in (2, 3, 10):
        assert 0.08 < sum(drawn[::every]) / len(drawn[::every]) < 0.12


def test_zero_keeps_nothing_and_one_everything(messages: list[Event]) -> None:
    """The ends are exact."""
    assert share(0, messages) == share({"rate": 0.0}, messages) == 0
    assert share(1, messages) == share({"rate": 1.0, "key": "nope"}, messages) == 1


@given(st.integers(1, 2**63), st.floats(0, 1), st.floats(0, 1), st.integers(1, 9), st.integers(1, 9))
def test_every_delivery_has_one_verdict(sequence: int, rate: float, other: float, one: int, two: int) -> None:
    """Whatever process judges it, at whatever delivery; and a larger share keeps what a smaller one keeps."""
    first = make(Sample, rate).accepts(make_event({"a": 1}, sequence=sequence, deliveries=one))
    again = make(Sample, rate).accepts(make_event({"a": 1}, sequence=sequence, deliveries=two))
    assert first is again
    if make(Sample, min(rate, other)).accepts(make_event({}, sequence=sequence)):
        assert make(Sample, max(rate, other)).accepts(make_event({}, sequence=sequence))


def test_the_draw_is_the_same_in_every_version() -> None:
    """A rolling upgrade must not judge a redelivery anew: these verdicts are fixed."""
    step = make(Sample, 0.25)
    assert [n for n in range(40) if step.accepts(make_event({}, sequence=n))] == DRAWN
    keyed = make(Sample, {"rate": 0.25, "key": "c"})
    assert [n for n in range(20) if keyed.accepts(make_event({"c": n}))] == [0, 1, 2, 5, 14, 16]
    assert [n for n in range(20) if keyed.accepts(make_event({"c": f"c{n}"}))] == [1, 5, 6, 9, 10, 12, 15, 16]


@given(st.text() | st.integers() | st.booleans() | st.lists(st.integers()), st.floats(0, 1))
def test_of_a_key_all_events_pass_or_none(value: Any, rate: float) -> None:
    """In whatever message the value stands."""
    step = make(Sample, {"rate": rate, "key": "c"})
    verdicts = {step.accepts(make_event({"c": value, "n": n}, sequence=n, keys=step.reads())) for n in range(5)}
    assert len(verdicts) == 1


@pytest.mark.parametrize("body", [{}, {"c": None}, {"c": {}}])
def test_without_its_key_an_event_is_drawn_by_itself(body: Any) -> None:
    """So that the share stays right, and what has no customer is not all in or all out."""
    events = [make_event(body, sequence=sequence) for sequence in range(1000)]
    assert 0.43 < share({"rate": 0.5, "key": "c.id"}, events) < 0.57


def test_a_sample_reads_no_more_than_its_key() -> None:
    """Of the body nothing without one."""
    assert make(Sample, 0.5).reads() == frozenset()
    assert make(Sample, {"rate": 0.5}).reads() == frozenset()
    assert make(Sample, {"rate": 0.5, "key": "{a.b}{$subject}{c}"}).reads() == {"a", "c"}


def test_a_sample_explains_itself() -> None:
    """By what it drew, without values."""
    assert make(Sample, 0.25).explain(make_event({})) == "drawn by its stream and sequence, outside the share of 0.25"
    keyed = make(Sample, {"rate": 0, "key": "c"})
    assert keyed.explain(make_event({"c": "secret"})) == "drawn by its key, outside the share of 0"
    assert keyed.explain(make_event({})) == "drawn by its stream and sequence, outside the share of 0"


@pytest.mark.parametrize("key", ["", "a..b", "$nope", "$attempt", "{$deliveries}", "{a", "{a|token}", "x{{y}}"])
def test_a_key_must_tell_events_apart(key: str) -> None:
    """And say the same at every delivery."""
    with pytest.raises(ConfigProblem) as caught:
        make(Sample, {"rate": 0.5, "key": key})
    assert caught.value.path == ("key",)


def problems_of(step: str) -> list[Problem]:
    """What the config with this filter is told."""
    text = (
        "routes:\n  - name: r\n    source: {stream: S, subjects: [s.>]}\n    targets: [{subject: t}]\n"
        f"    filters:\n      - sample: {step}\n"
    )
    loaded = examine_text(text, registry=load_plugins(entry_points=[]))
    return list(loaded.problems)


@pytest.mark.parametrize(
    ("step", "column", "path", "text"),
    [
        ("1.5", 17, "", "must be at most 1, found 1.5"),
        ("-0.1", 17, "", "must be at least 0, found -0.1"),
        ("{rate: 2}", 24, ".rate", "must be at most 1, found 2"),
        ("{key: a}", 17, "", 'the field "rate" is missing'),
        ("{rate: 1, keys: a}", 27, ".keys", "unknown field"),
        ("lots", 17, "", "expected a number or a mapping, found string"),
        ("true", 17, "", "expected a number or a mapping, found boolean"),
        ("[0.1]", 17, "", "expected a number or a mapping, found list"),
        (".nan", 17, "", "expected a finite number"),
    ],
)
def test_a_config_error_has_its_place(step: str, column: int, path: str, text: str) -> None:
    """File, line and column of the number, or of the field of the mapping."""
    [problem] = problems_of(step)
    assert (problem.line, problem.column, problem.path) == (6, column, f"routes[0].filters[0].sample{path}")
    assert text in problem.text


def test_a_number_and_a_mapping_are_good_configs() -> None:
    """The short form and the long one."""
    for step in ("0.1", "1", "{rate: 0.1}", "{rate: 1, key: a.b}", "{rate: 0.5, key: '{a}{b}'}"):
        assert problems_of(step) == []
