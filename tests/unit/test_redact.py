"""The transform `redact`: masked or hashed, nothing else touched, and no value ever shown."""

from __future__ import annotations

import copy
import hashlib
import hmac
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.components.codecs.msgpack import MsgPack
from gateway.components.transforms.redact import MASK, Redact
from gateway.config.loader import examine_text
from gateway.errors import ConfigProblem, DecodeError
from gateway.problems import Problem
from gateway.registry import load_plugins
from gateway.routing.compile import compile_config
from tests.unit.build import bodies, make, make_event, values

BODY = {
    "id": "42",
    "user": {"mail": "a@b.c", "age": 30, "tags": ["x", "y"], "none": None},
    "items": [{"sku": 1, "card": {"number": "4111"}}, {"sku": 2}, {"sku": 3, "card": {"number": "5500"}}],
}
texts = st.lists(st.sampled_from(["a", "b", "id", "0", "1", "*"]), min_size=1, max_size=3).map(".".join)
ways = st.sampled_from([{}, {"with": "hmac", "key": "k"}])


def redacted(paths: list[str], body: Any, **how: str) -> Any:
    """The body it makes, for a route that declared what it reads."""
    step = make(Redact, {"paths": paths, **how})
    return step.apply(make_event(body, keys=step.reads())).body


def hashed(data: bytes, key: bytes = b"secret") -> str:
    """HMAC-SHA256 in hex, made the long way."""
    return hmac.new(key, data, hashlib.sha256).hexdigest()


@pytest.mark.parametrize(
    ("paths", "body", "made"),
    [
        (["a"], {"a": "x", "b": "y"}, {"a": MASK, "b": "y"}),
        (["a"], {"a": 5}, {"a": MASK}),
        (["a"], {"a": True}, {"a": MASK}),
        (["a"], {"a": {"b": 1}}, {"a": MASK}),
        (["a"], {"a": [1, 2]}, {"a": MASK}),
        (["a"], {"a": ""}, {"a": MASK}),
        (["a"], {"a": None}, {"a": None}),
        (["a.*"], {"a": [1, "x", None, {"b": 1}]}, {"a": [MASK, MASK, None, MASK]}),
        (["a.*"], {"a": {"b": 1, "c": [2]}}, {"a": {"b": MASK, "c": MASK}}),
        (["a.*.b"], {"a": [{"b": 1, "c": 2}, {"c": 3}, 5]}, {"a": [{"b": MASK, "c": 2}, {"c": 3}, 5]}),
        (["a.*.b"], {"a": {"x": {"b": 1}, "b": 2}}, {"a": {"x": {"b": MASK}, "b": 2}}),
        (["a.*.*"], {"a": [[1, 2], {"b": 3}, 4]}, {"a": [[MASK, MASK], {"b": MASK}, 4]}),
        (["a.1"], {"a": [1, 2, 3]}, {"a": [1, MASK, 3]}),
        (["a.01", "a.3", "a.-1", "a.x"], {"a": [1, 2, 3]}, {"a": [1, 2, 3]}),
        (["*"], {"a": 1, "b": {"c": 2}}, {"a": MASK, "b": MASK}),
        (["*.c"], {"a": 1, "b": {"c": 2}}, {"a": 1, "b": {"c": MASK}}),
        (["*.c"], [{"c": 1}, {"d": 2}], [{"c": MASK}, {"d": 2}]),
        (['a."*"'], {"a": {"*": 1, "b": 2}}, {"a": {"*": MASK, "b": 2}}),
        (['"a.b".c'], {"a.b": {"c": 1}}, {"a.b": {"c": MASK}}),
        (["a.b", "a"], {"a": {"b": 1}}, {"a": MASK}),
        (["a", "a.b"], {"a": {"b": 1}}, {"a": MASK}),
        (["a.*", "a.b.c"], {"a": {"b": {"c": 1}, "d": 2}}, {"a": {"b": MASK, "d": MASK}}),
        (["a.0.x", "a.*.y"], {"a": [{"x": 1, "y": 2}, {"x": 3}]}, {"a": [{"x": MASK, "y": MASK}, {"x": 3}]}),
        (["nope", "a.nope.x", "a.b.c"], {"a": {"b": 1}}, {"a": {"b": 1}}),
        (["a"], 5, 5),
    ],
)  # fmt: skip
def test_mask(paths: list[str], body: Any, made: Any) -> None:
    """Any value as a whole, null aside; a star is every item and every value; what is absent is skipped."""
    assert redacted(paths, body) == made


@pytest.mark.parametrize(
    ("value", "data"),
    [
        ("a@b.c", b"a@b.c"),
        ("é", "é".encode()),
        ("", b""),
        (5, b"5"),
        (2**80, str(2**80).encode()),
        (1.5, b"1.5"),
        (True, b"true"),
        ([1, "x"], b'[1,"x"]'),
        ({"b": 1, "a": {"d": 2, "c": 3}}, b'{"a":{"c":3,"d":2},"b":1}'),
    ],
)
def test_hmac_can_be_made_by_anybody_who_has_the_key(value: Any, data: bytes) -> None:
    """HMAC-SHA256 of the text, or of compact JSON with sorted keys."""
    assert redacted(["a", "b.*"], {"a": value, "b": [value, None]}, **{"with": "hmac", "key": "secret"}) == {
        "a": hashed(data),
        "b": [hashed(data), None],
    }


def test_hmac_takes_what_only_msgpack_says() -> None:
    """Bytes as they are, and keys that are no text."""
    step = make(Redact, {"paths": ["*"], "with": "hmac", "key": "secret"})
    made = step.apply(make_event({"a": b"\xff", "b": {1: 2}}, codec=make(MsgPack))).body
    assert made == {"a": hashed(b"\xff"), "b": hashed(b"{1: 2}")}


def test_a_value_two_paths_lead_to_is_hashed_once() -> None:
    """A hash of a hash would not join with anything."""
    made = redacted(["a.*.b", "a.0.b", "a.0.*"], {"a": [{"b": "x"}]}, **{"with": "hmac", "key": "secret"})
    assert made == {"a": [{"b": hashed(b"x")}]}


def test_the_hash_depends_on_the_key() -> None:
    one, other = (redacted(["a"], {"a": "x"}, **{"with": "hmac", "key": key})["a"] for key in ("k1", "k2"))
    assert one != other
    assert len(one) == len(other) == 64


@given(st.lists(texts, min_size=1, max_size=4), ways, bodies)
def test_only_touched_branches_are_copied(paths: list[str], how: dict[str, str], body: Any) -> None:
    """What is equal afterwards is the same object; the event itself, if nothing is there; and it never changes."""
    step = make(Redact, {"paths": paths, **how})
    event = make_event(body, keys=None)
    before, shape = event.body, copy.deepcopy(event.body)
    made = step.apply(event)
    assert event.body is before
    assert before == shape
    if made is event:
        return
    assert made.body != before or MASK in str(before)

    def shared(old: Any, new: Any) -> None:
        if type(old) is not type(new) or old is new:
            return
        changed = False
        for place in old if type(old) is dict else range(len(old)) if type(old) is list else ():
            changed = changed or old[place] is not new[place]
            shared(old[place], new[place])
        assert changed or type(old) is str, "copied for nothing"

    shared(before, made.body)


@given(st.lists(texts, min_size=1, max_size=3), ways, bodies)
def test_the_result_depends_neither_on_order_nor_on_decoding(paths: list[str], how: dict[str, str], body: Any) -> None:
    """Paths in any order, the body decoded in part or in whole; the fields stay in their order."""
    results = []
    for listed in (paths, paths[::-1], paths * 2):
        step = make(Redact, {"paths": listed, **how})
        declared = (None, frozenset[str](), step.reads())
        results += [step.apply(make_event(body, keys=keys)).body for keys in declared]
    assert all(result == results[0] and list(result) == list(body) for result in results)


@given(values, values)
def test_equal_values_have_equal_hashes(one: Any, other: Any) -> None:
    """And, texts aside that spell another value's JSON, only those."""
    how = {"with": "hmac", "key": "k"}
    made = redacted(["a", "b.*"], {"a": one, "b": [other]}, **how)
    if one is None or other is None:
        return
    # Not ==, which takes False for 0 inside of objects and lists.
    if msgspec.json.encode(one) == msgspec.json.encode(other):
        assert made["a"] == made["b"][0]
    elif type(one) is type(other) is str:
        assert made["a"] != made["b"][0]


def test_a_redact_that_finds_nothing_gives_the_same_event() -> None:
    """So that the bytes pass through untouched."""
    event = make_event(BODY)
    for paths in (["nope"], ["items.*.nope"], ["user.none"], ["id.*"]):
        assert make(Redact, {"paths": paths}).apply(event) is event


def test_what_cannot_be_read_cannot_be_redacted() -> None:
    """A broken value is a decode error whose text does not show it; one elsewhere does no harm."""
    data = b'{"a":1,"bad":"S3CRET\xff"}'
    step = make(Redact, {"paths": ["a"]})
    assert step.apply(make_event(data, keys=step.reads())).get("a") == MASK
    step = make(Redact, {"paths": ["bad"]})
    with pytest.raises(DecodeError) as caught:
        step.apply(make_event(data, keys=frozenset()))
    assert "S3CRET" not in str(caught.value)


def test_it_declares_the_keys_it_begins_with() -> None:
    """Everything when that is a star."""
    assert make(Redact, {"paths": ["a", "b.c", "b.*.d"]}).reads() == {"a", "b"}
    assert make(Redact, {"paths": ["a", "*.c"]}).reads() is None


@pytest.mark.parametrize(
    ("config", "place"),
    [
        ({"paths": []}, ("paths",)),
        ({"paths": ["a", "$headers.X"]}, ("paths", 1)),
        ({"paths": ["a"], "with": "hmac"}, ()),
        ({"paths": ["a"], "with": "hmac", "key": ""}, ("key",)),
        ({"paths": ["a"], "key": "S3CRET"}, ("key",)),
        ({"paths": ["a"], "with": "mask", "key": "S3CRET"}, ("key",)),
    ],
)
def test_a_config_that_makes_no_sense_names_its_place(config: Any, place: tuple[object, ...]) -> None:
    """And never shows the key."""
    with pytest.raises(ConfigProblem) as caught:
        make(Redact, config)
    assert caught.value.path == place
    assert "S3CRET" not in f"{caught.value}{caught.value.hint}"


def problems_of(step: str, env: dict[str, str]) -> list[Problem]:
    """What the config with this transform is told, by loader and compiler."""
    text = (
        "routes:\n  - name: r\n    source: {stream: S, subjects: [s.>]}\n    targets: [{subject: t}]\n"
        f"    transforms:\n      - redact: {step}\n"
    )
    loaded = examine_text(text, env=env, registry=load_plugins(entry_points=[]))
    if loaded.config is None:
        return list(loaded.problems)
    return compile_config(loaded.config, loaded.registry)[1]


@pytest.mark.parametrize(
    ("step", "column", "path", "text"),
    [
        ("{paths: [a, $id]}", 29, ".paths[1]", "$id is read-only"),
        ("{paths: [a, b..c]}", 29, ".paths[1]", "is not a path"),
        ("{paths: [a, b.**]}", 29, ".paths[1]", "a star is a step by itself"),
        ("{paths: [a, 'b[0].c']}", 29, ".paths[1]", "an index is a step of its own"),
        ("{paths: [a], with: hash}", 36, ".with", '"hash" is not one of "mask", "hmac"'),
        ("{paths: [a], with: hmac}", 17, "", "with: hmac needs a key"),
        ("{paths: [a], key: '${KEY}'}", 30, ".key", "the value is not valid here"),
        ("{paths: [a], with: mask, key: x}", 42, ".key", "a mask needs no key"),
        ("{paths: [a], with: hmac, key: 5}", 47, ".key", "expected text, found integer"),
        ("{with: mask}", 17, "", 'the field "paths" is missing'),
        ("[a]", 17, "", "expected a mapping, found list"),
    ],
)
def test_a_config_error_has_its_place(step: str, column: int, path: str, text: str) -> None:
    """Line and column of the field, and never the key."""
    [problem] = problems_of(step, {"KEY": "S3CRET"})
    assert (problem.line, problem.column, problem.path) == (6, column, f"routes[0].transforms[0].redact{path}")
    assert text in problem.text
    assert "S3CRET" not in str(problem)


def test_good_configs_are_taken() -> None:
    for step in ("{paths: [a.*]}", "{paths: [a], with: mask}", "{paths: [a], with: hmac, key: '${KEY}'}"):
        assert problems_of(step, {"KEY": "S3CRET"}) == []
