"""The reason an operator reads when an event did not match."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.components.filters._pattern_show import show
from gateway.components.filters.pattern import compile_pattern, explain

ORDER: dict[str, Any] = {
    "source": "shop",
    "total": 12.5,
    "detail": {"state": "open", "note": None, "tags": ["a", "b", "c", "d"], "none": [], "sub": {"x": 1}},
    "items": [{"sku": "A", "qty": 1}, {"sku": "B", "qty": 2}],
}

CASES: list[tuple[dict[str, Any], Any, str]] = [
    ({"source": ["shop"]}, ORDER, "the pattern matches"),
    ({"source": ["web"]}, ORDER, 'source is "shop", wanted "web"'),
    ({"source": ["web", {"prefix": "x"}]}, ORDER, 'source is "shop", wanted any of "web", {"prefix": "x"}'),
    ({"region": ["eu"]}, ORDER, 'region is absent, wanted "eu"'),
    ({"detail": {"state": ["paid"]}}, ORDER, 'detail.state is "open", wanted "paid"'),
    ({"detail": {"note": ["x"]}}, ORDER, 'detail.note is null, wanted "x"'),
    ({"detail": {"tags": ["x"]}}, ORDER, 'detail.tags is "a", "b", "c", ..., wanted "x"'),
    ({"detail": {"none": [{"exists": True}]}}, ORDER, 'detail.none is an empty list, wanted {"exists": true}'),
    ({"detail": {"sub": ["x"]}}, ORDER, 'detail.sub is an object, wanted "x"'),
    ({"detail": ["x"]}, ORDER, 'detail is an object, wanted "x"'),
    ({"source": {"name": ["x"]}}, ORDER, 'source.name is absent, wanted "x"'),
    ({"total": [{"numeric": [">", 100]}]}, ORDER, 'total is 12.5, wanted {"numeric": [">", 100]}'),
    ({"total": ["12.5"]}, ORDER, 'total is 12.5, wanted "12.5"'),
    ({"total": [{"exists": False}]}, ORDER, "total is 12.5, wanted it to be absent"),
    ({"source": ["a"], "total": [1]}, ORDER, 'source is "shop", wanted "a" (and 1 more field does not match)'),
    ({"a": [1], "b": [1], "c": [1]}, ORDER, "a is absent, wanted 1 (and 2 more fields do not match)"),
    ({"items": {"sku": ["C"]}}, ORDER, 'items.sku is "A", "B", wanted "C"'),
    (
        {"source": ["shop"], "items": {"sku": ["A"], "qty": [2]}},
        ORDER,
        "no element of the lists satisfies items.sku and items.qty together",
    ),
    (
        {"items": {"sku": ["A"], "qty": [{"exists": False}]}},
        ORDER,
        "items.qty is 1, 2, wanted it to be absent",
    ),
    (
        {"items": {"gift": [{"exists": False}], "sku": ["A"], "qty": [2]}},
        {"items": [*ORDER["items"], {"gift": True}]},
        "no element of the lists satisfies items.sku and items.qty together",
    ),
    (
        {"$or": [{"source": ["a"], "total": [1]}, {"source": ["shop"], "total": [2]}]},
        ORDER,
        "none of 2 alternatives matches; in the nearest, total is 12.5, wanted 2",
    ),
    ({"a.b": [1]}, {"a": {"b": 2}, "a.b": 3}, "a.b is 2, 3, wanted 1"),
    ({"a": [1]}, [1], "the body is a list; a pattern matches only objects"),
    ({"a": [1]}, [], "the body is an empty list; a pattern matches only objects"),
    ({"a": [1]}, "x", 'the body is "x"; a pattern matches only objects'),
    ({"a": [1]}, None, "the body is null; a pattern matches only objects"),
    ({"a": [1]}, {"a": b"x"}, "a is a bytes, wanted 1"),
    ({"a": [1]}, {"a": 10**5000}, "a is an integer of more than 40 digits, wanted 1"),
    ({"a": [1, 2, 3, 4, 5, 6]}, {}, "a is absent, wanted any of 1, 2, 3, 4, 5, ..."),
    ({"a": ["b\n\u2028c"]}, {"a": "x\ny\r"}, 'a is "x\\ny\\r", wanted "b\\n\\u2028c"'),
    ({"a\nb": [1]}, {}, '"a\\nb" is absent, wanted 1'),
    ({"a": ["日本"]}, {"a": "\ud800"}, 'a is "\\ud800", wanted "日本"'),
    ({"a": [1]}, {"a": "x" * 100}, f'a is "{"x" * 60}...", wanted 1'),
]


@pytest.mark.parametrize(("pattern", "body", "text"), CASES, ids=show)
def test_the_reason_names_field_value_and_wish(pattern: dict[str, Any], body: Any, text: str) -> None:
    """One line, and it never says "matches" of what does not."""
    assert explain(pattern, body) == text
    assert compile_pattern(pattern)(body) is (text == "the pattern matches")
    assert len(text.splitlines()) == 1
