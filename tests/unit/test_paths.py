"""Paths: what parses, what they read, and that writing copies only what it must."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import ConfigProblem, EventError
from gateway.missing import MISSING
from gateway.paths import Path, StarPath, cut, path_of, put, walk
from tests.unit.build import bodies, make_event, quoted, steps, values


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("detail", ("detail",)),
        ("detail.data.total", ("detail", "data", "total")),
        ("items.0.sku", ("items", "0", "sku")),
        ('detail."a.b".c', ("detail", "a.b", "c")),
        ('"$x"', ("$x",)),
        ('"say \\"hi\\""', ('say "hi"',)),
        ('""', ("",)),
        ("detail-type", ("detail-type",)),
        ("größe.maß", ("größe", "maß")),
    ],
)
def test_a_path_is_keys_joined_by_dots(text: str, parts: tuple[str, ...]) -> None:
    """Quotes keep a dot, a dollar sign or a quote inside a key."""
    assert Path(text).steps == parts


@pytest.mark.parametrize("text", ["", ".", "a.", ".a", "a..b", '"a', 'a"b"', '"a"b', "a{b", "a|b", '"a".'])
def test_what_is_no_path_is_refused(text: str) -> None:
    """A path that does not parse is a config problem, never a path to somewhere else."""
    with pytest.raises(ConfigProblem):
        Path(text)


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("items[0].sku", "items.0;"),
        ("a.items[02]", "items.2;"),
        ("[0]", "write 0;"),
        ("a[0][1]", "a.0.1;"),
        ("items[*].sku", "items.0;"),
        ("items[]", "items.0;"),
        ("items[-1]", "items.0;"),
        pytest.param(f"items[{'9' * 5000}]", "items.999", id="more digits than an int takes"),
        ("items.*", "items.0;"),
        ("a.**", "items.0;"),
        ("card*", '"card*"'),
    ],
)
def test_what_other_languages_write_for_items_is_refused_unless_it_is_quoted(text: str, hint: str) -> None:
    """As keys they would be absent from every event, and nobody would be told."""
    with pytest.raises(ConfigProblem) as caught:
        Path(text)
    assert hint in caught.value.hint
    assert Path(quoted(text)).steps == (text,)


@pytest.mark.parametrize("text", ["a[b]", "a]", "[", "a[0", "a(0)", "a[0x]"])
def test_brackets_that_hold_no_index_are_part_of_a_key(text: str) -> None:
    assert Path(text).steps == (text,)


@pytest.mark.parametrize(
    ("text", "hint"),
    [("a.**", '"**"'), ("a.card*", '"card*"'), ("items[*].card", "write items.*;"), ("items[0].*", "write items.0;")],
)
def test_only_a_step_is_a_star(text: str, hint: str) -> None:
    """Nothing else that a glob knows: it would redact nothing, for example, and say nothing."""
    with pytest.raises(ConfigProblem) as caught:
        StarPath(text)
    assert hint in caught.value.hint
    assert StarPath('*.b.*."*"').steps == ("*", "b", "*", "*")


@pytest.mark.parametrize(
    "text", ["$", "$nope", "$subject.", "$subject.x", "$subject.-1", "$headers", "$headers.", "$Id"]
)
def test_unknown_dollar_names_are_refused_with_the_known_ones(text: str) -> None:
    """The hint names every `$`-name."""
    with pytest.raises(ConfigProblem) as caught:
        Path(text)
    assert "$correlation-id" in caught.value.hint


@given(st.lists(st.text(), min_size=1, max_size=4))
def test_any_key_can_be_quoted(parts: list[str]) -> None:
    """There is no key a path cannot name."""
    assert Path(quoted(*parts)).steps == tuple(parts)


def test_absent_is_not_null() -> None:
    """Null is a value; what is not there is MISSING."""
    event = make_event({"a": None})
    assert event.get("a", MISSING) is None
    assert event.get("b", MISSING) is MISSING


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("$subject", "orders.eu.created"),
        ("$subject.0", "orders"),
        ("$subject.1+", "eu.created"),
        ("$subject.3", MISSING),
        ("$subject.3+", MISSING),
        ("$headers.X-Tenant", "acme"),
        ("$headers.x-tenant", "acme"),
        ('$headers."X-Tenant"', "acme"),
        ("$headers.Other", MISSING),
        ("$id", "42"),
        ("$type", "Created"),
        ("$source", MISSING),
        ("$time", "2026-01-02T03:04:05Z"),
        ("$correlation-id", "42"),
        ("$gateway", "gateway"),
        ("$route", "orders"),
        ("$stream", "ORDERS"),
        ("$sequence", 7),
        ("$attempt", 1),
        ("$deliveries", 1),
    ],
)
def test_dollar_names_read_around_the_body(text: str, value: object) -> None:
    """Subject, headers, attributes and origin, each by its name."""
    body = {"id": 42, "type": "Created", "time": "2026-01-02T03:04:05Z"}
    event = make_event(body, headers={"X-Tenant": "acme"}, subject="orders.eu.created")
    assert event.get(text, MISSING) == value


@pytest.mark.parametrize("index", ["-1", "00", "01", "3", "x", "99999999999", "٣"])
def test_only_plain_indices_inside_the_list_are_read(index: str) -> None:
    """No negative index, no leading zero, nothing beyond the end."""
    assert walk([1, 2, 3], (index,)) is MISSING


@given(bodies, steps, values)
def test_what_is_put_is_read_back_and_nothing_else_changes(body: Any, place: tuple[str, ...], value: Any) -> None:
    """A put either raises or makes exactly one place different, in a copy."""
    before = copy.deepcopy(body)
    try:
        changed = put(body, place, value)
    except EventError:
        assert body == before
        return
    assert body == before
    assert walk(changed, place) == value
    assert cut(changed, place) == cut(put(body, place, 0), place)


@given(bodies, steps)
def test_what_is_cut_is_gone_and_the_original_stays(body: Any, place: tuple[str, ...]) -> None:
    """Cutting what is not there gives the same object back."""
    before = copy.deepcopy(body)
    shorter = cut(body, place)
    assert body == before
    if walk(before, place) is MISSING:
        assert shorter is body
    else:
        assert shorter != before


def test_branches_not_touched_are_shared() -> None:
    """Only what lies on the way is copied."""
    body = {"a": {"b": 1}, "c": {"d": [1]}}
    changed = put(body, ("a", "b"), 2)
    assert changed["c"] is body["c"]
    assert changed["a"] is not body["a"]


@pytest.mark.parametrize("body", [[1], {"a": 1}, {"a": None}, {"a": "x"}, {"a": [1]}, 5, "x", b"x", None, []])
def test_list_items_and_fields_of_scalars_are_never_made(body: Any) -> None:
    """The error names the place."""
    with pytest.raises(EventError, match=r"cannot set .*has no such place") as caught:
        put(body, ("a", "5"), 1)
    assert caught.value.code == "transform-error"


def test_equal_texts_make_equal_paths() -> None:
    """Paths can be keys of dictionaries."""
    assert {Path("a.b"): 1}[path_of("a.b")] == 1
    assert Path("a") != Path("b")
