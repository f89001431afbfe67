"""The JSON Schema takes what `gateway check` takes, and knows the installed components."""

from __future__ import annotations

import dataclasses
from enum import Enum
from pathlib import Path as File
from typing import Annotated, Any, Literal

import msgspec
import pytest
import yaml
from jsonschema import Draft202012Validator
from msgspec import Meta

from gateway import Duration, Filter, Settings, hookimpl
from gateway.config import model
from gateway.config.effective import effective
from gateway.config.loader import examine_text
from gateway.config.schema import config_schema
from gateway.registry import load_plugins
from gateway.routing.compile import compile_config

from .samples import ROUTE, Point, acme

REPOSITORY = File(__file__).parents[2]
EXAMPLES = [
    path
    for path in [REPOSITORY / "config/gateway.yaml", *(REPOSITORY / "config/examples").glob("*.y*ml")]
    if not path.stem.endswith("_test")
]


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    """The schema with the plugin acme in it."""
    return config_schema(acme())


@pytest.fixture(scope="module")
def validator(schema: dict[str, Any]) -> Draft202012Validator:
    """Checks documents against it."""
    return Draft202012Validator(schema)


def test_it_is_a_schema_of_its_draft(schema: dict[str, Any]) -> None:
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_every_example_is_valid(path: File, validator: Draft202012Validator) -> None:
    errors = [
        f"{error.json_path}: {error.message}" for error in validator.iter_errors(yaml.safe_load(path.read_text()))
    ]
    assert errors == []


GOOD = [
    "",
    "http: off\n",
    "http:\n",
    "drain:\n",
    "name: ${NAME}\n",
    "max-hops: ${HOPS:-3}\n",
    "include: routes/*.yaml\n",
    "defaults: {retry: {attempts: 3}, rate: null, codec: raw}\n",
    "nats: {user: a, password: b, tls: {ca: x}}\n",
    "streams: [{name: A, max-age: 1h30m}]\n",
    "streams: [{name: A, subjects: null, max-age: null}]\n",
    "nats: {servers: null, inbox-prefix: null, user: null}\n",
    "log: {level: null}\n",
    "http: {listen: null}\n",
    "plugins: {disable: null, only: null}\n",
    "defaults: {source: null, targets: null, name: null}\n",
    "defaults: {targets: [{subject: x, name: null, headers: null, codec: null}]}\n",
]
STEPS = [
    "pass",
    "acme/pass",
    "above: {path: a}",
    "acme/above: {path: a, limit: '${LIMIT}'}",
    "share: 0.5",
    "share: {rate: 1, key: a}",
    "pattern: {a: [1]}",
    "pass:",
    "builtin/subject: [a.b]",
    "builtin/pattern: {a: [1]}",
    "pattern: {a: {b: [1]}, $or: [{a: [1]}, {b: {c: ['${X}']}}]}",
    "meta: {$headers.X: [a, {prefix: b}]}",
]


@pytest.mark.parametrize("head", GOOD)
def test_what_check_takes_is_valid(head: str, validator: Draft202012Validator) -> None:
    known = head.replace("${NAME}", "shop").replace("${HOPS:-3}", "3").replace("include: routes/*.yaml", "")
    problems = examine_text(known + ROUTE, registry=acme()).problems
    assert [str(problem) for problem in problems if not problem.is_warning] == []
    assert list(validator.iter_errors(yaml.safe_load(head.replace("off", '"off"') + ROUTE))) == []


@pytest.mark.parametrize("step", STEPS)
def test_steps_of_installed_plugins_are_valid(step: str, validator: Draft202012Validator) -> None:
    document = yaml.safe_load(ROUTE + f"    filters:\n      - {step}\n")
    assert list(validator.iter_errors(document)) == []


@pytest.mark.parametrize("step", ["subject", "subject:", "share", "builtin/subject:", "above:", "acme/above", "nope"])
def test_a_step_without_the_settings_it_needs_is_invalid(step: str, validator: Draft202012Validator) -> None:
    text = ROUTE + f"    filters:\n      - {step}\n"
    assert examine_text(text, registry=acme()).config is None
    assert list(validator.iter_errors(yaml.safe_load(text))) != []


SHAPES = [
    "filters: [pattern: {}]",
    "filters: [pattern: {a: x}]",
    "filters: [pattern: {a: []}]",
    "filters: [pattern: {$or: [{a: [1]}]}]",
    "filters: [meta: {}]",
    "filters: [meta: {type: [x]}]",
    "filters: [meta: {$type: x}]",
    "filters: [subject: []]",
    "transforms: [set: {}]",
    "transforms: [set: {$id: x}]",
    "transforms: [rename: {$id: x}]",
    "transforms: [remove: []]",
    "transforms: [pick: [$id]]",
]


@pytest.mark.parametrize("step", SHAPES)
def test_the_shape_of_a_built_in_s_settings_is_known(step: str, validator: Draft202012Validator) -> None:
    """As far as a schema can say it; what it takes and `prepare` refuses, only the check finds."""
    text = ROUTE + f"    {step}\n"
    loaded = examine_text(text, registry=acme())
    assert loaded.config is None or compile_config(loaded.config, loaded.registry)[1]
    assert list(validator.iter_errors(yaml.safe_load(text))) != []


BAD = [
    ("name: A\n", "$.name"),
    ("nmae: a\n", "$"),
    ("drain: 5\n", "$.drain"),
    ("drain: soon\n", "$.drain"),
    ("max-hops: 0\n", "$['max-hops']"),
    ("http: on\n", "$.http"),
    ("log: {level: loud}\n", "$.log"),
    ("streams: [{name: A, replicas: 9}]\n", "$.streams"),
    ("nats: {servers: []}\n", "$.nats"),
    ("defaults: {nope: 1}\n", "$.defaults"),
]


@pytest.mark.parametrize(("head", "path"), BAD)
def test_what_check_refuses_is_invalid(head: str, path: str, validator: Draft202012Validator) -> None:
    document = yaml.safe_load(head.replace("on\n", '"on"\n') + ROUTE)
    assert next(error.json_path for error in validator.iter_errors(document)).startswith(path)


@pytest.mark.parametrize(
    "step",
    ["nope", "above: {}", "above: {path: a, limt: 1}", "share: 2", "pass: {}\n        above: {}", "when: x", "[]"],
)
def test_steps_nobody_offers_are_invalid(step: str, validator: Draft202012Validator) -> None:
    document = yaml.safe_load(ROUTE + f"    filters:\n      - {step}\n")
    assert list(validator.iter_errors(document))


def test_the_effective_config_is_valid(validator: Draft202012Validator) -> None:
    found = examine_text(ROUTE + "    filters: [above: {path: a}]\n    rate: 1/s\n", "c.yaml", {}, acme())
    assert list(validator.iter_errors(effective(found))) == []


def test_fields_carry_their_description_and_default(schema: dict[str, Any]) -> None:
    retry = schema["$defs"]["Retry"]["properties"]
    assert retry["attempts"]["default"] == 5
    assert retry["initial"]["default"] == "1s"
    assert retry["attempts"]["description"].startswith("Failed tries")
    assert schema["properties"]["drain"]["default"] == "25s"
    assert schema["$defs"]["Route"]["required"] == ["name", "source", "targets"]
    assert "required" not in schema["$defs"]["Route-default"]


def test_every_field_of_the_model_is_in_it(schema: dict[str, Any]) -> None:
    for cls in (model.Nats, model.Tls, model.Log, model.Plugins, model.Stream, model.Source, model.Target, model.Route):
        fields = {field.replace("_", "-") for field in cls.__struct_fields__}
        assert set(schema["$defs"][cls.__name__]["properties"]) == fields


class Color(Enum):
    RED = "red"


@dataclasses.dataclass
class Plain:
    a: int


class Odd(Filter, name="odd"):
    """Every kind of type."""

    class Config(Settings):
        color: Color = Color.RED
        pair: tuple[int, str] = (1, "a")
        names: set[str] = msgspec.field(default_factory=set)
        plain: Plain | None = None
        kind: Literal["a", 1] = "a"
        limits: Annotated[dict[str, Duration], Meta(min_length=1)] = msgspec.field(default_factory=dict)
        any: Any = None
        again: list[Odd.Config] = msgspec.field(default_factory=list)

    def accepts(self, event: Any) -> bool:
        """Nobody calls it."""
        return True


class Wild(Filter, name="wild"):
    """A type nobody can describe."""

    Config = "unknown"

    def accepts(self, event: Any) -> bool:
        """Nobody calls it."""
        return True


class OddPlugin:
    @hookimpl
    def gateway_filters(self) -> Any:
        return [Odd, Wild]


def test_any_type_a_component_takes_is_described() -> None:
    schema = config_schema(load_plugins(entry_points=[Point("odd", OddPlugin)]))
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema)
    good = "odd: {color: red, pair: [1, a], names: [a], plain: {a: 1}, kind: 1, limits: {x: 5s}, again: [{kind: a}]}"
    assert list(validator.iter_errors(yaml.safe_load(f"{ROUTE}    filters:\n      - {good}\n      - wild: 3\n"))) == []
    for bad in (
        "color: blue",
        "pair: [1]",
        "names: [a, a]",
        "plain: {}",
        "kind: 2",
        "limits: {x: 5}",
        "again: [{b: 1}]",
    ):
        document = yaml.safe_load(f"{ROUTE}    filters:\n      - odd: {{{bad}}}\n")
        assert list(validator.iter_errors(document)), bad
