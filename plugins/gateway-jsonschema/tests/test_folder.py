"""The filter `json-schema`: what it reads when it is opened, and what it says of events."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path as File
from typing import Any

import pytest

from gateway import ConfigProblem, Path, Reject
from gateway_jsonschema import FolderSchemas

ORDER = {"type": "object", "required": ["id"], "properties": {"id": {"type": "string"}, "to": {"$ref": "sub/to.json"}}}
TO = {"required": ["zip"]}

Made = Callable[..., Any]


@pytest.fixture
def folder(tmp_path: File) -> File:
    """Two schemas, one in a folder of its own."""
    (tmp_path / "sub").mkdir()
    (tmp_path / "order.json").write_text(json.dumps(ORDER))
    (tmp_path / "sub" / "to.json").write_text(json.dumps(TO))
    return tmp_path


@pytest.fixture
def made(folder: File, context: Any) -> Made:
    """`made(**settings)` is the filter on that folder, prepared and not open."""

    def make(**settings: Any) -> Any:
        config = FolderSchemas.Config(**{"folder": str(folder), **settings})
        component = FolderSchemas(config, context)
        component.prepare()
        return component

    return make


@pytest.fixture
def opened(made: Made) -> Made:
    """The same, open."""

    def make(**settings: Any) -> Any:
        component = made(**settings)
        asyncio.run(component.open())
        return component

    return make


def test_an_event_that_keeps_the_schema_of_its_type_is_accepted(opened: Made, event: Made) -> None:
    assert opened().accepts(event({"id": "1", "to": {"zip": "1"}})) is True
    assert opened().accepts(event({"zip": 1}, kind="sub/to")) is True


@pytest.mark.parametrize(
    ("settings", "body", "said"),
    [
        ({}, {"id": 4111}, "id: type"),
        ({}, {"id": "1", "to": {}}, "to: required zip"),
        ({}, [4111], "the whole: type"),
        ({}, {"id": b"4111"}, "the event holds something that is no JSON, such as bytes"),
        ({}, {"id": "1", 4111: 1}, "the event holds something that is no JSON, such as bytes"),
        ({"path": Path("data")}, {"data": {"id": 4111}}, "id: type"),
        ({"path": Path("data")}, {"date": {"id": "4111"}}, "data is absent"),
        ({"path": Path("data.order")}, {"data": "4111"}, "data.order is absent"),
    ],
)
def test_an_event_that_breaks_it_is_refused(
    opened: Made, event: Made, settings: dict[str, Any], body: Any, said: str
) -> None:
    """The message tells the place and the keyword, and nothing of the event."""
    with pytest.raises(Reject) as caught:
        opened(**settings).accepts(event(body))
    assert (caught.value.code, caught.value.message) == ("schema-violation", said)


@pytest.mark.parametrize("kind", [None, "", "refund", "../order", "order.json", "/etc/passwd"])
def test_an_unknown_type_is_refused_unless_told_otherwise(opened: Made, event: Made, kind: str | None) -> None:
    with pytest.raises(Reject) as caught:
        opened().accepts(event({"id": "1"}, kind=kind))
    assert (caught.value.code, caught.value.message) == (
        "schema-unknown",
        "there is no schema for the event's type",
    )
    assert opened(unknown="accept").accepts(event({"id": "1"}, kind=kind)) is True


def test_a_type_can_have_a_schema_of_another_name(opened: Made, event: Made) -> None:
    gate = opened(types={"com.shop/order placed": "order"})
    assert gate.accepts(event({"id": "1"}, kind="com.shop/order placed")) is True
    with pytest.raises(Reject, match="id: type"):
        gate.accepts(event({"id": 1}, kind="com.shop/order placed"))


def test_every_broken_schema_is_named_with_file_and_place(
    made: Made, folder: File, caplog: pytest.LogCaptureFixture
) -> None:
    """The route stays down until all are good; the log has what the operator needs."""
    (folder / "order.json").write_text('{\n"type": }')
    (folder / "sub" / "to.json").write_text('{"properties": {"a": {"type": "strin"}}}')
    component = made(types={"x": "nowhere"})
    with pytest.raises(ConfigProblem) as caught:
        asyncio.run(component.open())
    for fault in (
        f"{folder}/order.json: line 2, column 9: Expecting value",
        f"{folder}/sub/to.json: properties/a/type: ",
        f"types: x: there is no {folder}/nowhere.json",
    ):
        assert fault in caught.value.text
        assert fault in caplog.text


def test_it_opens_once_the_schemas_are_mended(made: Made, folder: File, event: Made) -> None:
    (folder / "order.json").write_text("{")
    component = made()
    with pytest.raises(ConfigProblem):
        asyncio.run(component.open())
    (folder / "order.json").write_text("true")
    asyncio.run(component.open())
    assert component.accepts(event("anything")) is True


def test_a_folder_without_schemas_keeps_the_route_down(made: Made, tmp_path: File) -> None:
    (tmp_path / "empty").mkdir()
    for folder in (tmp_path / "empty", tmp_path / "nowhere"):
        with pytest.raises(ConfigProblem, match=r"there is no \*\.json in"):
            asyncio.run(made(folder=str(folder)).open())


@pytest.mark.parametrize("settings", [{"folder": " "}, {"path": Path("$headers.X")}])
def test_settings_that_make_no_sense_are_config_problems(made: Made, settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigProblem) as caught:
        made(**settings)
    assert caught.value.path == (next(iter(settings)),)


def test_it_says_which_key_it_reads(made: Made) -> None:
    """So that its route decodes no more of an event."""
    assert made().reads() is None
    assert made(path=Path("data.order")).reads() == {"data"}
