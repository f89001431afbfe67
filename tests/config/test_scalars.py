"""Plain scalars mean what the YAML 1.2 core schema says, and nothing else."""

from __future__ import annotations

import math

import pytest

from gateway.config.expand import Expander
from gateway.config.reader import read
from gateway.config.tree import Node, ScalarNode, find
from gateway.problems import Code, Problem


def read_all(text: str) -> tuple[Node | None, list[Problem]]:
    problems: list[Problem] = []
    return read(text, "c.yaml", Expander({}, ""), problems), problems


def tree(text: str) -> Node:
    root, problems = read_all(text)
    assert problems == []
    assert root is not None
    return root


def only_problem(text: str) -> Problem:
    _, problems = read_all(text)
    assert len(problems) == 1, problems
    return problems[0]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no", "no"), ("yes", "yes"), ("on", "on"), ("Off", "Off"), ("y", "y"), ("tRue", "tRue"),
        ("true", True), ("True", True), ("TRUE", True), ("false", False), ("False", False), ("FALSE", False),
        ("~", None), ("null", None), ("Null", None), ("NULL", None), ("", None), ("nULL", "nULL"),
        ("0", 0), ("010", 10), ("+12", 12), ("-3", -3), ("0o17", 15), ("0x1F", 31),
        ("1_000", "1_000"), ("0b11", "0b11"), ("-0x1", "-0x1"), ("0o8", "0o8"), ("1:30", "1:30"), ("\u0661", "\u0661"),
        ("1.", 1.0), (".5", 0.5), ("-1.10", -1.1), ("1e3", 1000.0), ("1.5E-3", 0.0015), ("1e", "1e"), (".", "."),
        (".inf", math.inf), ("+.Inf", math.inf), ("-.INF", -math.inf), ("inf", "inf"), ("nan", "nan"),
        ("2024-01-01", "2024-01-01"), ("2024-01-01T00:00:00Z", "2024-01-01T00:00:00Z"), ("=", "="), ("1.2.3", "1.2.3"),
        ("30s", "30s"), ("512KiB", "512KiB"), ("orders.>", "orders.>"), ("127.0.0.1:4222", "127.0.0.1:4222"),
    ],
)  # fmt: skip
def test_plain_scalars_follow_the_yaml_1_2_core_schema(text: str, value: object) -> None:
    found = find(tree(f"a: {text}"), ["a"])
    assert isinstance(found, ScalarNode)
    assert (found.value, type(found.value), found.text) == (value, type(value), text)
    for quoted in (f"'{text}'", f'"{text}"', f"!!str {text}", f"|-\n  {text}"):
        assert find(tree(f"a: {quoted}"), ["a"]).plain() == text


def test_nan_is_a_number() -> None:
    assert [math.isnan(value) for value in tree("[.nan, .NaN, .NAN]").plain()] == [True] * 3  # type: ignore[union-attr,arg-type]


def test_the_core_tags_are_honoured() -> None:
    root = tree(
        "{a: !!int '5', b: !!float 3, c: !!bool \"true\", d: !!null '', e: !!str no, f: ! 5, g: !!map {}, h: !!seq []}"
    )
    assert root.plain() == {"a": 5, "b": 3.0, "c": True, "d": None, "e": "no", "f": "5", "g": {}, "h": []}
    assert isinstance(find(root, ["b"]).plain(), float)


@pytest.mark.parametrize("text", ["!!int x", "!!int 1.5", "!!float x", "!!bool 1", "!!bool no", "!!null x"])
def test_a_value_its_core_tag_does_not_fit_is_an_error(text: str) -> None:
    problem = only_problem(f"a: {text}")
    assert (problem.code, problem.line, problem.column, problem.path) == (Code.INVALID_VALUE, 1, 4, "a")


@pytest.mark.parametrize("text", ["9" * 5000, "1e999", "-1e999", "0x" + "f" * 5000])
def test_a_number_beyond_all_use_is_an_error_and_not_a_crash(text: str) -> None:
    root, problems = read_all(f"a: {text}\nb: 1\n")
    assert [problem.code for problem in problems] == [Code.INVALID_VALUE]
    assert root is not None
    assert find(root, ["a"]).faulty
    assert find(root, ["b"]).plain() == 1
