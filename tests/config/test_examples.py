"""The configs we ship are right, whole and true to the code."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.config import model
from gateway.config.loader import examine, examine_text
from gateway.config.schema import config_schema
from gateway.registry import load_plugins
from gateway.routing.compile import compile_config

CONFIG = Path(__file__).parents[2] / "config"
REFERENCE = CONFIG / "gateway.yaml"
SHIPPED = [REFERENCE, *sorted((CONFIG / "examples").glob("*.yaml"))]

# Filled in by the loader, not written by anybody.
NOT_WRITTEN = {"digest"}

EXAMPLE_VALUES = {"name", "description", "source", "targets", "codec", "filters", "transforms"}
"""Fields of a route whose value in the reference is an example, not the default."""


def loaded(file: Path) -> model.Config:
    """With the built-ins alone: what is shipped needs no plugin, whatever the tests have installed."""
    result = examine(file, registry=load_plugins(entry_points=[]))
    routes, problems = compile_config(result.draft, result.registry)
    assert result.tidy(problems) == []
    assert result.config is not None
    assert len(routes) == len(result.config.routes)
    return result.config


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.name)
def test_a_shipped_config_has_no_problem_and_not_even_a_warning(file: Path) -> None:
    loaded(file)


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.name)
def test_a_shipped_config_names_the_schema_for_editors(file: Path) -> None:
    first = file.read_text().splitlines()[0]
    found = re.fullmatch(r"# yaml-language-server: \$schema=(\S+)", first)
    assert found is not None
    assert (file.parent / found[1]).resolve() == CONFIG / "gateway.schema.json"


def test_the_schema_file_is_what_the_command_prints() -> None:
    """If not: make schema."""
    assert json.loads((CONFIG / "gateway.schema.json").read_text()) == config_schema(load_plugins(only=[]))


def models() -> list[type[msgspec.Struct]]:
    kinds = [kind for kind in vars(model).values() if isinstance(kind, type) and issubclass(kind, model.Model)]
    return [kind for kind in kinds if kind is not model.Model]


@pytest.mark.parametrize("kind", models(), ids=lambda kind: kind.__name__)
def test_the_reference_shows_every_field(kind: type[msgspec.Struct]) -> None:
    text = REFERENCE.read_text()
    missing = [
        field.encode_name
        for field in msgspec.structs.fields(kind)
        if field.encode_name not in NOT_WRITTEN
        and not re.search(rf"(^|[\s{{#-]){re.escape(field.encode_name)}:", text, re.MULTILINE)
    ]
    assert missing == []


def default_of(kind: type[msgspec.Struct], name: str) -> Any:
    field = next(field for field in msgspec.structs.fields(kind) if field.name == name)
    return field.default if field.default is not msgspec.NODEFAULT else field.default_factory()


def test_the_reference_shows_the_defaults() -> None:
    config = loaded(REFERENCE)
    route = config.routes[0]
    for name in set(model.Config.__struct_fields__) - {"streams", "routes", "digest"}:
        assert getattr(config, name) == default_of(model.Config, name), name
    for name in set(model.Route.__struct_fields__) - EXAMPLE_VALUES:
        assert getattr(route, name) == default_of(model.Route, name), name
    for name in set(model.Source.__struct_fields__) - {"stream", "subjects", "durable"}:
        assert getattr(route.source, name) == default_of(model.Source, name), name
    assert route.source.durable == f"{config.name}-{route.name}"
    for name in set(model.Stream.__struct_fields__) - {"name", "subjects", "provision"}:
        assert getattr(config.streams[0], name) == default_of(model.Stream, name), name


def test_the_route_in_the_readme_is_right() -> None:
    text = (CONFIG.parent / "README.md").read_text()
    [snippet] = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    result = examine_text(snippet)
    assert result.tidy(compile_config(result.draft, result.registry)[1]) == []
