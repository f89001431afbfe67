"""What an expression reads, and what is refused before any event."""

from __future__ import annotations

from typing import Any

import pytest
from cel_expr_python import cel
from cel_expr_python.ext import ext_optional

from gateway import MISSING, ConfigProblem
from gateway_cel.expression import compile_expression

READS = [
    ("data.total > 100", ["data.total"]),
    ("total > 100 && a.b.c == total", ["a.b.c", "total"]),
    ('region in ["eu"] && event.type == "x"', ["event.type", "region"]),
    ("data.items.exists(item, item.qty > limits.most)", ["data.items", "limits.most"]),
    ('data["total-net"] > 1', ["data"]),
    ("data.`total-net` > 1 && data.total > 1", ["data"]),
    ("event.body.`a.b` == 1", ["event.body"]),
    ("event.body.type == 1 && event.body.event.x == 1", ["event.body.event.x", "event.body.type"]),
    ('event.headers["x"] == "1" && event.headers.y == "2"', ["event.headers"]),
    ("data.event.type == 1 && data.type == 1", ["data.event.type", "data.type"]),
    ('"type list event.x $y" == a // type', ["a"]),
    ("type(a) == int", ["a"]),
    ("has(data.total) && data.total > 1", ["data"]),
    ("has( data . total ) && data.vat > 1 && has(a.b.c) && has(a.b.c.d)", ["a.b", "data", "data.vat"]),
    ("has(event.headers.x) && has(event.body.x)", ["event.body", "event.headers"]),
    ("int(a) == 1 && string(b) == '1'", ["a", "b"]),
    ("timestamp(at) > timestamp('2026-01-01T00:00:00Z')", ["at"]),
    ("a.lowerAscii() == 'x' && math.greatest(b, c) > 1", ["a", "b", "c"]),
]
REFUSED = [
    ("", "the expression is empty", "write a condition"),
    ("data.total >", "line 1, column 13: Syntax error: mismatched input '<EOF>'", "here: data.total >-->"),
    ("a > 1 &&\n  b >> 1", "line 2, column 6: Syntax error", "here:   b >-->> 1"),
    ("data.total", None, None),
    ("data.total > 1 ? 1 : 2", "the expression gives INT, not yes or no", "compare it"),
    ("foo(a) || b.bar(c)", "undeclared reference to 'foo'", "here: foo-->(a)"),
    ("Foo{a: 1} == 1", "undeclared reference to 'Foo'", "here: -->Foo"),
    ("event.type > 5", "found no matching overload for '_>_' applied to '(string, int)'", "event.type -->> 5"),
    ('event.typ == "x"', "there is no event.typ", "event.type, event.source"),
    ("event.?typ == 1", "there is no event.typ", "event.type, event.source"),
    ("event == 1", "event alone is no value", "event.body.event"),
    ("'x' in event", "event alone is no value", "event.body.event"),
    ('type == "x"', "type is a type in CEL", "the key is event.body.type, and the event's type is event.type"),
    ("type != data.kind", "type is a type in CEL", "event.body.type"),
    ("list.size() > 1", "list is a type in CEL", "event.body.list"),
    ('event.headers["X-Tenant"] == "a"', "no header is called X-Tenant here", "lower case: x-tenant"),
    ('"X-Tenant" in event.headers', "no header is called X-Tenant here", "lower case: x-tenant"),
    ("event.headers.Tenant == 'a'", "no header is called Tenant here", "lower case: tenant"),
    ("has(event.source)", "has() asks for keys, and event.source is none", "absent"),
    ('$type == "x"', "names with $ are none of CEL", "event.type"),
    ("(" * 40 + "a" + ")" * 40, "the expression does not compile: CANCELLED: Expression recursion limit exceeded", ""),
    (" && ".join(f"a{number} == 1" for number in range(101)), None, None),
]


@pytest.mark.parametrize(("source", "variables"), READS)
def test_it_reads_the_longest_chain_of_keys(source: str, variables: list[str]) -> None:
    """Only what is named is handed over; a key that may have a dot in it is looked up by CEL in all there is."""
    assert list(compile_expression(source).variables) == variables


@pytest.mark.parametrize(("source", "text", "hint"), REFUSED)
def test_what_can_never_be_meant_is_refused(source: str, text: str | None, hint: str | None) -> None:
    """With line and column inside the expression, and a hint that shows the place or says what to write."""
    if text is None or hint is None:
        compile_expression(source)
        return
    with pytest.raises(ConfigProblem) as caught:
        compile_expression(source)
    assert text in caught.value.text
    assert hint in caught.value.hint
    assert "\n" not in caught.value.text + caught.value.hint


@pytest.mark.parametrize(
    ("source", "hint"),
    [
        ("a == 1 and b == 2", "CEL writes && for and"),
        ("a == 1 or not b", "CEL writes || for or; CEL writes ! for not"),
    ],
)
def test_words_of_other_languages_are_told_their_signs(source: str, hint: str) -> None:
    with pytest.raises(ConfigProblem) as caught:
        compile_expression(source)
    assert caught.value.hint.endswith(hint)


CONSTANTS = [
    ('detail.name.matches("(")', "line 1, column 21", "no regular expression"),
    ('matches(detail.name, "[")', "line 1, column 22", "no regular expression"),
    ('a == 1 ||\n  timestamp("x") > event.time', "line 2, column 13", "no timestamp"),
    ('duration( "soon" ) < event.time - timestamp(at)', "line 1, column 11", "no duration"),
    ("int('x') == a", "line 1, column 5", "no whole number"),
]


@pytest.mark.parametrize(("source", "place", "what"), CONSTANTS)
def test_a_constant_that_fails_for_every_event_is_a_problem_at_its_place(source: str, place: str, what: str) -> None:
    with pytest.raises(ConfigProblem) as caught:
        compile_expression(source)
    assert caught.value.text.startswith(place)
    assert what in caught.value.text


@pytest.mark.parametrize(
    "source",
    [
        "a.matches('^(a|b)+$') && timestamp('2026-01-01T00:00:00Z') < event.time",
        "a == 'x.matches(\"(\")'",
        'a == 1 // timestamp("x")',
        "a.matches('(' + b)",
        "timestamp(at) > timestamp(b'x' == c ? d : e)",
        "a.startsWith('(') && f.exists(x, x == duration('1h30m'))",
    ],
)
def test_what_works_or_may_work_is_no_problem(source: str) -> None:
    assert compile_expression(source)


BODIES: list[Any] = [
    {},
    {"a": {}},
    {"a": {"b": 2}, "c": True},
    {"a": {"b": {"c": 5}, "d": [1, {"b": 3}]}, "c": False},
    {"a": None, "c": "x"},
    {"a": [1, 2], "b": {"b": 1}},
    {"a.b": 7, "a": {"b.c": 7}},
]
EXPRESSIONS = [
    "a.b > 1",
    "!(a.b > 1)",
    "a.b != 2 || c",
    "has(a.b) && a.b == 2",
    "has(a.b.c) || has(a.d)",
    "!has(a.b)",
    "has(a.b) ? a.b == 2 : c",
    "a.d.exists(a, a == 1)",
    "a.d.exists(x, has(x.b) && x.b > 2) || a.b > 1",
    "a.d[1].b == a.b.c - 2",
    "a.?b.orValue(9) == 9 || a.b == 2",
    "a.?b.?c.orValue(9) == 5 && a.b.c == 5",
    '"b" in a && a.b == 2',
    "a.map(k, k) == ['b'] && a.b == 2",
    "a.`b.c` == 7 || a.b == 7",
    ".a.b == 2",
    "[a].exists(b, b.b == 2) && b.b == 1",
    "{'a': a}.a.b == 2 && a.b == 2",
    "[{'b': 4}].all(a, a.b == 4) && a.b == 2",
    "c",
    "a == b",
]


@pytest.mark.parametrize("source", EXPRESSIONS)
def test_handing_over_chains_gives_the_answers_of_handing_over_everything(source: str) -> None:
    """Whatever is read by its chain means what CEL means by walking from the top."""
    compiled = compile_expression(source)
    whole = cel.NewEnv(variables=dict.fromkeys("abc", cel.Type.DYN), extensions=[ext_optional.ExtOptional()])
    plain = whole.compile(source)
    for body in BODIES:
        data = {}
        for name in compiled.variables:
            value: Any = body
            for key in name.split("."):
                value = value.get(key, MISSING) if isinstance(value, dict) else MISSING
            if value is not MISSING:
                data[name] = value
        mine, its = compiled.expression.eval(data=data), plain.eval(data=body)
        assert mine.type() == its.type(), (body, mine.value(), its.value())
        if its.type() == cel.Type.BOOL:
            assert mine.value() is its.value(), body
