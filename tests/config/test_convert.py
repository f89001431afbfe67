"""Values become the types their fields want, and every fault is told at the token it stands in."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from enum import Enum
from typing import Annotated, Any, Literal, NamedTuple, TypedDict
from uuid import UUID

import msgspec
import pytest
from msgspec import Meta

from gateway import ConfigProblem, Duration, Path, Rate, Secret, Settings, Size, Subject, Template
from gateway.config import model
from gateway.config.convert import convert
from gateway.config.expand import Expander
from gateway.config.leaves import INVALID
from gateway.config.reader import read
from gateway.problems import Problem

from .samples import marked, said

ENV = {"PW": "hunter2 x", "N": "4711", "EMPTY": ""}


class Color(Enum):
    RED = "red"
    BLUE = "blue"


class Inner(Settings):
    max_size: int
    paths: list[Path] = msgspec.field(default_factory=list)


class Outer(Settings):
    inner: Inner
    others: dict[str, Inner] = msgspec.field(default_factory=dict)
    limit: Annotated[float, Meta(gt=0, lt=10)] = 1.0


class Cat(msgspec.Struct, tag="cat", tag_field="kind"):
    lives: int = 9


class Dog(msgspec.Struct, tag="dog", tag_field="kind"):
    loud: bool = True


class Range(Settings):
    low: int
    high: int

    def __post_init__(self) -> None:
        if self.low > self.high:
            raise ValueError(f"low {self.low} is above high {self.high}")


@dataclasses.dataclass
class Plain:
    a: int
    b: str = "x"


class Typed(TypedDict, total=False):
    a: int


class Pair(NamedTuple):
    a: int
    b: str


class Picky(Settings):
    name: str

    def __post_init__(self) -> None:
        raise ConfigProblem(("name",), f"{self.name} is not my taste")


class Pick(NamedTuple):
    a: Literal["a"]


def _refuse(text: str) -> None:
    raise ConfigProblem((), f"I do not like {text}", f"write something else than {text}")


def converted(text: str, wanted: Any) -> tuple[Any, list[Problem]]:
    problems: list[Problem] = []
    node = read(text, "c.yaml", Expander(ENV, ""), problems)
    assert node is not None
    return convert(node, wanted, (), problems), problems


@pytest.mark.parametrize(
    ("text", "wanted", "value"),
    [
        ("true", bool, True),
        ("3", int, 3),
        ("3", float, 3.0),
        ("3.5", float, 3.5),
        ("'3'", str, "3"),
        ("no", str, "no"),
        ("null", int | None, None),
        ("~", None, None),
        ("x", Any, "x"),
        ("{a: [1, null]}", Any, {"a": [1, None]}),
        ("b", Literal["a", "b"], "b"),
        ("red", Color, Color.RED),
        ("[1, 2]", list[int], [1, 2]),
        ("[1, 2]", Sequence[int], [1, 2]),
        ("[1, x]", tuple[int, str], (1, "x")),
        ("[1, 2, 3]", tuple[int, ...], (1, 2, 3)),
        ("[1, 1]", set[int], {1}),
        ("[1, x]", list, [1, "x"]),
        ("{a: 1}", dict[str, int], {"a": 1}),
        ("{a: 1}", Mapping[str, int], {"a": 1}),
        ("{1: a}", dict[int, str], {1: "a"}),
        ("{a.b: c}", dict[Path, Path], {Path("a.b"): Path("c")}),
        ("5m", Duration, Duration(300)),
        ("1KiB", Size, Size(1024)),
        ("600/m", Rate, Rate(10)),
        ("orders.>", Subject, Subject("orders.>")),
        ("a.b", Path, Path("a.b")),
        ("'{a}-x'", Template, Template("{a}-x")),
        ("geheim", Secret, Secret("geheim")),
        ("${PW}", Secret, Secret("hunter2 x")),
        ("${N}", int, 4711),
        ("${EMPTY}", int | None, None),
        ("{inner: {max-size: 1, paths: [a]}}", Outer, Outer(inner=Inner(max_size=1, paths=[Path("a")]))),
        ("{a: 1}", Plain, Plain(1)),
        ("{a: 1}", Typed, {"a": 1}),
        ("{}", Typed, {}),
        ("{kind: dog, loud: false}", Cat | Dog, Dog(loud=False)),
        ("{kind: cat}", Cat, Cat()),
        ("0.5", float | Inner, 0.5),
        ("{max-size: 2}", float | Inner, Inner(max_size=2)),
        ("5s", Literal["off"] | Duration, Duration(5)),
        ("off", Literal["off"] | Duration, "off"),
        ("2026-01-31T12:00:00Z", datetime, datetime(2026, 1, 31, 12, tzinfo=UTC)),
        ("12345678-1234-5678-1234-567812345678", UUID, UUID("12345678-1234-5678-1234-567812345678")),
        ("[1, x]", Pair, Pair(1, "x")),
    ],
)
def test_a_good_value_becomes_the_type_that_is_wanted(text: str, wanted: Any, value: Any) -> None:
    found, problems = converted(text, wanted)
    assert problems == []
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("text", "wanted", "problems"),
    [
        ("«1", bool, ["expected true or false, found integer (wrong-type)"]),
        ("«true", int, ["expected an integer, found boolean (wrong-type)"]),
        ("«true", float, ["expected a number, found boolean (wrong-type)"]),
        ("«1.0", int, ["expected an integer, found number (wrong-type)"]),
        ("«.inf", float, ["expected a finite number (invalid-value)"]),
        ("«.nan", float, ["expected a finite number (invalid-value)"]),
        ("«" + "9" * 310, float, ["expected a finite number (invalid-value)"]),
        ("«8080", str, ["expected a string, found integer (wrong-type)"]),
        ("«null", str, ["expected a string, found null (wrong-type)"]),
        ("«{a: 1}", str, ["expected a string, found mapping (wrong-type)"]),
        ("«x", list[int], ["expected a list, found string (wrong-type)"]),
        ("«x", Inner, ["expected a mapping, found string (wrong-type)"]),
        ("«x", int | list[int] | None, ["expected an integer or a list, found string (wrong-type)"]),
        ("«x", Literal["a", 1, True], ['"x" is not one of "a", 1, true (invalid-value)']),
        ("«1", Literal[True], ["expected true, found integer (wrong-type)"]),
        ("«1", Literal[True, 2], ["expected one of true, 2, found integer (invalid-value)"]),
        ("{max-size: «x}", Inner | Range, ["max-size: expected an integer"]),
        ("«green", Color, ['"green" is not one of "red", "blue" (invalid-value)']),
        ("[1, «x, «y]", list[int], ["[1]: expected an integer", "[2]: expected an integer"]),
        ("«[1]", tuple[int, str], ["expected 2 items, found 1 (wrong-type)"]),
        ("[«x, «1]", tuple[int, str], ["[0]: expected an integer, found string (wrong-type)", "[1]"]),
        ("«[[1], [2]]", set[list[int]], ["expected items that can be told apart (wrong-type)"]),
        ("{a: «x, b: 1, c: «y}", dict[str, int], ["a: expected an integer", "c: expected an integer"]),
        ("{«x: a}", dict[int, str], ["x: expected an integer, found string (wrong-type)"]),
        ("{«a..b: c}", dict[Path, str], ["\"a..b\": 'a..b' is not a path"]),
        ("«30", Duration, ["expected a duration, found integer (wrong-type)"]),
        ("«5 minutes", Duration, ["expected a duration, got '5 minutes' (invalid-value)"]),
        ("«a..b", Subject, ["'a..b' is no subject: a subject has no empty tokens"]),
        ("«'{a'", Template, ["'{' at character 1 is never closed (invalid-template)"]),
        ("«''", Path, ["a path cannot be empty (invalid-path)"]),
        ("«x", Literal["off"] | Duration, ['expected "off" or a duration, found "x" (invalid-value)']),
        ("«{}", Range, ['the field "low" is missing (missing-field)', 'the field "high" is missing']),
        ("«{low: 2, high: 1}", Range, ["low 2 is above high 1 (invalid-value)"]),
        ("{kind: «bird}", Cat | Dog, ['kind: "bird" is not one of "cat", "dog"']),
        ("«{}", Cat | Dog, ['the field "kind" is missing (missing-field)']),
        ("{kind: cat, lives: «x}", Cat | Dog, ["lives: expected an integer"]),
        ("{kind: «dog}", Cat, ['kind: expected "cat" (invalid-value)']),
        ("{a: «x, «c: 1}", Plain, ["a: expected an integer", "c: unknown field (unknown-field)"]),
        ("{«b: 1}", Typed, ["b: unknown field (unknown-field)"]),
        ("«yesterday", datetime, ["Invalid RFC3339 encoded datetime (wrong-type)"]),
        ("[1, «2]", Pair, ["[1]: Expected str, got int (wrong-type)"]),
        ("«11", Annotated[int, Meta(le=10)], ["must be at most 10, found 11 (invalid-value)"]),
        ("«500ms", Annotated[Duration, Meta(ge=1)], ["must be at least 1s, found 500ms (invalid-value)"]),
        ("«7", Annotated[int, Meta(multiple_of=2)], ["must be a multiple of 2, found 7 (invalid-value)"]),
        ("«[]", Annotated[list[int], Meta(min_length=1)], ["needs at least 1 item, found 0 (invalid-value)"]),
        ("«abc", Annotated[str, Meta(max_length=2)], ["takes at most 2 characters, found 3 (invalid-value)"]),
        ("«Ab", Annotated[str, Meta(pattern="^[a-z]+$")], ['"Ab" does not match ^[a-z]+$ (invalid-value)']),
        ("«Ab", Annotated[str, Meta(pattern="^[a-z]+$", extra={"expected": "a word"})], ['"Ab" is not a word']),
        ('«"a\\n"', Annotated[str, Meta(pattern="^[a-z]+$")], ['"a\\n" does not match ^[a-z]+$ (invalid-value)']),
    ],
)
def test_a_fault_is_reported_at_its_token(text: str, wanted: Any, problems: list[str]) -> None:
    text, places = marked(text)
    value, found = converted(text, wanted)
    assert value is INVALID
    assert len(found) == len(problems), found
    for problem, start in zip(found, problems, strict=True):
        assert said(problem).startswith(start)
    assert {(problem.line, problem.column) for problem in found} == set(places)


def test_a_fault_in_one_field_hides_none_in_another() -> None:
    text, places = marked(
        "«inner:\n  max-size: «x\n  paths: [a, «3, «'$nope']\n«others:\n  a: {max-size: 1, «max_size: 2}\n  b: «{}\n"
        "limit: «10\n«limt: 1\n"
    )
    _, problems = converted(text, Outer)
    assert [said(problem).partition(":")[0] for problem in problems] == [
        "inner.max-size",
        "inner.paths[1]",
        "inner.paths[2]",
        "others.a.max_size",
        "others.b",
        "limit",
        "limt",
    ]
    wanted = [place for place in places if place not in (places[0], places[4])]
    assert [(problem.line, problem.column) for problem in problems] == wanted


@pytest.mark.parametrize(
    ("text", "wanted", "hint"),
    [
        ("{inner: {max-size: 1}, limt: 3}", Outer, 'did you mean "limit"? fields: inner, others, limit'),
        ("{inner: {max_size: 1}}", Outer, 'did you mean "max-size"? fields: max-size, paths'),
        ("{inner: {maxSize: 1}}", Outer, 'did you mean "max-size"? fields: max-size, paths'),
        ("{inner: {max-size: 1}, zzz: 3}", Outer, "fields: inner, others, limit"),
        ("blu", Color, 'did you mean "blue"? choices: blue, red'),
        ("8080", str, 'put it in quotes: "8080"'),
        ("'8080'", int, "take the quotes away: a quoted value is a string"),
        ("a", list[str], "write it as a list: [a]"),
        ("[a]", str, "it takes one value, not a list"),
        ("{a: 1}", list[str], "begin each item with a dash"),
        ("{a}", Template, "a value that begins with a brace stands in quotes"),
        ("null", int, "give it a value, or take the key away"),
        (
            "stict",
            Literal["none", "strict"] | model.KeyOrdering,
            'did you mean "strict"? choices: none, strict, or {key: PATH}',
        ),
        ("old", Literal["all"] | model.StartAt, "choices: all, or {sequence: NUMBER} or {time: TIME}"),
        ("30", Duration | None, "write a number and ms, s, m, h or d: 250ms, 30s, 24h"),
    ],
)
def test_the_hint_says_what_to_write(text: str, wanted: Any, hint: str) -> None:
    _, problems = converted(text, wanted)
    assert hint in [problem.hint for problem in problems]


@pytest.mark.parametrize(
    "wanted",
    [
        int,
        bool,
        Inner,
        list[str],
        Literal["a"],
        Color,
        Duration,
        Duration | Literal["off"],
        Size,
        Subject,
        datetime,
        Pair,
        Annotated[str, Meta(pattern="^x$", max_length=2)],
        Annotated[str, Meta(extra={"check": _refuse})],
    ],
)
@pytest.mark.parametrize("text", ["${PW}", '"${PW} b"'])
def test_what_came_out_of_an_expansion_is_never_printed(text: str, wanted: Any) -> None:
    value, problems = converted(text, wanted)
    assert value is INVALID
    assert problems
    assert "hunter" not in "\n".join(map(str, problems))


def test_not_even_the_length_of_a_secret_is_told() -> None:
    _, problems = converted("${PW}", Annotated[str, Meta(min_length=20)])
    assert [problem.text for problem in problems] == ["needs at least 20 characters"]


def test_a_structure_may_point_at_the_field_it_refuses() -> None:
    text, places = marked("{name: «x}")
    _, problems = converted(text, Picky)
    assert [said(problem) for problem in problems] == ["name: x is not my taste (invalid-value)"]
    assert [(problem.line, problem.column) for problem in problems] == places
    _, problems = converted("name: ${PW}", Picky)
    assert [said(problem) for problem in problems] == ["name: the value is not valid here (invalid-value)"]


def test_a_value_msgspec_would_print_is_not_printed() -> None:
    value, problems = converted('["${PW}"]', Pick)
    assert value is INVALID
    assert [problem.text for problem in problems] == ["the value is not valid here"]
    assert "hunter2 y" in str(converted('["hunter2 y"]', Pick)[1])


def test_a_structure_that_refuses_its_values_prints_none_that_may_be_secret() -> None:
    _, problems = converted("low: ${N}\nhigh: 1", Range)
    assert [problem.text for problem in problems] == ["the value is not valid here"]


@pytest.mark.parametrize("wanted", [Secret, Secret | None, list[Secret], dict[str, Secret]])
def test_a_secret_of_the_wrong_type_is_never_printed(wanted: Any) -> None:
    text = {list[Secret]: "[4711]", dict[str, Secret]: "{a: 4711}"}.get(wanted, "4711")
    _, problems = converted(text, wanted)
    assert "4711" not in "\n".join(map(str, problems))
    assert problems[0].hint == "put it in quotes"


def test_a_type_nobody_can_convert_is_a_problem_and_no_traceback() -> None:
    class Strange:
        pass

    value, problems = converted("x", Strange)
    assert value is INVALID
    assert len(problems) == 1


def test_what_was_reported_by_the_reader_is_not_reported_again() -> None:
    value, problems = converted("{max-size: '${UNSET}', paths: [a]}", Inner)
    assert value is INVALID
    assert [problem.code for problem in problems] == ["expansion"]
