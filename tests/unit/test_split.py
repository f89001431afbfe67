"""The transform `split`: one event an item, in order, each with a key that stays."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.components.transforms.split import MAX_ADDED, MAX_PARTS, Split
from gateway.errors import ConfigProblem, DecodeError, Reject
from gateway.event import Drop, Event
from tests.unit.build import bodies, make, make_event, steps, values
from tests.unit.routes import copies_of, delivery_of, route_of

texts = steps.map(".".join)


def split(path: str, body: Any) -> Any:
    """What becomes of an event with this body, on a route that declared what the step reads."""
    step = make(Split, path)
    return step.apply(make_event(body, keys=step.reads()))


@pytest.mark.parametrize(
    ("path", "body", "made"),
    [
        ("a", {"a": [1, 2], "b": 3}, [{"a": 1, "b": 3}, {"a": 2, "b": 3}]),
        ("a.b", {"a": {"b": [{"c": 1}, None], "d": 2}}, [{"a": {"b": {"c": 1}, "d": 2}}, {"a": {"b": None, "d": 2}}]),
        ("a", {"a": [[1], [2, 3]]}, [{"a": [1]}, {"a": [2, 3]}]),
        ("a.0", {"a": [[1, 2], 3]}, [{"a": [1, 3]}, {"a": [2, 3]}]),
        ("a", {"a": [7]}, [{"a": 7}]),
    ],
)
def test_each_part_is_the_event_with_one_item_in_the_lists_place(path: str, body: Any, made: list[Any]) -> None:
    """In the list's order."""
    assert [part.body for part in split(path, body)] == made


def test_an_empty_list_drops_the_event() -> None:
    """The reason names the path."""
    dropped = split("a.b", {"a": {"b": []}})
    assert isinstance(dropped, Drop)
    assert dropped.reason == "a.b is an empty list"


@pytest.mark.parametrize("body", [{}, {"a": None}, {"a": {"b": None}}, {"a": {"b": {"0": 1}}}, {"a": {"b": "xy"}}, 5])
def test_what_is_absent_or_no_list_passes_unchanged(body: Any) -> None:
    """The very event, so that its bytes pass through untouched."""
    event = make_event(body)
    assert make(Split, "a.b").apply(event) is event


def test_parts_have_keys_of_their_own() -> None:
    """A part that is split again keeps its own before them."""
    parts = split("a", {"a": [{"b": [1, 2]}, {"b": [3]}]})
    assert [part.key for part in parts] == ["a[0]", "a[1]"]
    again = make(Split, "a.b")
    assert [inner.key for part in parts for inner in again.apply(part)] == ["a[0] a.b[0]", "a[0] a.b[1]", "a[1] a.b[0]"]


def test_a_part_keeps_its_message_id_when_others_end_on_the_way() -> None:
    """Were ids counted, what a new config drops would move the others: a redelivery would take one for another."""

    class DropFirst(Split, name="drop-first"):
        """Splits, without the first part."""

        def apply(self, event: Event) -> Any:
            made = super().apply(event)
            assert isinstance(made, list)
            return made[1:]

    delivery = delivery_of(b'{"items":[{"n":1},{"n":2},{"n":3}]}')
    whole, shorter = (
        {copy.data: copy.message_id for copy in copies_of(route_of(), delivery, parts)}
        for parts in (
            make(Split, "items").apply(make_event(delivery.data)),
            make(DropFirst, "items").apply(make_event(delivery.data)),
        )
    )
    assert len(set(whole.values())) == 3
    assert shorter == {data: whole[data] for data in (b'{"items":{"n":2}}', b'{"items":{"n":3}}')}


@given(texts, bodies)
def test_parts_say_what_the_event_said(path: str, body: Any) -> None:
    """The items put back make the event; it is deterministic, however much was decoded; and nothing else changes."""
    step = make(Split, path)
    outcomes = []
    for keys in (None, frozenset[str](), step.reads()):
        event = make_event(body, keys=keys)
        made = step.apply(event)
        assert event.body == make_event(body).body
        if not isinstance(made, list):
            outcomes.append(made.reason if isinstance(made, Drop) else made.body)
            continue
        outcomes.append([(part.key, copy.deepcopy(part.body)) for part in made])
        assert event.set(path, [part.get(path) for part in made]).body == event.body
    assert outcomes[0] == outcomes[1] == outcomes[2]


@given(st.lists(values, min_size=1, max_size=4), bodies)
def test_only_the_branch_of_the_list_is_copied(items: list[Any], beside: Any) -> None:
    """What surrounds the list is in memory once, and a part that changes changes no other."""
    event = make_event({"beside": beside, "a": {"list": items, "beside": beside}}, keys=None)
    parts = make(Split, "a.list").apply(event)
    for part in parts:
        assert part.body["beside"] is event.body["beside"]
        assert part.body["a"]["beside"] is event.body["a"]["beside"]
    before = [copy.deepcopy(part.body) for part in parts]
    changed = parts[0].set("a.list", "new").set("beside", "new")
    assert changed.body != before[0]
    assert [part.body for part in parts] == before


# ------------------------------------------------------------------------------------- what memory can hold


def test_more_items_than_memory_should_hold_are_refused() -> None:
    """To the dead letters, whole and with a code of its own; the message holds no data."""
    assert len(split("a", {"a": [0] * MAX_PARTS})) == MAX_PARTS
    with pytest.raises(Reject, match=r"a has 10001 items, 10000 are split at most") as caught:
        split("a", {"a": [0] * (MAX_PARTS + 1)})
    assert caught.value.code == "too-many-parts"


@pytest.mark.parametrize(
    "beside", [{"x": "x" * 20_000}, {"x": ["x" * 100] * 200}, {"x": {f"k{n}": n for n in range(2000)}}]
)
def test_what_surrounds_the_list_is_not_multiplied_without_end(beside: Any) -> None:
    """1,000 parts of 20 KB each would be 20 MB of one event of 25 KB; 500 are fine. Read or not, it counts."""
    assert len(split("a", {"a": [0] * 500, **beside})) == 500
    with pytest.raises(Reject) as caught:
        split("a", {"a": [0] * 1000, **beside})
    assert caught.value.code == "parts-too-large"
    assert caught.value.code in Split.codes
    event = make_event({"a": [0] * 1000, **beside}, keys=None)
    with pytest.raises(Reject):
        make(Split, "a").apply(event)


def test_large_items_are_not_counted() -> None:
    """They are in one part each, as they were in the event."""
    assert len(split("a", {"a": ["x" * 1_000_000] * 20})) == 20
    assert MAX_ADDED < 20 * 1_000_000
    assert len(split("a", {"a": [1], "b": "x" * (MAX_ADDED + 1)})) == 1


# ------------------------------------------------------------------------------------- config


@pytest.mark.parametrize("path", ["$subject", "$headers.X"])
def test_attributes_cannot_be_split(path: str) -> None:
    with pytest.raises(ConfigProblem, match="read-only"):
        make(Split, path)


def test_it_reads_the_key_the_list_is_under() -> None:
    """A list that is broken is a decode error; what is broken beside it goes on as it is."""
    assert make(Split, "a.b").reads() == {"a"}
    data = b'{"a":[1,2],"bad":"\xff"}'
    assert [part.get("a") for part in split("a", data)] == [1, 2]
    with pytest.raises(DecodeError):
        split("bad", data)
