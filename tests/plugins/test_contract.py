"""Every folder of plugins/ is what a third party's plugin has to be."""

from __future__ import annotations

import ast
import importlib.metadata
import importlib.util
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import gateway
from gateway import testing
from gateway.hookspecs import GROUP
from gateway.registry import Status
from gateway.testing import check_plugin
from tests.plugins.compiling import compiled
from tests.plugins.folders import FOLDERS, ROOT, Folder

pytestmark = pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)

PUBLIC = {"gateway": set(gateway.__all__)}
"""What a plugin may import of the gateway, by module."""
KIT = {**PUBLIC, "gateway.testing": set(testing.__all__)}
"""And what its tests may."""
LISTS = {"codec": "codec", "filter": "filters", "transform": "transforms", "audit": "audits"}


def foreign_imports(file: Path, allowed: dict[str, set[str]]) -> Iterator[str]:
    """Imports of the gateway that are not public."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names if alias.name.partition(".")[0] == "gateway"]
            yield from (f"{file.name} line {node.lineno}: import {name}" for name in names)
        elif isinstance(node, ast.ImportFrom) and not node.level and (node.module or "").split(".")[0] == "gateway":
            public = allowed.get(node.module or "", set())
            names = [alias.name for alias in node.names if alias.name not in public]
            yield from (f"{file.name} line {node.lineno}: from {node.module} import {name}" for name in names)


def test_its_metadata_is_complete(folder: Folder) -> None:
    project = folder.project
    assert project["name"] == folder.name
    assert project["license"] == "Apache-2.0"
    assert project["license-files"] == ["LICENSE"]
    assert (folder.path / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()
    assert project["readme"] == "README.md"
    assert project["description"].endswith(".")
    assert project["requires-python"] == ">=3.11"
    assert "Typing :: Typed" in project["classifiers"]


def test_it_depends_on_ranges_the_gateway_among_them(folder: Folder) -> None:
    """Nothing is pinned: a plugin has to live beside others in one environment."""
    wanted = [Requirement(text) for text in folder.project["dependencies"]]
    assert "nats-event-gateway" in {requirement.name for requirement in wanted}
    for requirement in wanted:
        assert {">="} <= {clause.operator for clause in requirement.specifier} <= {">=", "<", "!="}, requirement
    assert "test" in folder.project["optional-dependencies"]


def test_it_is_typed_and_has_tests_of_its_own(folder: Folder) -> None:
    assert (folder.package / "py.typed").is_file()
    assert list((folder.path / "tests").glob("test_*.py"))


def test_it_knows_no_more_than_the_public_api(folder: Folder) -> None:
    for where, allowed in ((folder.package, PUBLIC), (folder.path / "tests", KIT)):
        assert [line for file in where.rglob("*.py") for line in foreign_imports(file, allowed)] == []


def test_the_kit_has_no_complaint(folder: Folder) -> None:
    check_plugin(folder.plugin)


def test_it_is_installed_from_here_and_loads(folder: Folder) -> None:
    health = folder.health
    assert health.status is Status.OK, health.reason
    assert (health.distribution, health.version) == (folder.name, folder.project["version"])
    spec = importlib.util.find_spec(folder.package.name)
    assert spec is not None
    assert Path(spec.origin or "").parent == folder.package
    assert folder.components


def test_its_entry_point_is_its_only_one(folder: Folder) -> None:
    points = importlib.metadata.distribution(folder.name).entry_points
    assert [(point.group, point.name) for point in points] == [(GROUP, folder.plugin)]


def test_every_component_says_what_it_is(folder: Folder) -> None:
    for kind, component in folder.components:
        assert component.__doc__, component
        assert component.summary.endswith("."), component
        assert component.example is not None, component
        assert f"{kind} `{component.name}`" in folder.readme.lower(), "the README names it"
        for code in component.codes:
            assert f"`{code}`" in folder.readme, f"the README says when {code} is raised"


def test_every_example_compiles(folder: Folder) -> None:
    """It converts to the component's config and prepares, in a route that has nothing else."""
    for kind, component in folder.components:
        step = {component.name: component.example}
        routes, problems = compiled({LISTS[kind]: step if kind == "codec" else [step]}, folder.registry)
        assert problems == []
        assert [route.fault for route in routes] == [None]
