"""Invalid patterns are refused, at the place of the fault and in words that help."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.components.filters._pattern_show import show
from gateway.components.filters.pattern import compile_pattern, explain, pattern_keys
from gateway.errors import PatternError

Place = tuple[str | int, ...]


def many(count: int, make: Any) -> dict[str, Any]:
    """An object of `count` fields."""
    return {f"k{index}": make(index) for index in range(count)}


def nested(count: int) -> dict[str, Any]:
    """A field `count` levels down."""
    value: dict[str, Any] = {"k": [1]}
    for _ in range(count - 1):
        value = {"k": value}
    return value


FIELD = ("a", 0)
TABLE: list[tuple[Any, Place, str]] = [
    # shape
    ([], (), "a pattern is an object, not []"),
    ("x", (), 'a pattern is an object, not "x"'),
    (None, (), "a pattern is an object, not null"),
    ({}, (), "an empty object names no field"),
    ({"a": {}}, ("a",), "an empty object names no field"),
    ({"a": {"b": {}}}, ("a", "b"), "an empty object names no field"),
    ({"a": []}, ("a",), "an empty list matches nothing"),
    ({"a": "x"}, ("a",), 'a field takes a list of accepted values or an object, not "x"'),
    ({"a": 1}, ("a",), "a field takes a list of accepted values or an object, not 1"),
    ({"a": None}, ("a",), "a field takes a list of accepted values or an object, not null"),
    ({"a": True}, ("a",), "a field takes a list of accepted values or an object, not true"),
    ({"a": [["x"]]}, FIELD, "a list in the list of matchers"),
    ({"a": [{}]}, FIELD, "an empty object is no matcher"),
    ({"a": [b"x"]}, FIELD, "a bytes is no matcher"),
    ({"a": [float("nan")]}, FIELD, "nan is no matcher"),
    ({"a": [1, float("inf")]}, ("a", 1), "inf is no matcher"),
    ({5: [1]}, ("5",), "the key 5 is not a string"),
    ({"a": {None: [1]}}, ("a", "None"), "the key null is not a string"),
    # operators
    ({"a": [{"prefx": "x"}]}, (*FIELD, "prefx"), 'unknown operator "prefx"'),
    ({"a": [{"Prefix": "x"}]}, (*FIELD, "Prefix"), 'unknown operator "Prefix"'),
    ({"a": [{1: "x"}]}, (*FIELD, "1"), "unknown operator 1"),
    ({"a": ["x", {"prefix": "x", "suffix": "y"}]}, ("a", 1, "suffix"), "a second operator in one object"),
    ({"a": {"prefix": "x"}}, ("a", "prefix"), 'a field takes a list of accepted values or an object, not "x"'),
    *(
        ({"a": [{operator: wrong}]}, (*FIELD, operator), f"{operator} takes a string, not ")
        for operator in ("prefix", "suffix", "equals-ignore-case", "wildcard", "exactly", "cidr")
        for wrong in (5, None, True, ["x"], [])
    ),
    (
        {"a": [{"equals-ignore-case": {"prefix": "x"}}]},
        (*FIELD, "equals-ignore-case"),
        "equals-ignore-case takes a string",
    ),
    ({"a": [{"wildcard": {}}]}, (*FIELD, "wildcard"), "wildcard takes a string"),
    *(
        ({"a": [{side: argument}]}, (*FIELD, side, *rest), text)
        for side in ("prefix", "suffix")
        for argument, rest, text in (
            ({}, (), "an empty object is no matcher"),
            ({"wildcard": "x"}, ("wildcard",), 'unknown operator "wildcard"'),
            ({"equals-ignore-case": 5}, ("equals-ignore-case",), "equals-ignore-case takes a string, not 5"),
            ({"equals-ignore-case": ["x"]}, ("equals-ignore-case",), 'equals-ignore-case takes a string, not ["x"]'),
        )
    ),
    ({"a": [{"wildcard": "a**b"}]}, (*FIELD, "wildcard"), '"a**b" has two wildcards in a row at character 2'),
    ({"a": [{"wildcard": "***"}]}, (*FIELD, "wildcard"), "two wildcards in a row"),
    ({"a": [{"wildcard": "a\\xb"}]}, (*FIELD, "wildcard"), "a backslash at character 2 that escapes neither"),
    ({"a": [{"wildcard": "ab\\"}]}, (*FIELD, "wildcard"), "a backslash at character 3 that escapes neither"),
    ({"a": [{"exists": "yes"}]}, (*FIELD, "exists"), 'exists takes true or false, not "yes"'),
    ({"a": [{"exists": 1}]}, (*FIELD, "exists"), "exists takes true or false, not 1"),
    ({"a": [{"exists": None}]}, (*FIELD, "exists"), "exists takes true or false, not null"),
    ({"a": {"exists": True}}, ("a", "exists"), "a field takes a list of accepted values or an object, not true"),
    # cidr
    ({"a": [{"cidr": "10.0.0.0"}]}, (*FIELD, "cidr"), '"10.0.0.0" has no mask'),
    ({"a": [{"cidr": "10.0.0.0/33"}]}, (*FIELD, "cidr"), "a mask that is not a number from 0 to 32, as IPv4 needs"),
    ({"a": [{"cidr": "::/129"}]}, (*FIELD, "cidr"), "a mask that is not a number from 0 to 128, as IPv6 needs"),
    *(
        ({"a": [{"cidr": f"10.0.0.0/{mask}"}]}, (*FIELD, "cidr"), "a mask that is not a number")
        for mask in ("", "-1", "x", "8/8", "255.0.0.0", " 8", "٨", "00000008")
    ),
    *(
        ({"a": [{"cidr": f"{address}/8"}]}, (*FIELD, "cidr"), "has no IPv4 or IPv6 address")
        for address in ("", "x", "10.0.0", "10.0.0.256", "1.2.3.4.5", "::ffff:10.0.0.1", "fe80::1%eth0", ":::", "host")
    ),
    # numeric
    *(
        ({"a": [{"numeric": wrong}]}, (*FIELD, "numeric"), "numeric takes a list of one or two comparisons, not ")
        for wrong in (5, "=5", None, [], ["="], ["=", 5, "<"], [">", 1, "<", 2, "<"], {"=": 5})
    ),
    ({"a": [{"numeric": ["==", 5]}]}, (*FIELD, "numeric", 0), '"==" cannot stand here, only = < <= > >='),
    ({"a": [{"numeric": [5, "="]}]}, (*FIELD, "numeric", 0), "5 cannot stand here"),
    ({"a": [{"numeric": ["<", 5, ">", 1]}]}, (*FIELD, "numeric", 0), '"<" cannot stand here, only > >='),
    ({"a": [{"numeric": ["=", 5, "<", 9]}]}, (*FIELD, "numeric", 0), '"=" cannot stand here'),
    ({"a": [{"numeric": [">", 5, ">", 9]}]}, (*FIELD, "numeric", 2), '">" cannot stand here, only < <='),
    ({"a": [{"numeric": [">", 5, [], 9]}]}, (*FIELD, "numeric", 2), "[] cannot stand here"),
    ({"a": [{"numeric": [">", "5"]}]}, (*FIELD, "numeric", 1), '"5" is not a number'),
    ({"a": [{"numeric": [">", True]}]}, (*FIELD, "numeric", 1), "true is not a number"),
    ({"a": [{"numeric": [">", 1, "<", None]}]}, (*FIELD, "numeric", 3), "null is not a number"),
    *(
        ({"a": [{"numeric": bounds}]}, (*FIELD, "numeric", 3), "the upper bound ")
        for bounds in ([">", 5, "<", 5], [">=", 5, "<=", 5.0], [">", 9, "<", 5], [">", -0.0, "<=", 0])
    ),
    *(
        (
            {"detail": {"state": [{"numeric": ["=", number]}]}},
            ("detail", "state", 0, "numeric", 1),
            "cannot be compared",
        )
        for number in (9007199254740993, 10**400, -(10**400), float("inf"), float("nan"), 10**23 + 1)
    ),
    ({"a": [{"numeric": [">", 1, "<", 9007199254740993]}]}, (*FIELD, "numeric", 3), "cannot be compared"),
    # anything-but
    ({"a": [{"anything-but": []}]}, (*FIELD, "anything-but"), "the list of anything-but is empty"),
    ({"a": [{"anything-but": None}]}, (*FIELD, "anything-but"), "anything-but cannot exclude null"),
    ({"a": [{"anything-but": True}]}, (*FIELD, "anything-but"), "anything-but cannot exclude true"),
    ({"a": [{"anything-but": {}}]}, (*FIELD, "anything-but"), "an empty object is no matcher"),
    ({"a": [{"anything-but": ["a", 5]}]}, (*FIELD, "anything-but", 1), "5 in a list of strings"),
    ({"a": [{"anything-but": ["a", None]}]}, (*FIELD, "anything-but", 1), "null in a list of strings"),
    ({"a": [{"anything-but": [5, "a"]}]}, (*FIELD, "anything-but", 1), '"a" in a list of numbers'),
    ({"a": [{"anything-but": [5, False]}]}, (*FIELD, "anything-but", 1), "anything-but cannot exclude false"),
    ({"a": [{"anything-but": [{"wildcard": "a*"}]}]}, (*FIELD, "anything-but", 0), "anything-but cannot exclude {"),
    ({"a": [{"anything-but": [["a"]]}]}, (*FIELD, "anything-but", 0), 'anything-but cannot exclude ["a"]'),
    ({"a": [{"anything-but": 9007199254740993}]}, (*FIELD, "anything-but"), "cannot be compared"),
    ({"a": [{"anything-but": [1, float("nan")]}]}, (*FIELD, "anything-but", 1), "cannot be compared"),
    *(
        ({"a": [{"anything-but": {inner: "x"}}]}, (*FIELD, "anything-but", inner), f'unknown operator "{inner}"')
        for inner in ("numeric", "exists", "cidr", "exactly", "anything-but")
    ),
    (
        {"a": [{"anything-but": {"prefix": "a", "suffix": "b"}}]},
        (*FIELD, "anything-but", "suffix"),
        "a second operator",
    ),
    *(
        ({"a": [{"anything-but": {inner: wrong}}]}, (*FIELD, "anything-but", inner, *rest), text)
        for inner in ("prefix", "suffix", "equals-ignore-case", "wildcard")
        for wrong, rest, text in (
            (5, (), f"{inner} takes a string, not 5"),
            ([], (), f"the list of {inner} is empty"),
            (["a", 5], (1,), f"{inner} takes a string, not 5"),
            ({"equals-ignore-case": "a"}, (), f"{inner} takes a string, not "),
        )
    ),
    *(
        (
            {"a": [{"anything-but": {inner: wrong}}]},
            (*FIELD, "anything-but", inner, *rest),
            "every string has an empty ",
        )
        for inner in ("prefix", "suffix")
        for wrong, rest in (("", ()), (["a", ""], (1,)))
    ),
    (
        {"a": [{"anything-but": {"wildcard": ["a", "**"]}}]},
        (*FIELD, "anything-but", "wildcard", 1),
        "two wildcards in a row",
    ),
    # $or
    ({"$or": {"a": [1]}}, ("$or",), "$or takes a list of objects, not {"),
    ({"$or": []}, ("$or",), "$or needs at least two alternatives, not 0"),
    ({"a": {"$or": [{"a": [1]}]}}, ("a", "$or"), "$or needs at least two alternatives, not 1"),
    ({"$or": ["x", "y"]}, ("$or", 0), 'an alternative of $or is an object, not "x"'),
    ({"$or": [{"a": [1]}, {}]}, ("$or", 1), "an empty object names no field"),
    ({"$or": [{"a": [1]}, {"b": {"$or": [{"c": [1]}, {"d": []}]}}]}, ("$or", 1, "b", "$or", 1, "d"), "an empty list"),
    *(
        ({"$or": [{"a": [1]}, {"b": {name: [1]}}]}, ("$or", 1, "b", name), f'"{name}" is reserved inside $or')
        for name in (
            "prefix",
            "exactly",
            "cidr",
            "=",
            ">=",
            "regex",
            "date-after",
            "not-wildcard",
            "ip-address-in-range",
        )
    ),
    ({"$or": [{"prefix": "x"}, {"a": [1]}]}, ("$or", 0, "prefix"), '"prefix" is reserved inside $or'),
    # values too deep to print
    *(
        ({"a": [{operator: nested(5000)}]}, (*FIELD, operator), " takes ")
        for operator in ("numeric", "exists", "wildcard", "cidr", "exactly", "equals-ignore-case")
    ),
    ({"a": [{"anything-but": [nested(5000)]}]}, (*FIELD, "anything-but", 0), "anything-but cannot exclude {"),
    # limits
    (nested(101), ("k",) * 100, "more than 100 levels of nesting"),
    (nested(5000), ("k",) * 100, "more than 100 levels of nesting"),
    ({"k." * 100: [1]}, ("k." * 100,), "a path of more than 100 keys"),
    (many(257, lambda _index: [1]), ("k256",), "more than 256 fields in one pattern"),
    (many(40, lambda _index: {"$or": [{"a": [1]}, {"b": [1]}]}), ("k9", "$or"), "more than 1000 combinations"),
    ({"$or": [{"a": [index]} for index in range(1001)]}, ("$or",), "more than 1000 combinations"),
]


@pytest.mark.parametrize(("pattern", "place", "text"), TABLE, ids=show)
def test_the_fault_is_named_at_its_place(pattern: Any, place: Place, text: str) -> None:
    """The path leads to the key or value at fault, so that a config error has its line."""
    with pytest.raises(PatternError) as raised:
        compile_pattern(pattern)
    assert raised.value.path == place
    assert text in raised.value.text
    assert "\n" not in str(raised.value) + raised.value.hint


def test_an_invalid_pattern_has_no_keys_and_no_explanation() -> None:
    """Every public function refuses it alike."""
    for function in (compile_pattern, pattern_keys, lambda pattern: explain(pattern, {})):
        with pytest.raises(PatternError, match=r"^detail\.state\[0\]\.prefx: unknown operator"):
            function({"detail": {"state": [{"prefx": "x"}]}})


@pytest.mark.parametrize(
    ("pattern", "hint"),
    [
        ({"a": [{"prefx": "x"}]}, 'did you mean "prefix"? operators here: exactly, prefix, suffix'),
        ({"a": [{"anything_but": "x"}]}, 'did you mean "anything-but"?'),
        ({"a": [{"anything-but": {"sufix": "x"}}]}, 'did you mean "suffix"? operators here: prefix, suffix'),
        ({"a": [{"zzz": "x"}]}, "operators here: exactly"),
        ({"a": "x"}, 'write ["x"]'),
        ({"a": 5}, "write [5]"),
        ({"a": {"prefix": "x"}}, 'an operator stands in the list of a field: [{"prefix": "x"}]'),
        ({"a": [{"prefix": 5}]}, 'write prefix: "text"'),
        ({"a": [{"numeric": ["==", 5]}]}, 'equality is "="'),
        ({"a": [{"numeric": ["!=", 5]}]}, "anything-but"),
        ({"a": [{"numeric": ["<", 5, ">", 1]}]}, "lower bound first"),
        ({"$or": [{"prefix": "x"}, {"a": [1]}]}, 'an operator stands in the list of a field: [{"prefix": "x"}]'),
        ({"a": [{"wildcard": "**"}]}, r"\* a star"),
        ({"a": [9, {"numeric": ["=", 9007199254740993]}]}, "as a plain value in the field's list it does match"),
    ],
)
def test_the_hint_says_what_to_write(pattern: Any, hint: str) -> None:
    """For somebody who writes YAML and has never read AWS's guide."""
    with pytest.raises(PatternError) as raised:
        compile_pattern(pattern)
    assert hint in raised.value.hint


def test_the_limits_themselves_are_valid() -> None:
    """One less than what is refused."""
    assert compile_pattern({"k." * 99: [1]})({"k." * 99: 1}) is True
    assert compile_pattern(many(256, lambda _index: [1]))(many(256, lambda _index: 1)) is True
    assert compile_pattern({"$or": [{"a": [index]} for index in range(1000)]})({"a": 999}) is True
