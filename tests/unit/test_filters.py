"""The filters pattern, meta and subject as components; the pattern language has tests of its own."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import components
from gateway.components.filters.meta import Meta
from gateway.components.filters.pattern_filter import Pattern
from gateway.components.filters.subject import SubjectFilter
from gateway.errors import ConfigProblem, PatternError
from gateway.subjects import matches
from gateway.values import Subject
from tests.unit.build import bodies, make, make_event


@pytest.mark.parametrize("kind", components.gateway_filters())
def test_examples_work(kind: Any) -> None:
    """What the docs show is accepted."""
    assert make(kind, kind.example).accepts(make_event({})) in (True, False)
    assert kind.summary.endswith(".")


@given(bodies)
def test_a_pattern_sees_the_same_in_part_as_in_whole(body: Any) -> None:
    """The keys it declares are enough for its verdict."""
    step = make(Pattern, {"a": [{"exists": True}, 5], "b": {"id": [{"exists": False}]}, "a.b": [{"anything-but": "x"}]})
    whole, part = make_event(body, keys=None), make_event(body, keys=step.reads())
    assert step.accepts(whole) is step.accepts(part)
    assert step.explain(whole) == step.explain(part)


def test_a_pattern_explains_itself() -> None:
    """The field at fault, what it is and what was wanted."""
    step = make(Pattern, {"region": ["eu-west-1"]})
    assert step.accepts(make_event({"region": "eu-west-1"}, keys=step.reads()))
    assert step.explain(make_event({"region": "us"}, keys=step.reads())) == 'region is another text, wanted "eu-west-1"'
    assert step.reads() == {"region"}


def test_an_invalid_pattern_names_its_place() -> None:
    """The gateway makes file, line and column of it."""
    with pytest.raises(PatternError) as caught:
        make(Pattern, {"detail": {"a": "x"}})
    assert caught.value.path == ("detail", "a")


@pytest.mark.parametrize(
    ("config", "verdict"),
    [
        ({"$headers.X-Tenant": ["acme"]}, True),
        ({"$headers.x-tenant": ["other"]}, False),
        ({"$subject": [{"prefix": "orders."}], "$headers.X-Tenant": ["acme"]}, True),
        ({"$subject": [{"prefix": "orders."}], "$headers.X-Tenant": ["x"]}, False),
        ({"$subject.1": ["created", "paid"]}, True),
        ({"$headers.Absent": [{"exists": False}]}, True),
        ({"$headers.Absent": [{"exists": True}]}, False),
        ({"$headers.Absent": [{"anything-but": "x"}]}, False),
        ({"$sequence": [{"numeric": [">", 5]}]}, True),
        ({"$source": [{"exists": False}]}, True),
        ({"$type": ["Created"]}, True),
    ],
)
def test_meta_takes_the_matchers_of_pattern(config: dict[str, Any], verdict: bool) -> None:
    """For subject, headers and attributes; every field must hold."""
    step = make(Meta, config)
    event = make_event({"type": "Created"}, headers={"X-Tenant": "acme"})
    assert step.accepts(event) is verdict
    assert step.reads() == frozenset()
    assert verdict or " wanted " in step.explain(event)


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"region": ["eu"]},
        {"$nope": ["x"]},
        {"$or": [{"$id": ["a"]}, {"$id": ["b"]}]},
        {"$id": "x"},
        {"$id": {"a": ["x"]}},
        {"$attempt": [1]},
        {"$deliveries": [1]},
    ],
)
def test_meta_refuses_what_is_no_name_with_a_list(config: dict[str, Any]) -> None:
    """Fields of the body, unknown names, and what changes from one delivery to the next."""
    with pytest.raises(ConfigProblem) as caught:
        make(Meta, config)
    assert caught.value.path == tuple(config)


def test_meta_names_the_field_of_a_bad_matcher() -> None:
    """As `pattern` does."""
    with pytest.raises(PatternError) as caught:
        make(Meta, {"$headers.X": [{"prefixx": "a"}]})
    assert caught.value.path[0] == "$headers.X"


tokens = st.sampled_from(["a", "b", "c.c", "$", "+", "é"])
subjects = st.lists(tokens, min_size=1, max_size=4).map(".".join)
wildcards = st.builds(
    lambda parts, rest: Subject(".".join([*parts, *rest])),
    st.lists(tokens | st.just("*"), min_size=0, max_size=3),
    st.sampled_from([["a"], [">"]]),
)


@given(st.lists(wildcards, min_size=1, max_size=4), subjects)
def test_a_subject_filter_is_any_of_its_wildcards(wanted: list[Subject], subject: str) -> None:
    """The compiled form says what the rules say."""
    step = SubjectFilter(wanted, None)  # type: ignore[arg-type]
    step.prepare()
    assert step.accepts(make_event({}, subject=subject)) is any(matches(each, subject) for each in wanted)


def test_a_subject_filter_needs_a_subject() -> None:
    """An empty list would stop everything silently."""
    with pytest.raises(ConfigProblem):
        make(SubjectFilter, [])
    assert "orders.created" in make(SubjectFilter, ["x"]).explain(make_event({}))
