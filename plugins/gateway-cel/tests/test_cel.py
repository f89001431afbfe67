"""What the filter says of an event, and why."""

from __future__ import annotations

from typing import Any

import pytest

from gateway import ConfigProblem, Event, Reject
from gateway.testing import check_plugin, make_component, make_event, run_step
from gateway_cel import Cel


def made(expression: str) -> Cel:
    """The filter, prepared."""
    return make_component(Cel, expression)


def event(body: Any, headers: dict[str, str] | None = None) -> Event:
    """An event with any body at all."""
    return make_event({}, subject="orders.paid", headers=headers).replace(body=body)


def says(expression: str, body: Any, headers: dict[str, str] | None = None) -> bool:
    """What the filter answers."""
    return made(expression).accepts(event(body, headers))


ORDER = {
    "id": "e-1",
    "type": "OrderPaid",
    "time": "2026-05-01T02:00:00+02:00",
    "data": {"total": 120.5, "count": 3, "items": [{"qty": 1}, {"qty": 3}], "note": None},
}

TRUE = [
    "data.total > 100",
    "data.total > 100 && data.count == 3.0",
    "data.items.exists(item, item.qty > 2)",
    "data.items.all(data, data.qty > 0) && data.total > 100",
    "data.note == null",
    "has(data.total) && !has(data.vat)",
    "data.?vat.orValue(1) == 1",
    "event.body.data.items[1].qty == 3",
    'event.body.type == "OrderPaid" && event.type == "OrderPaid"',
    'event.id == "e-1" && event.subject.startsWith("orders.") && event.correlation_id == "e-1"',
    'event.time >= timestamp("2026-05-01T00:00:00Z") && event.time.getFullYear() == 2026',
    "data.vat > 1 || data.total > 1",
    "double(data.count) * 1.5 > 4.0",
]
FALSE = [
    ("data.total > 1000", "the expression is false"),
    ("data.vat > 100", "data.vat is absent"),
    ("!(data.vat > 100)", "data.vat is absent"),
    ("data.vat != 7", "data.vat is absent"),
    ("nothing.at.all == 1", "nothing.at.all is absent"),
    ('data["vat"] == 1', "a key the expression reads is absent"),
    ('data.total == 1 || data.total.startsWith("x")', "the types do not fit: (double).startsWith(string)"),
    ("data.note.size() > 1", "the types do not fit: (null_type).size()"),
    ("data.count * 1.5 > 1.0", "the types do not fit: _*_(int64, double)"),
    ("data.items[7].qty == 1", "a list the expression reads is too short"),
    ('event.source == "x"', "event.source is absent"),
    ('event.headers["x-tenant"] == "x"', "a key the expression reads is absent"),
]


@pytest.mark.parametrize("expression", TRUE)
def test_an_event_of_which_it_is_true_is_accepted(expression: str) -> None:
    assert says(expression, ORDER) is True


@pytest.mark.parametrize(("expression", "why"), FALSE)
def test_what_is_false_or_cannot_be_evaluated_is_not_accepted_and_says_why(expression: str, why: str) -> None:
    """An absent key is not true, and not the text of an error, which would be."""
    result = run_step(made(expression), event(ORDER))
    assert (result.verdict, result.reason) == ("filtered", why)


def test_headers_are_found_in_lower_case_whatever_case_they_came_in() -> None:
    assert says('event.headers["x-tenant"] == "acme"', {}, {"X-Tenant": "acme"})


def test_a_header_that_is_no_text_is_readable() -> None:
    """A broken byte comes as a surrogate, which no CEL string can hold."""
    assert says('event.headers["x"] == "a\N{REPLACEMENT CHARACTER}"', {}, {"X": "a\udcff"})


@pytest.mark.parametrize("body", [[1, 2], "data", 7, None, b"data", True])
def test_a_body_without_keys_is_not_accepted(body: Any) -> None:
    result = run_step(made("data.total > 100"), event(body))
    assert (result.verdict, result.reason) == ("filtered", "data.total is absent")


def test_a_body_without_keys_can_be_asked_as_a_whole() -> None:
    assert says("event.body.size() == 2 && event.body[0] == 1", [1, 2])
    assert says('event.body == b"raw"', b"raw")


@pytest.mark.parametrize("value", ["no", 1, None, [True], {"a": True}, 1.5, b"x", "ERROR", ""])
def test_an_answer_that_is_neither_true_nor_false_is_refused(value: Any) -> None:
    with pytest.raises(Reject) as caught:
        says("data.paid", {"data": {"paid": value}})
    assert caught.value.code == "cel-not-boolean"


@pytest.mark.parametrize("value", [True, False])
def test_a_boolean_of_the_event_is_an_answer(value: bool) -> None:
    assert says("data.paid", {"data": {"paid": value}}) is value


@pytest.mark.parametrize(
    ("value", "what"),
    [
        (1 << 64, "a whole number beyond 64 bits"),
        (-(1 << 63) - 1, "a whole number beyond 64 bits"),
        ([[{"x": 1 << 70}]], "a whole number beyond 64 bits"),
        ({None: 1}, "an object whose keys are not text"),
        ([{1.5: 1}], "an object whose keys are not text"),
    ],
)
def test_a_value_cel_does_not_have_is_refused_where_it_is_read(value: Any, what: str) -> None:
    """Nobody has decided, so it is not filtered; where nobody reads it, it does no harm."""
    body = {"data": {"x": value, "total": 120}}
    with pytest.raises(Reject, match=f"^the expression reads {what}$") as caught:
        says("data.x == 1", body)
    assert caught.value.code == "cel-value"
    assert says("data.total > 100", body)


UNDECIDED = [
    ("1 / (count - 3) == 1", "divide by zero"),
    ("most + 1 > 0", "integer overflow"),
    ("int(name) == 1", "cannot convert string to int"),
    ("timestamp(name) > event.time", "String to Timestamp conversion failed"),
    ("text.matches(pattern)", "invalid regular expression"),
    ('["a", "("].exists(one, text.matches(one))', "invalid regular expression"),
    ('"%d".format([name]) == "x"', "invalid argument"),
]


@pytest.mark.parametrize(("expression", "why"), UNDECIDED)
def test_what_cannot_be_calculated_is_refused_and_never_filtered(expression: str, why: str) -> None:
    """Or a slip in the expression would throw every event away in silence."""
    body = {
        "time": ORDER["time"],
        "count": 3,
        "most": (1 << 63) - 1,
        "name": "4111-1111",
        "text": "x",
        "pattern": "(4111",
    }
    result = run_step(made(expression), event(body))
    assert (result.verdict, result.code) == ("failed", "cel-value")
    assert result.reason.endswith(f"the expression cannot be evaluated: {why}")
    assert "4111" not in result.reason


@pytest.mark.parametrize("value", [(1 << 64) - 1, -(1 << 63), b"\xff", "\x00", 1e308, [], {}, [[[]]], {1: 2}, {"": 1}])
def test_values_at_the_edge_are_taken(value: Any) -> None:
    assert says("x == x", {"x": value}) is True


def test_a_deep_value_is_taken() -> None:
    deep: Any = 1
    for _ in range(900):
        deep = [deep]
    assert says("x == x", {"x": deep})


def test_a_long_evaluation_ends() -> None:
    with pytest.raises(Reject) as caught:
        says("x.all(a, x.all(b, x.all(c, a + b + c >= 0)))", {"x": list(range(200))})
    assert caught.value.code == "cel-budget"


def test_a_regular_expression_cannot_run_away() -> None:
    assert says('x.matches("^(a+)+$")', {"x": "a" * 100_000 + "b"}) is False


def test_no_word_of_the_event_is_in_an_explanation_or_a_refusal() -> None:
    secret = "4111-1111"
    for expression in ["m[key] == 1", "key > 5", "int(key) == 1", "m[0] == 1", "timestamp(key) == timestamp(key)"]:
        result = run_step(made(expression), event({"key": secret, "m": {secret + "x": 1}}))
        assert not result.passed
        assert "4111" not in result.reason


@pytest.mark.parametrize(
    ("expression", "keys"),
    [
        ("data.total > 1 && region == 'x'", {"data", "region"}),
        ("event.body.type == 'x'", {"type"}),
        ("event.type == 'x'", set()),
        ("event.body.size() > 1 && data.total > 1", None),
    ],
)
def test_it_says_which_keys_it_reads(expression: str, keys: set[str] | None) -> None:
    """So that its route decodes no more of an event."""
    assert made(expression).reads() == keys


def test_a_bad_expression_is_a_config_problem() -> None:
    with pytest.raises(ConfigProblem, match="column 4"):
        Cel("a >> 1", made("a > 1").context).prepare()


def test_the_plugin_is_as_it_should_be() -> None:
    check_plugin("cel")
