"""What each matcher of a content filter accepts and refuses, value by value."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Any

import pytest

from gateway.components.filters._pattern_show import show
from gateway.components.filters.pattern import compile_pattern

MOMENT = datetime.datetime(2026, 11, 23, tzinfo=datetime.UTC)
INF, NAN = float("inf"), float("nan")
MISSING = object()

# One row: the field's list, the values it accepts, the values it refuses.
TABLE: list[tuple[list[Any], list[Any], list[Any]]] = [
    # literals are strict about the kind of value
    (["1"], ["1"], [1, 1.0, True, "1.0", None, "", b"1", MISSING, [], {}]),
    ([1], [1, 1.0, [0, 1]], ["1", True, 1.0000001, b"1", [True], MISSING]),
    ([0], [0, 0.0, -0.0], [False, None, "", "0", [], MISSING]),
    ([-0.0], [0, 0.0, -0.0], [False]),
    ([300], [300, 300.0, 3e2], ["300", 301]),
    ([300.0], [300, 300.0], [300.0000001]),
    ([True], [True, [True]], [1, 1.0, "true", False]),
    ([False], [False], [0, "", None, MISSING, []]),
    ([None], [None, [None]], ["null", False, 0, MISSING, [], {}, [[]]]),
    ([""], ["", [""]], [None, " ", [], MISSING]),
    (["a", "b", 3, None], ["a", "b", 3, 3.0, None, ["x", "b"]], ["c", "3", MISSING]),
    ([12345678901234567890], [12345678901234567890], [12345678901234567891, "12345678901234567890"]),
    ([9007199254740993], [9007199254740993], [9007199254740992, 9007199254740992.0, 9007199254740994]),
    ([10**400], [10**400], [10**400 + 1, INF, NAN, 1e308]),
    ([1e20], [10**20, 1e20], [10**20 + 1]),
    ([1e23], [10**23, 1e23], [10**23 + 1]),
    ([10**23], [10**23, 1e23], [10**23 + 1]),
    ([0.1], [0.1], [0.1000001, "0.1"]),
    (["10.0.0.1"], ["10.0.0.1"], ["010.0.0.1", "10.0.0.01", 167772161]),
    (["::1"], ["::1"], ["0:0:0:0:0:0:0:1"]),
    ([{"exactly": "a*"}], ["a*", ["b", "a*"]], ["ab", "A*", None, MISSING]),
    # prefix and suffix
    ([{"prefix": "ab"}], ["ab", "abc", ["x", "abc"]], ["a", "Ab", "xab", 5, None, b"abc", MISSING, [], {}]),
    ([{"prefix": ""}], ["", "a"], [0, None, MISSING, []]),
    ([{"prefix": "1"}], ["12"], [12, 1]),
    ([{"prefix": {"equals-ignore-case": "ab"}}], ["AB", "aBc"], ["a", "xab", 5, MISSING]),
    ([{"prefix": {"equals-ignore-case": "STRASSE"}}], ["straße 5", "STRASSEN"], ["stras"]),
    ([{"prefix": {"equals-ignore-case": "s"}}], ["s", "Sß"], ["ß", "ßs"]),
    ([{"prefix": {"equals-ignore-case": "ß"}}], ["ß", "ss", "SSx", "ẞ!"], ["s", "xß"]),
    ([{"prefix": {"equals-ignore-case": ""}}], ["", "ß"], [1]),
    ([{"suffix": "bc"}], ["bc", "abc"], ["c", "bcd", "BC", 5, None, MISSING]),
    ([{"suffix": ""}], ["", "a"], [0, MISSING]),
    ([{"suffix": {"equals-ignore-case": ".PNG"}}], ["a.png", ".Png"], ["png", "a.png.zip"]),
    ([{"suffix": {"equals-ignore-case": "s"}}], ["s", "ßS"], ["ß", "sß"]),
    ([{"suffix": {"equals-ignore-case": "ß"}}], ["Spaß", "SPASS", "ẞ"], ["s", "ßs"]),
    # equality without case
    ([{"equals-ignore-case": "straße"}], ["STRASSE", "strasse", "Straße", "STRAẞE"], ["strase", "straßen", MISSING]),
    ([{"equals-ignore-case": "É"}], ["é", "É"], ["e", "e\u0301", None]),
    ([{"equals-ignore-case": "Σας"}], ["ΣΑΣ", "Σασ"], ["Σα"]),
    ([{"equals-ignore-case": ""}], [""], [" ", None, MISSING]),
    # wildcard
    ([{"wildcard": "*"}], ["", "a", "*"], [5, None, True, b"", MISSING, []]),
    ([{"wildcard": "a*"}], ["a", "ab"], ["", "ba", "A"]),
    ([{"wildcard": "*a"}], ["a", "ba"], ["ab"]),
    ([{"wildcard": "a*a"}], ["aa", "aba", "a*a"], ["a", "ab", "ba"]),
    ([{"wildcard": "a*b*c"}], ["abc", "a-b-c", "abbc", "abcbc"], ["acb", "ab", "bc"]),
    ([{"wildcard": "ab*ba"}], ["abba", "abxba"], ["aba"]),
    ([{"wildcard": "*ab*ab*"}], ["abab", "xabyabz"], ["ab", "aba"]),
    ([{"wildcard": "*ab*b"}], ["abb", "abab"], ["ab", "b", "bab"]),
    ([{"wildcard": ""}], [""], ["a", None]),
    ([{"wildcard": "a\\*b"}], ["a*b"], ["ab", "axb", "a\\*b"]),
    ([{"wildcard": "a\\\\b"}], ["a\\b"], ["ab", "a\\\\b"]),
    ([{"wildcard": "\\**"}], ["*", "*x"], ["", "x*"]),
    ([{"wildcard": "*\\*"}], ["*", "x*"], ["x"]),
    ([{"wildcard": "a?b.c+[x]"}], ["a?b.c+[x]"], ["axb.c+[x]", "ab.ccx"]),
    ([{"wildcard": "日*語"}], ["日語", "日本語"], ["日本"]),
    # anything-but
    ([{"anything-but": "a"}], ["b", "", 1, None, True, b"a", MOMENT, ["a", "b"]], ["a", ["a"], MISSING, [], {}, [{}]]),
    ([{"anything-but": ["a", "b"]}], ["c", 5, None, ["a", "c"]], ["a", "b", ["a", "b"], MISSING]),
    ([{"anything-but": 5}], [6, "5", 5.1, None, True, INF, NAN, 10**400], [5, 5.0, [5], MISSING]),
    ([{"anything-but": [5, 6]}], [7, "5", "6", False], [5, 6.0, [5, 6], MISSING]),
    ([{"anything-but": 1}], [True, 0], [1, 1.0]),
    (
        [{"anything-but": 9007199254740992}],
        [9007199254740993, 9007199254740991],
        [9007199254740992, 9007199254740992.0],
    ),
    ([{"anything-but": {"prefix": "a"}}], ["ba", "", 5, None], ["a", "ab", MISSING]),
    ([{"anything-but": {"prefix": ["a", "b"]}}], ["c", "A"], ["a", "bc"]),
    ([{"anything-but": {"suffix": "a"}}], ["ab", 5], ["a", "ba"]),
    ([{"anything-but": {"suffix": ["a", "b"]}}], ["c"], ["a", "cb"]),
    ([{"anything-but": {"equals-ignore-case": "ab"}}], ["a", 5, None], ["AB", "ab", MISSING]),
    ([{"anything-but": {"equals-ignore-case": ["a", ""]}}], ["b"], ["A", ""]),
    ([{"anything-but": {"wildcard": "*a*"}}], ["b", "", 5], ["a", "bab", MISSING]),
    ([{"anything-but": {"wildcard": ["a*", "*b"]}}], ["c"], ["ax", "xb"]),
    ([{"anything-but": {"wildcard": ""}}], ["a"], [""]),
    ([{"anything-but": "a"}, {"anything-but": "b"}], ["a", "b", 1], [MISSING]),
    ([{"anything-but": ["a"]}, {"exists": False}], ["b", MISSING, []], ["a"]),
    # numeric
    ([{"numeric": ["=", 5]}], [5, 5.0, [4, 5]], [5.1, "5", True, None, MISSING, INF, NAN]),
    ([{"numeric": ["=", 0]}], [0, 0.0, -0.0], [False, ""]),
    ([{"numeric": ["<", 5]}], [4, -1e308, 4.999], [5, 5.0, -INF, NAN, "4", False, -(10**400)]),
    ([{"numeric": ["<=", 5]}], [5, 5.0], [5.000001, -INF]),
    ([{"numeric": [">", 5]}], [6, 5.1, 1e308, 2**60, 10**23], [5, INF, NAN, True, 10**400, 9007199254740993]),
    ([{"numeric": [">=", 5]}], [5, 5.0], [4, INF]),
    ([{"numeric": [">", 0, "<=", 5]}], [0.1, 5], [0, -0.0, 5.1]),
    ([{"numeric": [">=", 0, "<", 5]}], [0, -0.0, 4.9], [5, -0.1]),
    ([{"numeric": [">", -0.0]}], [5e-324], [0, -0.0]),
    (
        [{"numeric": [">=", 9007199254740992]}],
        [9007199254740992, 9007199254740994],
        [9007199254740993, 9007199254740991],
    ),
    ([{"numeric": ["=", 1e23]}], [1e23, 10**23], [10**23 + 1]),
    ([{"numeric": [">=", 1.5, "<=", 3.018e2]}], [301.8, 1.5], [301.81]),
    ([{"numeric": ["<", 5]}, {"numeric": [">", 10]}], [4, 11], [5, 10]),
    ([{"numeric": [">", 5]}, 9007199254740993], [9007199254740993, 6], [9007199254740995]),
    # exists
    (
        [{"exists": True}],
        ["", None, 0, False, b"", MOMENT, [1], [[None]], 10**400],
        [[], {}, [{}], [[]], [[], {}], MISSING],
    ),
    ([{"exists": False}], [MISSING, [], {}, [{}], [[]], [{"x": 1}]], ["", None, 0, [None], [[], [0]]]),
    ([{"exists": False}, "a"], [MISSING, {}, "a", ["b", "a"]], ["b", ["b"]]),
    ([{"exists": True}, {"exists": False}], [MISSING, 1, [], {}], []),
    # cidr
    (
        [{"cidr": "10.0.0.0/8"}],
        ["10.1.2.3", "10.0.0.0", "010.0.0.1"],
        ["11.0.0.0", "a00:1::", 167772161, "10.0.0", "10.0.0.256"],
    ),
    ([{"cidr": "10.0.0.5/24"}], ["10.0.0.0", "10.0.0.255"], ["10.0.1.0"]),
    ([{"cidr": "10.0.0.5/32"}], ["10.0.0.5"], ["10.0.0.4", "10.0.0.6"]),
    (
        [{"cidr": "0.0.0.0/0"}],
        ["255.1.2.3"],
        ["::1", "", "1.2.3", "1.2.3.4.5", "1.2.3.٤", " 1.2.3.4", "1.2.3.-4", None, MISSING],
    ),
    ([{"cidr": "16.0.0.0/5"}], ["16.0.0.1", ["x", "23.255.255.255"]], [175, "175", "24.0.0.0"]),
    (
        [{"cidr": "2001:db8::/32"}],
        ["2001:db8::1", "2001:0DB8:0:0::"],
        ["2001:db9::", "10.0.0.1", ":", "::1%1", "1::2::3"],
    ),
    ([{"cidr": "2001:db8::1/128"}], ["2001:db8:0:0:0:0:0:1"], ["2001:db8::2"]),
    ([{"cidr": "::/0"}], ["::1", "::ffff:a00:1"], ["10.0.0.1", "::ffff:10.0.0.1"]),
    ([{"cidr": "10.0.0.0/8"}, "home"], ["home", "10.0.0.1"], ["away"]),
    # several matchers are alternatives, of every kind
    ([{"wildcard": "*x"}, {"equals-ignore-case": "a"}], ["x", "A"], ["b", "xa"]),
    ([{"prefix": "a"}, 5, None, {"numeric": ["<", 0]}], ["ab", 5, None, -1], ["b", 4, False, MISSING]),
]


@pytest.mark.parametrize(("matchers", "accepted", "refused"), TABLE, ids=show)
def test_matchers(matchers: list[Any], accepted: list[Any], refused: list[Any]) -> None:
    """A field at the top, three levels down, and beside another field; alone and inside `$or`."""
    patterns: list[tuple[dict[str, Any], Callable[[dict[str, Any]], dict[str, Any]]]] = [
        ({"f": matchers}, lambda value: value),
        ({"o": {"p": {"f": matchers}}}, lambda value: {"o": {"p": value}}),
        ({"o": {"f": matchers, "g": [1]}}, lambda value: {"o": value | {"g": 1}}),
        ({"$or": [{"h": [1]}, {"f": matchers}]}, lambda value: value),
        ({"o": {"f": matchers}}, lambda value: {"o": [value]}),
    ]
    for pattern, wrap in patterns:
        match = compile_pattern(pattern)
        for values, expected in ((accepted, True), (refused, False)):
            for value in values:
                event = wrap({} if value is MISSING else {"f": value})
                assert match(event) is expected, (pattern, event)


def test_subclasses_are_what_they_derive_from() -> None:
    """A codec or a transform may make its own kinds of str, int and dict."""

    class Text(str): ...

    class Count(int): ...

    class Body(dict[str, Any]): ...

    assert compile_pattern({"a": ["x"], "b": [5]})({"a": Text("x"), "b": Count(5)}) is True
    assert compile_pattern({"a": [{"prefix": "x"}], "b": {"c": [5]}})(Body(a=Text("xy"), b=Body(c=Count(5)))) is True
    assert compile_pattern({"a": [{"numeric": [">", 4]}]})({"a": (1, Count(5))}) is True


def test_wildcards_do_not_try_combinations() -> None:
    """Text made to match almost everywhere costs one pass; a regular expression would not come back."""
    match = compile_pattern({"a": [{"wildcard": "*a" * 500 + "b"}, {"anything-but": {"wildcard": "*" + "a*" * 500}}]})
    assert match({"a": "a" * 1_000_000}) is False
    assert match({"a": "a" * 1_000_000 + "b"}) is True
