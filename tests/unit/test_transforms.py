"""The built-in transforms: what they make, what they refuse, and that nobody else's event changes."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import Transform, components
from gateway.components.codecs.json import Json
from gateway.components.transforms.map import Map
from gateway.components.transforms.pick import Pick
from gateway.components.transforms.redact import Redact
from gateway.components.transforms.remove import Remove
from gateway.components.transforms.rename import Rename
from gateway.components.transforms.set import Set
from gateway.components.transforms.template import InputTemplate
from gateway.errors import ConfigProblem, DecodeError, EventError
from gateway.headers import NO_HEADERS
from gateway.missing import MISSING
from tests.unit.build import bodies, make, make_event, steps, values

BODY = {"id": "42", "n": 5, "data": {"user": "u", "total": 9.5, "tags": ["x", "y", "z"]}, "items": [{"sku": 1}, {}]}
texts = steps.map(".".join)
configs = st.one_of(
    st.tuples(
        st.just(Set),
        st.dictionaries(texts, values.filter(lambda v: "{" not in str(v) and "}" not in str(v)), min_size=1),
    ),
    st.tuples(st.just(Set), st.dictionaries(texts, texts.map("{{{}}}".format), min_size=1)),
    st.tuples(st.just(Rename), st.dictionaries(texts, texts, min_size=1)),
    st.tuples(st.just(Remove), st.lists(texts, min_size=1)),
    st.tuples(st.just(Pick), st.lists(texts, min_size=1)),
    st.tuples(st.just(Redact), st.lists(texts, min_size=1).map(lambda paths: {"paths": paths})),
    st.tuples(
        st.just(Map),
        st.fixed_dictionaries({"path": texts, "into": texts, "table": st.just({"x": 1}), "default": values}),
    ),
    st.tuples(
        st.just(InputTemplate),
        st.builds(lambda p: {"paths": {"v": p}, "template": '{"a": <v>, "b": [<v>, "<v>"]}'}, texts),
    ),
)


def run(kind: type[Any], config: Any, body: Any, **about: Any) -> Any:
    """The body a transform makes of a body, for a route that declared what the transform reads."""
    step = make(kind, config)
    return step.apply(make_event(body, keys=step.reads(), **about)).body


def places(step: Any) -> frozenset[str] | None:
    """What the step declared."""
    declared: frozenset[str] | None = step.reads()
    return declared


NEEDS_NO_SERVER = [kind for kind in components.gateway_transforms() if kind.open is Transform.open]
"""`enrich` opens a bucket, and is tried on a real one in tests/jetstream."""


@pytest.mark.parametrize("kind", NEEDS_NO_SERVER)
def test_examples_work(kind: Any) -> None:
    """What the docs show is accepted."""
    data = {"userId": 1, "status": 2, "total": 3, "orderId": 4, "customer_id": 5, "items": [6]}
    body = {"detail": {"data": data}, "id": 1}
    made = make(kind, kind.example).apply(make_event(body))
    assert all(event.body != body for event in (made if isinstance(made, list) else [made]))
    assert kind.summary.endswith(".")


@given(configs, bodies)
def test_no_transform_changes_the_event_another_target_sees(chosen: tuple[Any, Any], body: Any) -> None:
    """Deep-equal before and after, however much was decoded; and the outcome does not depend on that either."""
    step = make(*chosen)
    outcomes = []
    for keys in (None, frozenset[str](), places(step)):
        event = make_event(body, keys=keys)
        twin = event.replace(subject="twin")
        try:
            made = step.apply(event)
            made = made.set("zz", 1) if type(made.body) is dict else made
            outcomes.append(copy.deepcopy(made.body))
        except EventError as error:
            assert error.code == "transform-error"  # noqa: PT017 # a refusal must not change the event either
            outcomes.append(error.message)
        assert event.body == twin.body == body
        assert not event.changed
    assert outcomes[0] == outcomes[1] == outcomes[2]


@given(configs, bodies)
def test_what_a_transform_made_can_be_read_and_written(chosen: tuple[Any, Any], body: Any) -> None:
    """No undecoded value is left where a path would find it."""
    step = make(*chosen)
    try:
        made = step.apply(make_event(body, keys=places(step)))
    except EventError:
        return
    codec = make(Json)
    sent = codec.decode(codec.encode(made.encodable, NO_HEADERS).data, NO_HEADERS, "")
    for key in sent if type(sent) is dict else ():
        assert made.top(key) == sent[key]
    assert made.body == sent


# --------------------------------------------------------------------------------------------------- set


@pytest.mark.parametrize(
    ("config", "made"),
    [
        ({"x": "{n}"}, {"x": 5}),
        ({"x": "n{n}"}, {"x": "n5"}),
        ({"x": "{data.tags}"}, {"x": ["x", "y", "z"]}),
        ({"x": "{$subject}"}, {"x": "orders.created"}),
        ({"x": 5}, {"x": 5}),
        ({"x": None}, {"x": None}),
        ({"x": "{{n}}"}, {"x": "{n}"}),
        ({"x": {"a": "{n}", "b": ["{n}", 1, {"c": "{id}"}]}}, {"x": {"a": 5, "b": [5, 1, {"c": "42"}]}}),
        ({"x": {"a": "{nope}", "b": ["{nope}", 1]}}, {"x": {"b": [1]}}),
        ({"x": "{nope}"}, {}),
        ({"x": "a {nope}"}, {}),
        ({"x": "{nope|or:d}"}, {"x": "d"}),
        ({"x.y.z": 1}, {"x": {"y": {"z": 1}}}),
        ({"n": "{id}", "id": "{n}"}, {"n": "42", "id": 5}),
        ({"items.1.sku": 2}, {"items": [{"sku": 1}, {"sku": 2}]}),
    ],
)
def test_set(config: Any, made: dict[str, Any]) -> None:
    """A lone placeholder keeps its type, absent sets nothing, all values are read before any is written."""
    assert run(Set, config, BODY) == BODY | made


def test_a_set_that_sets_nothing_gives_the_same_event() -> None:
    """So that the bytes pass through untouched."""
    event = make_event(BODY)
    assert make(Set, {"x": "{nope}"}).apply(event) is event


@pytest.mark.parametrize("place", ["items.2.sku", "items.x", "n.x", "id.x", "data.tags.3"])
def test_list_items_are_never_made(place: str) -> None:
    """Nor fields of scalars."""
    with pytest.raises(EventError, match="cannot set") as caught:
        run(Set, {place: 1}, BODY)
    assert caught.value.code == "transform-error"


# --------------------------------------------------------------------------------------------------- rename


@pytest.mark.parametrize(
    ("config", "made"),
    [
        ({"a": "b"}, {"b": 1, "c": [10, 20, 30], "d": {"e": 2}}),
        ({"a": "d.a"}, {"b": 0, "c": [10, 20, 30], "d": {"e": 2, "a": 1}}),
        ({"d.e": "e"}, {"a": 1, "b": 0, "c": [10, 20, 30], "d": {}, "e": 2}),
        ({"a": "b", "b": "a"}, {"a": 0, "b": 1, "c": [10, 20, 30], "d": {"e": 2}}),
        ({"nope": "a"}, {"a": 1, "b": 0, "c": [10, 20, 30], "d": {"e": 2}}),
        ({"a": "b", "nope": "a"}, {"b": 1, "c": [10, 20, 30], "d": {"e": 2}}),
        ({"c.0": "x", "c.1": "y"}, {"a": 1, "b": 0, "c": [30], "d": {"e": 2}, "x": 10, "y": 20}),
        ({"c.0": "c.1", "c.1": "c.0"}, {"a": 1, "b": 0, "c": [20, 10, 30], "d": {"e": 2}}),
        ({"d.e": "d"}, {"a": 1, "b": 0, "c": [10, 20, 30], "d": 2}),
        ({"a": "a.a"}, {"a": {"a": 1}, "b": 0, "c": [10, 20, 30], "d": {"e": 2}}),
    ],
)
def test_rename(config: dict[str, str], made: dict[str, Any]) -> None:
    """All are read before any is written; what is absent is skipped and its new place left alone."""
    assert run(Rename, config, {"a": 1, "b": 0, "c": [10, 20, 30], "d": {"e": 2}}) == made


def test_a_field_can_be_renamed_to_an_attribute() -> None:
    """It moves undecoded and is read there."""
    event = make(Rename, {"order": "id"}).apply(make_event({"order": "9", "id": "1"}))
    assert event.id == "9"


# --------------------------------------------------------------------------------------------------- remove, pick


def test_remove_counts_in_the_list_as_it_came() -> None:
    """Whatever order the paths are in."""
    for config in (["data.tags.0", "data.tags.1"], ["data.tags.1", "data.tags.0"]):
        assert run(Remove, config, BODY)["data"]["tags"] == ["z"]
    assert run(Remove, ["l.2", "l.10", "l.9"], {"l": list(range(12))}) == {"l": [0, 1, 3, 4, 5, 6, 7, 8, 11]}


def test_removing_what_is_not_there_gives_the_same_event() -> None:
    """So that the bytes pass through untouched."""
    event = make_event(BODY)
    assert make(Remove, ["nope", "data.nope", "items.5"]).apply(event) is event


@given(bodies, st.lists(texts, min_size=1, max_size=4))
def test_what_was_removed_from_objects_is_gone(body: Any, config: list[str]) -> None:
    """Indices aside, which move up."""
    config = [text for text in config if not any(step in "01" for step in text.split("."))] or ["a"]
    step = make(Remove, config)
    made = step.apply(make_event(body, keys=places(step)))
    assert all(made.get(text, MISSING) is MISSING for text in config)


@pytest.mark.parametrize(
    ("config", "made"),
    [
        (["id"], {"id": "42"}),
        (["data.total", "id"], {"data": {"total": 9.5}, "id": "42"}),
        (["data.tags.2", "data.tags.0"], {"data": {"tags": ["x", "z"]}}),
        (["items.0.sku", "items.1.sku"], {"items": [{"sku": 1}]}),
        (["data", "data.total"], {"data": BODY["data"]}),
        (["data.total", "data"], {"data": BODY["data"]}),
        (["nope", "data.nope", "id.x"], {}),
    ],
)
def test_pick(config: list[str], made: dict[str, Any]) -> None:
    """Only the fields named; what is absent is skipped."""
    assert run(Pick, config, BODY) == made
    assert list(run(Pick, config, BODY)) == list(made)


def test_pick_of_a_body_without_fields_is_an_empty_object() -> None:
    """A scalar has none."""
    assert run(Pick, ["a"], 5) == {}
    assert run(Pick, ["1"], [1, 2]) == [2]


def test_a_broken_field_can_be_removed_but_not_read() -> None:
    """It is a decode error at the moment a step reads it."""
    data = b'{"a":1,"bad":"\xff","other":1e400}'
    assert run(Remove, ["bad", "other"], data) == {"a": 1}
    assert run(Pick, ["a"], data) == {"a": 1}
    assert make(Rename, {"bad": "worse"}).apply(make_event(data)).get("a") == 1
    for kind, config in (
        (Set, {"x": "{bad}"}),
        (Set, {"bad.x": 1}),
        (Rename, {"bad": "x.y"}),
        (Remove, ["bad.x"]),
        (Pick, ["bad.x"]),
        (Map, {"path": "bad", "table": {"a": 1}}),
        (InputTemplate, {"paths": {"b": "bad"}, "template": "<b>"}),
        (InputTemplate, {"template": "<aws.events.event>"}),
    ):
        step = make(kind, config)
        for keys in (frozenset[str](), places(step)):
            with pytest.raises(DecodeError):
                step.apply(make_event(data, keys=keys))


# --------------------------------------------------------------------------------------------------- map


@pytest.mark.parametrize(
    ("value", "answer"),
    [
        ("x", 1),
        ("404", "nf"),
        (404, "nf"),
        (True, "yes"),
        (None, "null"),
        (1.5, {"a": 1}),
        ("y", "d"),
        ([], "d"),
        ({}, "d"),
    ],
)
def test_map_looks_scalars_up_as_json_writes_them(value: object, answer: object) -> None:
    """Everything the table does not have is the default."""
    table = {"x": 1, "404": "nf", "true": "yes", "null": "null", "1.5": {"a": 1}}
    assert run(Map, {"path": "v", "table": table, "default": "d"}, {"v": value}) == {"v": answer}


def test_map_without_default_leaves_the_event() -> None:
    """A default of null is one."""
    event = make_event({"v": "y"})
    assert make(Map, {"path": "v", "table": {"x": 1}}).apply(event) is event
    assert run(Map, {"path": "v", "table": {"x": 1}, "default": None}, {"v": "y"}) == {"v": None}
    assert run(Map, {"path": "nope", "into": "a.b", "table": {"x": 1}, "default": 0}, {}) == {"a": {"b": 0}}
    assert run(Map, {"path": "$subject.0", "into": "t", "table": {"orders": 1}}, {}) == {"t": 1}


# --------------------------------------------------------------------------------------------------- configs


@pytest.mark.parametrize(
    ("kind", "config", "place"),
    [
        (Set, {}, ()),
        (Set, {"$subject": "x"}, ("$subject",)),
        (Set, {"a..b": "x"}, ("a..b",)),
        (Set, {"a": "{"}, ("a",)),
        (Set, {"a": {"b": ["x", "{$nope}"]}}, ("a", "b", 1)),
        (Rename, {"$id": "a"}, ("$id",)),
        (Rename, {"a": "$id"}, ("a",)),
        (Rename, {}, ()),
        (Remove, ["a", "$id"], (1,)),
        (Remove, [], ()),
        (Pick, ["$id"], (0,)),
        (Pick, [], ()),
        (Map, {"path": "$id", "table": {"a": 1}}, ("path",)),
        (Map, {"path": "a", "into": "$id", "table": {"a": 1}}, ("into",)),
        (Map, {"path": "a", "table": {}}, ("table",)),
        (InputTemplate, {"template": '{"a": <n>}'}, ("template",)),
        (InputTemplate, {"template": '{"<aws.events.rule-name>": 1}'}, ("template",)),
        (InputTemplate, {"template": '{"a": 1'}, ("template",)),
        (InputTemplate, {"template": '"a" 5'}, ("template",)),
        (InputTemplate, {"template": '"\\u0000"'}, ("template",)),
        (InputTemplate, {"paths": {"a b": "x"}, "template": "x"}, ("paths", "a b")),
        (InputTemplate, {"paths": {"a": "$.x[*]"}, "template": "x"}, ("paths", "a")),
        (InputTemplate, {"paths": {"aws.events.event": "x"}, "template": "x"}, ("paths", "aws.events.event")),
        (InputTemplate, {"paths": {f"v{i}": "x" for i in range(101)}, "template": "x"}, ("paths",)),
    ],
)
def test_a_config_that_makes_no_sense_names_its_place(kind: Any, config: Any, place: tuple[object, ...]) -> None:
    """The gateway makes file, line and column of it."""
    with pytest.raises(ConfigProblem) as caught:
        make(kind, config)
    assert caught.value.path == place


@pytest.mark.parametrize(
    ("kind", "config", "keys"),
    [
        (Set, {"a.b": "{c.d} {$subject}", "e": 1}, {"a", "c"}),
        (Rename, {"a": "b"}, set()),
        (Rename, {"a": "b.c"}, {"a", "b"}),
        (Remove, ["a", "b.c"], {"b"}),
        (Pick, ["a", "b.c"], {"b"}),
        (Map, {"path": "a.b", "into": "c", "table": {"x": 1}}, {"a"}),
        (InputTemplate, {"paths": {"a": "b.c", "u": "v"}, "template": "<a>"}, {"b"}),
        (InputTemplate, {"template": "<aws.events.event.json>"}, None),
    ],
)
def test_a_transform_declares_only_what_it_looks_into(kind: Any, config: Any, keys: set[str] | None) -> None:
    """So that a route decodes no more."""
    assert make(kind, config).reads() == keys


def test_set_refuses_numbers_that_json_cannot_say() -> None:
    """NaN would be written as null: somebody's mistake is said at the start, not found in the events."""
    for value in (float("nan"), [float("inf")], {"deep": float("-inf")}):
        with pytest.raises(ConfigProblem, match="NaN and infinity"):
            make(Set, {"x": value})
