"""The transform template: EventBridge's input transformer, with values that cannot break out."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given

from gateway.components.transforms.template import InputTemplate
from gateway.errors import ConfigProblem
from tests.unit.build import make, make_event, values

BODY = {"id": "42", "n": 5, "data": {"user": "u", "total": 9.5, "tags": ["x", "y", "z"]}, "items": [{"sku": 1}, {}]}
PATHS = {"o": "data", "n": "n", "id": "$.id", "tag": "$.data.tags[1]", "no": "nope", "s": "$subject", "t": "data.tags"}


def run(config: Any, body: Any) -> Any:
    """The body the transform makes, for a route that declared what it reads."""
    step = make(InputTemplate, config)
    return step.apply(make_event(body, keys=step.reads())).body


@pytest.mark.parametrize(
    ("template", "made"),
    [
        ('{"a": <n>, "b": "<n>", "c": <id>, "d": "x <id> y"}', {"a": 5, "b": "5", "c": "42", "d": "x 42 y"}),
        ('{"a": <o>}', {"a": BODY["data"]}),
        ('{"a": "<t>"}', {"a": '["x","y","z"]'}),
        ('{"a": <no>, "b": "[<no>]"}', {"a": "", "b": "[]"}),
        ('[<tag>, "<s>", 1, null]', ["y", "orders.created", 1, None]),
        ('"order <id> of \\"<tag>\\""', 'order 42 of "y"'),
        ('"order <id>"\n"tag <tag>"\n', "order 42\ntag y"),
        ('"one\u2028line <id>"\r\n"two\x85"', "one\u2028line 42\ntwo\x85"),
        ("order <id>: <n>", "order 42: 5"),
        ("<n>", 5),
        ("<o>", BODY["data"]),
        ("a < b > c", "a < b > c"),
        ('{"a": "\\u003cn>"}', {"a": "<n>"}),
        ('{"r": <aws.events.rule-name>}', {"r": "orders"}),
        ('"<aws.events.event.ingestion-time>"', "2023-11-14T22:13:20.123456Z"),
        ("<aws.events.event.json>", BODY),
    ],
)
def test_template(template: str, made: Any) -> None:
    """JSON, quoted and plain; outside quotes a variable keeps its type, what is absent is an empty text."""
    assert run({"paths": PATHS, "template": template}, BODY) == made


def test_the_event_variable_leaves_detail_out() -> None:
    """As EventBridge gives it."""
    body = {"id": "1", "detail-type": "T", "detail": {"a": 1}}
    made = run({"template": '{"e": <aws.events.event>}'}, body)
    assert made == {"e": {"id": "1", "detailType": "T", "ingestionTime": "2023-11-14T22:13:20.123456Z"}}


@given(values)
def test_no_value_breaks_out_of_its_place(value: Any) -> None:
    """Quotes, braces, backslashes and NUL marks in an event are data."""
    for v in (value, '"}', "\\", "\x00wv\x00", "<v>", '{"a":1}'):
        made = run({"paths": {"v": "v"}, "template": '{"a": <v>, "b": "x<v>", "c": 1}'}, {"v": v})
        assert list(made) == ["a", "b", "c"]
        assert made["a"] == v
        assert made["b"].startswith("x")


def test_an_unknown_variable_is_told_its_neighbour() -> None:
    """A slip is found when the config is read."""
    with pytest.raises(ConfigProblem, match="<totl>") as caught:
        make(InputTemplate, {"paths": {"total": "n"}, "template": '"<totl>"'})
    assert "did you mean <total>?" in caught.value.hint
