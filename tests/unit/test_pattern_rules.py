"""How the fields of a content filter combine: nesting, lists, absence, dots and `$or`."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.components.filters._pattern_parse import parse
from gateway.components.filters._pattern_show import show
from gateway.components.filters._pattern_walk import Branches
from gateway.components.filters.pattern import compile_pattern, pattern_keys

ABSENT = [{"exists": False}]
THERE = [{"exists": True}]

# One row: the pattern, the events it matches, the events it does not.
TABLE: list[tuple[dict[str, Any], list[Any], list[Any]]] = [
    # all fields hold; deeper values do not
    ({"a": [1], "b": [2]}, [{"a": 1, "b": 2, "c": 3}], [{"a": 1}, {"b": 2}, {}, {"a": 1, "b": 1}]),
    (
        {"a": {"b": [1]}},
        [{"a": {"b": 1}}, {"a": {"b": [2, 1]}}],
        [{"a": 1}, {"a": None}, {"b": 1}, {"a": {"a": {"b": 1}}}],
    ),
    ({"a": [1]}, [{"a": [[[1]], 2]}, {"a": [{"b": 2}, 1]}], [{"a": {"a": 1}}, {"a": [{"a": 1}]}]),
    ({"A": [1]}, [{"A": 1}], [{"a": 1}]),
    ({"": [1]}, [{"": 1}], [{"a": 1}, {}]),
    # only objects are events
    ({"a": ABSENT}, [{}], [None, 5, "a", [], [{}], [{"a": 1}], b"", True]),
    ({"a": [1]}, [], [None, [{"a": 1}], 1, "a"]),
    # absence
    (
        {"a": {"b": ABSENT}},
        [{}, {"a": 1}, {"a": {}}, {"a": []}, {"a": {"b": []}}, {"a": {"b": {"c": 1}}}],
        [{"a": {"b": None}}],
    ),
    ({"a": {"b": {"c": ABSENT}}}, [{"a": {"b": 1}}, {"a": [1]}], [{"a": {"b": {"c": 0}}}, {"a": [{"b": [{"c": 0}]}]}]),
    ({"a": ABSENT, "b": [1]}, [{"b": 1}], [{"a": 0, "b": 1}, {}]),
    ({"a": {"b": THERE}}, [{"a": [[{"b": 1}]]}, {"a": {"b": None}}], [{"a": {"b": {}}}, {"a": []}]),
    # fields out of one list come from one element, at every level
    (
        {"people": {"first": ["Anna"], "last": ["Jones"]}},
        [
            {"people": [{"first": "Bo"}, {"first": "Anna", "last": "Jones"}]},
            {"people": {"first": "Anna", "last": ["Jones"]}},
        ],
        [{"people": [{"first": "Anna", "last": "Smith"}, {"first": "Bo", "last": "Jones"}]}],
    ),
    (
        {"a": {"x": [1], "y": [2]}},
        [{"a": [[{"x": 1, "y": 2}]]}, {"a": [{"x": [0, 1], "y": [2, 3]}]}, {"a": [[{"x": 0}], [5, {"x": 1, "y": 2}]]}],
        [{"a": [[{"x": 1}, {"y": 2}]]}, {"a": [[{"x": 1}], [{"y": 2}]]}, {"a": [{"x": 1}, [{"y": 2}]]}],
    ),
    (
        {"a": {"l": {"x": [1], "y": [2]}, "z": [3]}},
        [{"a": [{"z": 3, "l": [{"x": 1}, {"x": 1, "y": 2}]}]}],
        [{"a": [{"z": 3, "l": [{"x": 1}, {"y": 2}]}]}, {"a": [{"l": [{"x": 1, "y": 2}]}, {"z": 3}]}],
    ),
    (
        {"a": {"x": [1]}, "b": {"x": [2]}},
        [{"a": [{"x": 0}, {"x": 1}], "b": [{"x": 2}, {"x": 1}]}],
        [{"a": [{"x": 2}], "b": []}],
    ),
    # absence is judged last, within the chosen elements, whatever the names' order
    ({"x": [1], "y": ABSENT}, [{"x": 1}], [{"x": 1, "y": 2}]),
    (
        {"a": {"x": [1], "y": ABSENT}},
        [{"a": [{"x": 1, "y": 2}, {"x": 1}]}, {"a": [{"y": 1}, {"x": 1}]}],
        [{"a": [{"x": 1, "y": 2}, {}]}],
    ),
    (
        {"a": {"y": [1], "x": ABSENT}},
        [{"a": [{"y": 1, "x": 2}, {"y": 1}]}, {"a": [{"x": 1}, {"y": 1}]}],
        [{"a": [{"y": 1, "x": 2}, {}]}],
    ),
    ({"a": {"b": ABSENT}}, [{"a": [{}, {"c": 1}]}], [{"a": [{"b": 1}, {}]}, {"a": [{}, [[{"b": 0}]]]}]),
    ({"a": {"b": ABSENT}, "c": [1]}, [{"a": [{}], "c": 1}], [{"a": [{"b": 1}, {}], "c": 1}]),
    (
        {"a": {"x": [1], "l": {"b": ABSENT}}},
        [{"a": [{"x": 1, "l": [{}]}, {"l": [{"b": 1}]}]}],
        [{"a": [{"x": 1, "l": [{}, {"b": 1}]}]}],
    ),
    (
        {"a": {"x": [1, *ABSENT], "y": [2]}},
        [{"a": [{"x": 0}, {"y": 2}]}, {"a": [{"x": 1, "y": 2}]}],
        [{"a": [{"x": 0, "y": 2}, {"x": 1}]}],
    ),
    # a path of the pattern that ends where another goes on
    (
        {"a": [5], "a.b": [1]},
        [{"a": [5, {"b": 1}]}, {"a": 5, "a.b": 1}, {"a": [[5], 5, {"b": 1}]}],
        [{"a": [[5], {"b": 1}]}, {"a": {"b": 1}}, {"a": 5}],
    ),
    ({"a": ABSENT, "a.b": [1]}, [{"a": {"b": 1}}, {"a": [[5], {"b": 1}]}], [{"a": [5, {"b": 1}]}, {"a": {}}]),
    (
        {"a": [5], "a.b": ABSENT},
        [{"a": 5}, {"a": [5, {}]}, {"a": [[5], {"b": 1}]}],
        [{"a": [5, {"b": 1}]}, {"a": [[5, {"b": 1}]]}],
    ),
    ({"a": ABSENT, "a.b": ABSENT}, [{}, {"a": []}, {"a": [{}]}], [{"a": [[1]]}, {"a": [{"b": 1}]}, {"a": 1}]),
    ({"a": [5], "a.b": [1]}, [{"a": [5, [{"b": 1}]]}], [{"a": [[5], [{"b": 1}]]}]),
    ({"a": [5], "a.b": ABSENT}, [{"a": [[5], [], {"b": 1}]}], [{"a": [5, [], {"b": 1}]}]),
    ({"a": ABSENT, "a.b": [1]}, [{"a": [[5], [{"b": 1}]]}], [{"a": [5, [{"b": 1}]]}]),
    # dots join, in the pattern and in the event, spellings side by side
    (
        {"a.b": [1]},
        [{"a": {"b": 1}}, {"a.b": 1}, {"a": {"b": 0}, "a.b": 1}, {"a": {"b": 1}, "a.b": 0}],
        [{"a": 1}, {"b": 1}, {"a..b": 1}],
    ),
    (
        {"a": {"b": {"c": [1]}}},
        [{"a.b.c": 1}, {"a.b": {"c": 1}}, {"a": {"b.c": 1}}, {"a": [{"b.c": 1}]}],
        [{"a.b": {"b.c": 1}}, {"a.c": 1}],
    ),
    ({"a": {"b": ABSENT}}, [{"a.c": 1}], [{"a.b": 1}, {"a": {"b": []}, "a.b": 0}]),
    ({"a": {"b": ABSENT, "c": [1]}}, [{"a.c": 1}, {"a": {"c": 1}}], [{"a.b": 1, "a": {"c": 1}}]),
    (
        {"a": {"x": [1], "y": [2]}},
        [{"a": [{"x": 1}], "a.y": 2}, {"a": [{"x": 1}, {"y": 2}], "a.x": 1}],
        [{"a": [{"x": 1}, {"y": 2}], "a.x": 2}],
    ),
    ({"a.": [1]}, [{"a.": 1}, {"a": {"": 1}}], [{"a": 1}]),
    ({"a": {"b": ABSENT}}, [{"a": {"b": []}, "a.b": {}}], [{"a": {"b": 0}, "a.b": []}, {"a": {"b": []}, "a.b": 0}]),
    # one path written twice: the last one counts
    ({"a.b": [1], "a": {"b": [2]}}, [{"a": {"b": 2}}], [{"a": {"b": 1}}]),
    ({"a": {"b": [2]}, "a.b": [1]}, [{"a": {"b": 1}}], [{"a": {"b": 2}}]),
    # $or
    ({"$or": [{"a": [1]}, {"b": [2]}]}, [{"a": 1}, {"b": 2}, {"a": 1, "b": 0}], [{"a": 2, "b": 1}, {}]),
    ({"c": [3], "$or": [{"a": [1]}, {"b": [2]}]}, [{"c": 3, "a": 1}, {"c": 3, "b": 2}], [{"a": 1}, {"c": 3}]),
    ({"$or": [{"a": [1], "b": [1]}, {"c": [1]}]}, [{"a": 1, "b": 1}, {"c": 1}], [{"a": 1}, {"b": 1}]),
    (
        {"d": {"$or": [{"a": [1]}, {"b": {"c": [2]}}]}},
        [{"d": {"a": 1}}, {"d": {"b": {"c": 2}}}],
        [{"a": 1}, {"d": {"c": 2}}],
    ),
    ({"$or": [{"a": [1]}, {"$or": [{"b": [1]}, {"c": [1]}]}]}, [{"a": 1}, {"b": 1}, {"c": 1}], [{}]),
    (
        {"x": {"$or": [{"a": [1]}, {"b": [1]}]}, "y": {"$or": [{"a": [1]}, {"b": [1]}]}},
        [{"x": {"a": 1}, "y": {"b": 1}}],
        [{"x": {"a": 1, "b": 1}}],
    ),
    (
        {"a": [5], "$or": [{"a": [1]}, {"b": [2]}]},
        [{"a": 1}, {"a": 5, "b": 2}],
        [{"a": 5}, {"b": 2}, {"a": 1.5, "b": 2}],
    ),
    ({"$or": [{"a": [1]}, {"b": [2]}], "a": [5]}, [{"a": 5}], [{"a": 1}, {"a": 1, "b": 2}]),
    ({"a": {"b": [5]}, "$or": [{"a.b": [1]}, {"c": [1]}]}, [{"a": {"b": 1}}], [{"a": {"b": 5}}]),
    (
        {"a": {"x": [1]}, "$or": [{"a": {"y": [2]}}, {"b": [1]}]},
        [{"a": [{"x": 1, "y": 2}]}, {"a": [{"x": 1}], "b": 1}],
        [{"a": [{"x": 1}, {"y": 2}]}],
    ),
    ({"$or": [{"a": ABSENT}, {"a": [1]}]}, [{}, {"a": 1}, {"a": {}}], [{"a": 2}]),
    ({"$or": [{"a": [1]}, {"a": [1], "b": [2]}]}, [{"a": 1}], [{"b": 2}]),
    # more fields can match more: here the second chooses the element in which the first is absent
    (
        {"a": {"b": ABSENT}, "$or": [{"c": [1]}, {"c": [1], "a": {"x": [1]}}]},
        [{"c": 1, "a": [{"b": 1}, {"x": 1}]}],
        [{"c": 1, "a": [{"b": 1}]}],
    ),
    (
        {"$or": [{"c": [1]}, {"a": {"x": [1]}}], "a": {"b": ABSENT}},
        [{"a": [{"b": 1}, {"x": 1}]}],
        [{"c": 1, "a": [{"b": 1}]}],
    ),
    (
        {"a": {"$or": [{"b": [2]}, {"x": [1], "b": [3]}], "b": ABSENT}},
        [{"a": [{"b": 1}, {"x": 1}]}, {}],
        [{"a": [{"b": 1}]}, {"a": [{"b": 1, "x": 1}]}],
    ),
    # a path that ends outside of $or and goes on inside
    ({"a": [5], "$or": [{"a.b": [1]}, {"c": [1]}]}, [{"a": [5, {"b": 1}]}], [{"a": [[5], {"b": 1}]}]),
    ({"a": ABSENT, "$or": [{"a.b": [1]}, {"c": [1]}]}, [{"a": [[5], {"b": 1}]}], [{"a": [5, {"b": 1}]}]),
    # operator names are fields like others outside of $or
    ({"prefix": ["a"], "a": {"numeric": [1]}}, [{"prefix": "a", "a": {"numeric": 1}}], [{}]),
    ({"$ref": [1], "$OR": [1]}, [{"$ref": 1, "$OR": 1}], [{}]),
]


@pytest.mark.parametrize(("pattern", "matched", "unmatched"), TABLE, ids=show)
def test_rules(pattern: dict[str, Any], matched: list[Any], unmatched: list[Any]) -> None:
    """The closures and the search behind them, each by itself."""
    match, search = compile_pattern(pattern), Branches(parse(pattern)).match
    for events, expected in ((matched, True), (unmatched, False)):
        for event in events:
            assert match(event) is expected, event
            assert search(event) is expected, event


def test_the_keys_are_every_beginning_of_every_path() -> None:
    """Dots join in events too, so a path may begin with a key that has some."""
    assert pattern_keys({"a": [1]}) == {"a"}
    assert pattern_keys({"a": {"b.c": [1]}, "d": [1]}) == {"a", "a.b", "a.b.c", "d"}
    assert pattern_keys({"$or": [{"a": [1]}, {"b": {"c": [1]}}]}) == {"a", "b", "b.c"}
    assert pattern_keys({"a": [5], "$or": [{"a": [1]}, {"$or": [{"b": ABSENT}, {"c": [1]}]}]}) == {"a", "b", "c"}


def test_lists_deeper_than_the_stack_are_walked() -> None:
    """A codec may make what JSON decoders refuse; the walk has no recursion over lists."""
    nested: list[Any] = [{"b": 1, "c": 2}, 5]
    for _ in range(50_000):
        nested = [nested]
    assert compile_pattern({"a": {"b": [1], "c": [2]}})({"a": nested}) is True
    assert compile_pattern({"a": {"b": [1], "c": ABSENT}})({"a": nested}) is False
    assert compile_pattern({"a": [5]})({"a": nested}) is True
    assert compile_pattern({"a": ABSENT})({"a": nested}) is False


def test_a_deep_pattern_meets_a_deep_event() -> None:
    """Near the limit of nesting, a list at every level."""
    pattern: Any = [1]
    event: Any = 1
    for _ in range(99):
        pattern, event = {"k": pattern}, [{"k": event}]
    assert compile_pattern(pattern)(event[0]) is True
    assert compile_pattern({**pattern, "q": ABSENT})({**event[0], "k.k": []}) is True


def test_an_event_made_to_be_hard_gets_an_answer() -> None:
    """Sharing fields among spellings of a path is a satisfiability problem; past a budget the answer is no match."""
    fields = {f"x{i}": [1] for i in range(24)}
    ones = [{f"x{i}": 1} for i in range(24)]
    match = compile_pattern({"a": {"b": {"c": fields}}})
    assert match({"a": {"b": {"c": ones}, "b.c": ones}, "a.b": {"c": ones}, "a.b.c": ones}) is False
    assert match({"a": {"b": {"c": ones}, "b.c": ones}, "a.b": {"c": ones}, "a.b.c": dict.fromkeys(fields, 1)}) is True


def test_many_alternatives_cost_no_more_than_those_asked() -> None:
    """A thousand combinations are one pass through three lists of ten."""
    pattern = {f"k{i}": {"$or": [{f"a{j}": [1]} for j in range(10)]} for i in range(3)}
    match = compile_pattern(pattern)
    assert match({f"k{i}": {"a9": 1} for i in range(3)}) is True
    assert match({f"k{i}": {"a9": i} for i in range(3)}) is False
    assert match({f"k{i}": [{"a9": 1}] for i in range(3)}) is True
    assert match({"k0": {"a1": 1}, "k1.a2": 1, "k2": {"a3": 1}}) is True


def test_one_pattern_is_not_changed_by_compiling() -> None:
    """The config tree is compiled more than once."""
    pattern = {"a": [1, {"prefix": "x"}], "$or": [{"b": [1]}, {"c.d": ABSENT}]}
    before = repr(pattern)
    compile_pattern(pattern)
    assert repr(pattern) == before
