"""Events: immutable, decoded as far as they are read."""

from __future__ import annotations

import copy
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given

from gateway.components.codecs.json import Json
from gateway.errors import DecodeError, EventError
from gateway.missing import MISSING
from gateway.paths import walk
from tests.unit.build import bodies, make, make_event, steps, values


@given(bodies, steps, values)
def test_set_and_delete_leave_the_old_event_as_it_was(body: Any, place: tuple[str, ...], value: Any) -> None:
    """Two routes, or two targets, can share one event."""
    event = make_event(body)
    before = copy.deepcopy(event.body)
    try:
        changed = event.set(".".join(place), value)
        assert changed.get(".".join(place), MISSING) == value
        assert changed.delete(".".join(place)).changed
    except EventError as error:
        assert error.code == "transform-error"  # noqa: PT017 # a refusal must not change the event either
    shorter = event.delete(".".join(place))
    assert shorter is event or walk(shorter.body, place) != walk(before, place) or walk(before, place) is MISSING
    assert event.body == before
    assert not event.changed


@given(bodies, steps, values)
def test_lazy_and_whole_events_change_alike(body: Any, place: tuple[str, ...], value: Any) -> None:
    """How much is decoded cannot be told from the outcome."""
    results = []
    for keys in (None, frozenset[str](), frozenset({"a", "b"})):
        try:
            results.append(make_event(body, keys=keys).set(".".join(place), value).delete("b").body)
        except EventError as error:
            results.append(error.message)
    assert results[0] == results[1] == results[2]


def test_only_what_is_read_is_decoded() -> None:
    """After a change, too: attributes decode only their own keys."""
    data = b'{"id":"7","bad":"\xff","a":{"b":1}}'
    event = make_event(data).set("a.b", 2).delete("c").set("d", 1)
    assert event.id == "7"
    assert event.get("a.b") == 2
    assert type(event.encodable["bad"]) is msgspec.Raw
    with pytest.raises(DecodeError):
        event.get("bad")


def test_a_value_that_is_replaced_or_removed_as_a_whole_need_not_decode() -> None:
    """A broken field can be taken out."""
    event = make_event(b'{"bad":"\xff","a":1}')
    assert event.delete("bad").body == {"a": 1}
    assert event.set("bad", "good").body == {"bad": "good", "a": 1}


def test_attributes_are_those_of_the_event_as_it_is_now() -> None:
    """A transform may give it another id or type."""
    event = make_event({"id": "1", "type": "A"})
    assert event.id == "1"
    assert event.set("id", "2").id == "2"
    assert event.delete("id").id == "ORDERS:7"
    assert event.id == "1"
    codec = make(Json, {"type": "$headers.T"})
    event = make_event({}, codec, {"T": "A"})
    assert event.type == "A"
    assert event.replace(headers={"t": "B"}).type == "B"


def test_an_event_without_an_id_has_one() -> None:
    """Its `Nats-Msg-Id`, else stream and sequence."""
    assert make_event({}, headers={"Nats-Msg-Id": "m"}).id == "m"
    assert make_event({}).id == "ORDERS:7"


def test_the_correlation_id_is_kept_along_the_way() -> None:
    """`Gateway-Correlation-Id`, else the codec's, else the id."""
    codec = make(Json, {"correlation-id": "c"})
    assert make_event({"c": "1"}, codec, {"gateway-correlation-id": "0"}).correlation_id == "0"
    assert make_event({"c": "1"}, codec).correlation_id == "1"
    assert make_event({"id": "9"}, codec).correlation_id == "9"


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2026-01-02T03:04:05Z", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("2026-01-02T03:04:05", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("2026-01-02T03:04:05+02:00", datetime(2026, 1, 2, 1, 4, 5, tzinfo=UTC)),
        ("yesterday", None),
        ("", None),
    ],
)
def test_time_is_aware_or_none(text: str, time: datetime | None) -> None:
    """UTC where no zone is given; a text that is no time is no error."""
    assert make_event({"time": text}).time == time


def test_meta_tells_where_it_came_from() -> None:
    """The same after every change."""
    event = make_event({"a": 1}, subject="orders.x").replace(subject="other", key="k", body=[1])
    assert (event.subject, event.key, event.body) == ("other", "k", [1])
    assert (event.meta.subject, event.meta.sequence, event.meta.route) == ("orders.x", 7, "orders")
    assert event.meta.stored_at == datetime(2023, 11, 14, 22, 13, 20, 123456, tzinfo=UTC)


def test_replace_changes_only_what_is_given() -> None:
    """A new subject alone leaves the payload's bytes to pass through."""
    event = make_event({"a": 1})
    assert not event.replace(subject="x", headers={"A": "b"}).changed
    assert event.replace(body=None).changed
    assert event.replace(body=None).body is None
    assert event.replace(headers={"A": "b"}).headers["a"] == "b"
    assert "a" not in event.headers


@pytest.mark.parametrize("path", ["$subject", "$headers.X", "$id"])
def test_dollar_names_cannot_be_written(path: str) -> None:
    """They are read-only."""
    for change in (lambda: make_event({}).set(path, 1), lambda: make_event({}).delete(path)):
        with pytest.raises(EventError, match="read-only"):
            change()


def test_a_list_at_the_root_can_be_read_and_written() -> None:
    """Indices are paths of their own."""
    event = make_event([1, {"a": 2}])
    assert event.get("1.a") == 2
    assert event.set("1.a", 3).body == [1, {"a": 3}]
    assert event.delete("0").body == [{"a": 2}]


def test_a_repr_shows_no_data() -> None:
    """A body in a log would be a leak."""
    assert repr(make_event({"a": "s3cret"}, subject="s3cret")) == "Event(ORDERS:7 on orders)"
