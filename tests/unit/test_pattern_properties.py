"""The content filter against a slow model of its rule, and laws that hold for every pattern and event."""

from __future__ import annotations

import datetime
import itertools
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from gateway.components.filters._pattern_parse import parse
from gateway.components.filters._pattern_text import wildcard
from gateway.components.filters._pattern_walk import Branches
from gateway.components.filters.pattern import compile_pattern, explain, pattern_keys
from gateway.errors import PatternError

# --- the model: flatten the event, try every choice of values -----------------------------------------------------


def branches_of(pattern: dict[str, Any]) -> list[dict[str, list[Any]]]:
    """`$or` multiplied out; paths joined by dots; the last writer wins."""

    def grow(rules: list[dict[str, list[Any]]], value: dict[str, Any], prefix: str) -> list[dict[str, list[Any]]]:
        for key, item in value.items():
            if key == "$or":
                rules = [rule for branch in item for rule in grow([dict(r) for r in rules], branch, prefix)]
            elif isinstance(item, dict):
                rules = grow(rules, item, f"{prefix}{key}.")
            else:
                for rule in rules:
                    rule[prefix + key] = item
        return rules

    return grow([{}], pattern, "")


Occurrence = tuple[Any, dict[tuple[Any, ...], int]]


def flatten(
    value: Any, path: str, place: tuple[Any, ...], chosen: dict[Any, int], into: dict[str, list[Occurrence]]
) -> None:
    """Every scalar by path, with the element it lies in for every list around it but the innermost of scalars."""
    if isinstance(value, dict):
        for key, item in value.items():
            flatten(item, f"{path}.{key}" if place else key, (*place, key), chosen, into)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            inside = {**chosen, place: index} if isinstance(item, (dict, list)) else chosen
            flatten(item, path, (*place, index), inside, into)
    else:
        into.setdefault(path, []).append((value, chosen))


def joined(one: dict[Any, int], other: dict[Any, int]) -> dict[Any, int] | None:
    """Both choices of elements together; None when they differ in a list."""
    if any(other.get(place, index) != index for place, index in one.items()):
        return None
    return {**one, **other}


def model(pattern: dict[str, Any], event: dict[str, Any]) -> bool:
    """The rule by brute force: any choice of a value for each field, or of its absence, judged last."""
    occurrences: dict[str, list[Occurrence]] = {}
    flatten(event, "", (), {}, occurrences)
    return any(branch_holds(branch, occurrences) for branch in branches_of(pattern))


def branch_holds(branch: dict[str, list[Any]], occurrences: dict[str, list[Occurrence]]) -> bool:
    options: list[list[Any]] = []
    for path, items in branch.items():
        here = [chosen for value, chosen in occurrences.get(path, []) if any(accepts(item, value) for item in items)]
        options.append([*here, path] if {"exists": False} in items else here)
    for choice in itertools.product(*options):
        together: dict[Any, int] | None = {}
        for chosen in choice:
            if together is not None and isinstance(chosen, dict):
                together = joined(together, chosen)
        if together is not None and all(
            joined(together, chosen) is None
            for path in choice
            if isinstance(path, str)
            for _value, chosen in occurrences.get(path, [])
        ):
            return True
    return False


def accepts(item: Any, value: Any) -> bool:
    """One matcher and one scalar; only the operators that `patterns` below makes."""
    if not isinstance(item, dict):
        return type(item) is type(value) and item == value
    [(operator, argument)] = item.items()
    if operator == "exists":
        return bool(argument)
    if operator == "prefix":
        return isinstance(value, str) and value[: len(argument)] == argument
    if operator == "numeric":
        return type(value) is int and value > argument[1]
    assert operator == "anything-but"
    return not isinstance(value, str) or value != argument


# --- generators ---------------------------------------------------------------------------------------------------

KEYS = st.sampled_from(["a", "b", "c", "a.b", "b.c", "a.b.c"])
SCALARS = st.sampled_from(["x", "xy", "", 1, 2, True, None])
ITEMS = [
    "x",
    1,
    True,
    None,
    {"prefix": "x"},
    {"numeric": [">", 1]},
    {"anything-but": "x"},
    {"exists": True},
    {"exists": False},
]
LEAVES = st.lists(st.sampled_from(ITEMS), min_size=1, max_size=2)


def objects(children: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.dictionaries(KEYS, children, max_size=4)


EVENTS = objects(
    st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | objects(inner), max_leaves=12),
)


def with_or(fields: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    """Objects that may have a `$or` first or last, for the last writer wins."""
    both = st.tuples(fields, st.none() | st.lists(fields, min_size=2, max_size=3), st.booleans())
    return both.map(
        lambda made: (
            made[0] if made[1] is None else ({"$or": made[1], **made[0]} if made[2] else {**made[0], "$or": made[1]})
        )
    )


PATTERNS = st.recursive(
    st.dictionaries(KEYS, LEAVES, min_size=1, max_size=3),
    lambda inner: with_or(st.dictionaries(KEYS, LEAVES | inner, min_size=1, max_size=3)),
    max_leaves=4,
)
ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.binary()
    | st.just(10**400)
    | st.datetimes().map(lambda moment: moment.replace(tzinfo=datetime.UTC))
    | SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | objects(inner) | st.dictionaries(st.integers() | st.binary(), inner, max_size=2)
    ),
    max_leaves=10,
)


# --- laws ---------------------------------------------------------------------------------------------------------


@settings(max_examples=120, suppress_health_check=[HealthCheck.too_slow])
@given(PATTERNS, EVENTS)
def test_every_verdict_is_the_models(pattern: dict[str, Any], event: dict[str, Any]) -> None:
    """Closures, search and brute force agree."""
    expected = model(pattern, event)
    assert compile_pattern(pattern)(event) is expected
    assert Branches(parse(pattern)).match(event) is expected


def drawn_pattern(random: Random, keys: list[str], depth: int) -> dict[str, Any]:
    """A pattern of up to `depth` levels, one in four with `$or`, which may stand before the fields it replaces."""
    fields: dict[str, Any] = {}
    for key in random.sample(keys, random.choice([1, 2, 2, 3])):
        if depth and random.random() < 0.5:
            fields[key] = drawn_pattern(random, keys, depth - 1)
        else:
            fields[key] = random.sample(ITEMS, random.choice([1, 1, 2]))
    if random.random() > 0.25:
        return fields
    alternatives = [drawn_pattern(random, keys, max(depth - 1, 0)) for _ in range(random.choice([2, 2, 3]))]
    return {"$or": alternatives, **fields} if random.random() < 0.3 else {**fields, "$or": alternatives}


def drawn_value(random: Random, keys: list[str], depth: int) -> Any:
    """A value with more lists than events have, since lists are where matchers go wrong."""
    share = random.random()
    if not depth or share < 0.25:
        return random.choice(["x", "xy", 1, 2, True, None])
    if share < 0.6:
        return [drawn_value(random, keys, depth - 1) for _ in range(random.choice([0, 1, 2, 2, 3]))]
    return {key: drawn_value(random, keys, depth - 1) for key in random.sample(keys, random.choice([0, 1, 2, 2, 3]))}


@pytest.mark.parametrize("keys", [["a", "b", "c"], ["a", "b", "c", "a.b", "b.c", "a.b.c"]], ids=["plain", "dotted"])
@pytest.mark.parametrize("seed", range(4))
def test_drawn_events_get_the_models_verdict(seed: int, keys: list[str]) -> None:
    """The same with many more events, shaped to meet the pattern; nothing shrinks here, but nothing is slow either."""
    random = Random(seed)
    for _ in range(30):
        pattern = drawn_pattern(random, keys, random.choice([0, 1, 2]))
        if len(branches_of(pattern)) > 60:
            continue
        match, search = compile_pattern(pattern), Branches(parse(pattern)).match
        for _ in range(10):
            event = {key: drawn_value(random, keys, random.choice([1, 2, 3, 4])) for key in random.sample(keys, 3)}
            expected = model(pattern, event)
            assert match(event) is expected, (pattern, event)
            assert search(event) is expected, (pattern, event)


@settings(max_examples=60)
@given(PATTERNS, EVENTS)
def test_the_declared_keys_decide(pattern: dict[str, Any], event: dict[str, Any]) -> None:
    """An event reduced to the keys the gateway decodes gets the verdict of the whole event."""
    keys = pattern_keys(pattern)
    reduced = {key: value for key, value in event.items() if key in keys}
    assert compile_pattern(pattern)(reduced) is compile_pattern(pattern)(event)
    assert explain(pattern, reduced) == explain(pattern, event)


@settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow])
@given(PATTERNS, ANYTHING)
@example({"a": [{"numeric": [">", 1]}]}, {"a": 10**400})
@example({"a": {"b": [{"numeric": [">", 1]}]}}, {"a": [{"b": float("nan")}, {"b": -float("inf")}]})
def test_no_value_makes_it_raise(pattern: dict[str, Any], body: Any) -> None:
    """Exactly True or False for whatever a codec or a transform makes; the reason is one line and agrees."""
    verdict = compile_pattern(pattern)(body)
    assert verdict is True or verdict is False
    text = explain(pattern, body)
    assert len(text.splitlines()) == 1
    assert (text == "the pattern matches") is verdict


@settings(max_examples=150)
@given(
    st.recursive(
        st.none() | st.integers() | st.floats() | st.text(max_size=3) | st.binary(max_size=2),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(
                st.sampled_from(["a", "$or", "prefix", "numeric", "anything-but", "exists", "cidr", ">", "wildcard"])
                | st.integers(),
                inner,
                max_size=2,
            )
        ),
        max_leaves=8,
    )
)
def test_any_pattern_compiles_or_is_a_pattern_error(pattern: Any) -> None:
    """No shape of config makes the compiler raise anything else, and the path leads into the pattern."""
    try:
        compile_pattern(pattern)
    except PatternError as error:
        value = pattern
        for step in error.path:
            value = value[step] if isinstance(step, int) else {str(key): item for key, item in value.items()}[step]


@settings(max_examples=400)
@given(st.lists(st.sampled_from(["*", "a", "b", "ab", "\\*", "\\\\"]), max_size=6), st.text("ab*\\", max_size=9))
def test_a_wildcard_is_what_trying_everything_finds(parts: list[str], text: str) -> None:
    """The greedy search against one that tries every length for every star."""
    parts = [part for index, part in enumerate(parts) if part != "*" or parts[index - 1 : index] != ["*"]]

    def tried(rest: list[str], text: str) -> bool:
        if not rest:
            return not text
        if rest[0] == "*":
            return any(tried(rest[1:], text[count:]) for count in range(len(text) + 1))
        plain = rest[0][-1] if rest[0][0] == "\\" else rest[0]
        return text.startswith(plain) and tried(rest[1:], text[len(plain) :])

    assert wildcard("".join(parts))(text) is tried(parts, text)
