"""Schemas that refer to each other, change, break and heal, and never reach outside."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway_jsonschema.library import Library, fault_of

ADDRESS = {"type": "object", "properties": {"zip": {"type": "string"}}, "required": ["zip"]}
ORDER = {"type": "object", "properties": {"address": {"$ref": "address.json"}}}


def library(formats: bool = False, **schemas: Any) -> Library:
    """A library with these schemas, put in this order; bytes are the text as it is."""
    made = Library(formats=formats, suffix=".json")
    for name, schema in schemas.items():
        made.put(name, schema if isinstance(schema, bytes) else json.dumps(schema).encode())
    return made


def fault(schema: Any, value: Any, *, formats: bool = False) -> str:
    """What a value breaks of one schema."""
    made = library(formats, x=schema)
    assert made.broken == {}
    return fault_of(made.validators["x"], value)


@pytest.mark.parametrize(
    ("schema", "value", "said"),
    [
        (ADDRESS, {"zip": "1"}, ""),
        (ADDRESS, {}, "the whole: required zip"),
        (ADDRESS, {"zip": 1}, "zip: type"),
        (ADDRESS, [], "the whole: type"),
        ({"properties": {"items": {"items": {"properties": {"n": {"maximum": 5}}}}}}, {"items": [{}, {"n": 6}]},
         "items[1].n: maximum"),
        ({"additionalProperties": {"type": "integer"}}, {"4111-1111": "x"}, "*: type"),
        ({"additionalProperties": {"type": "integer"}}, {"type": "x"}, "*: type"),
        ({"patternProperties": {"^s": {"properties": {"a": {"const": 1}}}}}, {"secret": {"a": 2}}, "*.a: const"),
        ({"additionalProperties": False}, {"secret": 1}, "the whole: additionalProperties"),
        ({"propertyNames": {"maxLength": 1}}, {"secret": 1}, "the whole: propertyNames"),
        ({"enum": ["a"]}, "secret", "the whole: enum"),
        (False, "secret", "the whole: false"),
    ],
)  # fmt: skip
def test_a_fault_names_place_and_keyword_and_no_word_of_the_event(schema: Any, value: Any, said: str) -> None:
    """A key is named when the schema names it; others are the event's, like its values."""
    assert fault(schema, value) == said


@pytest.mark.parametrize("draft", ["draft-04", "draft-06", "draft-07", "2019-09", "2020-12"])
def test_every_draft_is_read_as_it_says(draft: str) -> None:
    """In draft 4 `exclusiveMinimum` is a word beside `minimum`, later a number."""
    new = draft.startswith("2")
    uri = f"https://json-schema.org/draft/{draft}/schema" if new else f"http://json-schema.org/{draft}/schema#"
    bound = {"minimum": 1, "exclusiveMinimum": True} if draft == "draft-04" else {"exclusiveMinimum": 1}
    assert fault({"$schema": uri, **bound}, 1) != ""
    assert fault({"$schema": uri, **bound}, 2) == ""


@pytest.mark.parametrize("draft", ["draft-07/schema#", "draft/2020-12/schema"])
def test_formats_are_checked_when_asked_for_in_every_draft(draft: str) -> None:
    schema = {"$schema": f"http{'s' if '20' in draft else ''}://json-schema.org/{draft}", "format": "date-time"}
    assert fault(schema, "yesterday") == ""
    assert fault(schema, "yesterday", formats=True) == "the whole: format"
    assert fault(schema, "2026-01-01T00:00:00Z", formats=True) == ""


def test_a_format_nobody_knows_is_no_fault() -> None:
    assert fault({"format": "int64"}, "x", formats=True) == ""


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b'{\n "type": }', "line 2, column 10: Expecting value"),
        (b'{"type": "strin"}', "type: \"strin\" is not valid under any of the schemas listed in the 'anyOf' keyword"),
        (b'{"properties": {"a": {"minimum": "x"}}}', 'properties/a/minimum: "x" is not of type "number"'),
        (b'{"pattern": "("}', 'pattern: "(" is not a "regex"'),
        (b'{"$ref": "#/$defs/x"}', "Pointer '/$defs/x' does not exist"),
        (b'{"$schema": "http://json-schema.org/draft-03/schema#"}', "$schema: known are the drafts 4, 6, 7"),
        (b"\xff", "byte 1 is not UTF-8"),
        (b"NaN", "NaN is not JSON"),
        (b'"{}"', "a schema is an object, true or false"),
        (b"[" * 100_000, "maximum recursion depth exceeded"),
    ],
)
def test_a_broken_schema_is_told_with_its_place(text: bytes, reason: str) -> None:
    made = library(x=text)
    assert made.broken["x"].startswith(reason)
    assert made.validators == {}


@pytest.mark.parametrize("names", [("order", "address"), ("address", "order")])
def test_schemas_refer_to_each_other_in_whatever_order_they_come(names: tuple[str, str]) -> None:
    schemas = {"order": ORDER, "address": ADDRESS}
    made = library(**{name: schemas[name] for name in names})
    assert made.broken == {}
    assert fault_of(made.validators["order"], {"address": {}}) == "address: required zip"


def test_schemas_refer_to_each_other_by_their_ids() -> None:
    base = "https://schemas.example/shop/"
    made = library(
        one={"$id": f"{base}order", "$ref": "address#/properties/zip"}, two={"$id": f"{base}address", **ADDRESS}
    )
    assert made.broken == {}
    assert fault_of(made.validators["one"], 1) == "the whole: type"


def test_a_changed_schema_changes_those_that_refer_to_it() -> None:
    made = library(address=ADDRESS, order=ORDER)
    made.put("address", b'{"maxProperties": 0}')
    assert fault_of(made.validators["order"], {"address": {"a": 1}}) == "address: maxProperties"


@pytest.mark.parametrize("bad", [b"{", b'{"type": "strin"}', b'{"$ref": "nowhere"}'])
def test_a_broken_schema_leaves_the_former_one_in_use(bad: bytes) -> None:
    """And it stays told until it is mended, whatever else changes."""
    made = library(address=ADDRESS, order=ORDER)
    made.put("address", bad)
    made.put("other", b"{}")
    assert "address" in made.broken
    assert fault_of(made.validators["address"], {}) == "the whole: required zip"
    made.put("address", b"true")
    assert made.broken == {}
    assert fault_of(made.validators["order"], {"address": {}}) == ""


def test_what_refers_to_a_removed_schema_stays_in_use_and_is_broken() -> None:
    made = library(address=ADDRESS, order=ORDER)
    made.remove("address")
    assert list(made.validators) == ["order"]
    assert "no schema called address" in made.broken["order"]
    made.remove("order")
    assert (made.broken, dict(made.validators)) == ({}, {})


@pytest.fixture
def visitors() -> Iterator[tuple[str, list[object]]]:
    """A port that somebody listens on, and who came."""
    came: list[object] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def listen() -> None:
            while True:
                try:
                    connection, address = server.accept()
                except OSError:
                    return
                came.append(address)
                connection.close()

        thread = threading.Thread(target=listen)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/x", came
        server.shutdown(socket.SHUT_RDWR)
        thread.join()


@pytest.mark.parametrize("keyword", ["$ref", "$schema", "$dynamicRef", "$recursiveRef", "$id"])
def test_no_schema_makes_it_connect_to_anything(keyword: str, visitors: tuple[str, list[object]]) -> None:
    """References are looked up among the schemas, and nowhere else."""
    uri, came = visitors
    for schema in ({keyword: uri}, {"properties": {"a": {keyword: uri}}}, {keyword: uri, "items": {"$ref": "rel"}}):
        made = library(x=schema)
        for validator in made.validators.values():
            validator.is_valid({"a": 1})
    assert came == []


def test_no_schema_makes_it_read_a_file(tmp_path: Path) -> None:
    outside = tmp_path / "outside.json"
    outside.write_text('{"type": "string"}')
    for uri in (outside.as_uri(), f"../..{outside}", str(outside)):
        assert "no schema called" in library(x={"$ref": uri}).broken["x"]


@pytest.mark.parametrize("pattern", [r"^(a+)+$", r"^(a|a)*\1$", r"^(?=(a+)+$)x", r"(?<=(a|a){20})b"])
def test_a_pattern_cannot_run_away(pattern: str) -> None:
    """A text of a megabyte is refused; with backtracking it would take longer than the universe."""
    assert fault({"pattern": pattern}, "a" * 1_000_000 + "!") == "the whole: pattern"


def test_a_pattern_that_goes_back_too_often_is_given_up() -> None:
    """A text that would match after 16,000 steps back, some tenths of a millisecond, is refused; a short one is not."""
    pattern = r"^(?:a?){%d}a{%d}(?!b)$"
    assert fault({"pattern": pattern % (8, 8)}, "a" * 8) == ""
    assert fault({"pattern": pattern % (14, 14)}, "a" * 14) == "the whole: pattern"


def test_many_faults_cost_no_more_than_one() -> None:
    """Only the first is looked for."""
    made = library(x={"items": {"type": "string"}})
    assert fault_of(made.validators["x"], [1] * 500_000) == "[0]: type"
