"""`gateway plugins`: what is installed, what a component takes, and a new plugin."""

from __future__ import annotations

import importlib
import json
import sys
from importlib.metadata import EntryPoint
from pathlib import Path as File
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner, Result

from gateway import cli
from gateway.registry import loading
from gateway.testing import check_plugin

from .samples import ROUTE, Point, acme_point


def gateway(*args: str) -> Result:
    """Run a command in this process."""
    return CliRunner().invoke(cli.gateway, ["plugins", *args], env={"GATEWAY_CONFIG": None})


@pytest.fixture(autouse=True)
def installed(tmp_path: File, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The entry points there are, whatever else is installed: acme, unless a test adds some."""
    monkeypatch.chdir(tmp_path)
    points: list[Any] = [acme_point()]
    metadata = SimpleNamespace(
        entry_points=lambda group: points,
        version=loading.importlib.metadata.version,
        PackageNotFoundError=loading.importlib.metadata.PackageNotFoundError,
    )
    monkeypatch.setattr(
        loading, "importlib", SimpleNamespace(metadata=metadata, import_module=__import__("importlib").import_module)
    )
    return points


def broken() -> Any:
    def load() -> Any:
        raise ImportError("No module named 'acme_sdk'")

    return Point("broken", load, "broken-gateway", "0.3")


def test_every_plugin_is_listed_with_its_origin_and_what_it_offers() -> None:
    result = gateway()
    assert result.exit_code == 0
    assert "builtin  ok  (nats-event-gateway " in result.stdout
    assert "acme  ok  (acme-gateway 1.2)\n" in result.stdout
    assert "  filters: above" in result.stdout
    assert gateway("list").stdout == result.stdout


def test_a_broken_plugin_is_a_finding_with_its_reason_and_what_to_do(installed: list[Any]) -> None:
    installed.append(broken())
    result = gateway("list")
    assert result.exit_code == 1
    assert "broken  failed  (broken-gateway 0.3)\n  ImportError: No module named 'acme_sdk' (" in result.stdout
    assert "what now: upgrade or uninstall it" in result.stdout
    assert "acme  ok" in result.stdout


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        ("acme_gatewy", "ModuleNotFoundError: No module named 'acme_gatewy'"),
        ("json:plugin", "AttributeError: module 'json' has no attribute 'plugin'"),
    ],
)
def test_an_entry_point_that_leads_nowhere_is_named(installed: list[Any], value: str, fault: str) -> None:
    """No line of the plugin's own code is at fault: what its package says of itself is."""
    installed.append(EntryPoint("slip", value, "gateway.plugins"))
    assert f"slip  failed  (unknown origin)\n  {fault} (entry point slip = {value})\n" in gateway("list").stdout


def test_a_component_name_two_plugins_claim_is_a_note_and_no_finding(installed: list[Any]) -> None:
    """Both can be used, by their long names."""
    installed.append(acme_point("other", "other-gateway", "3"))
    result = gateway("list")
    assert result.exit_code == 0
    assert "  note: the filter above is offered by other too: write acme/above for this one\n" in result.stdout
    assert "  note: the filter above is offered by acme too: write other/above for this one\n" in result.stdout
    notes = {document["name"]: document["notes"] for document in json.loads(gateway("list", "--json").stdout)}
    assert notes["builtin"] == []
    assert len(notes["acme"]) == len(notes["other"]) > 1


def test_a_plugin_left_out_is_no_finding(installed: list[Any]) -> None:
    installed.append(broken())
    result = gateway("list", "-P", "no:broken")
    assert result.exit_code == 0
    assert "broken  disabled  (broken-gateway 0.3)\n  disabled by plugins.disable or -P no:broken\n" in result.stdout


def test_with_a_config_the_routes_that_use_a_plugin_are_shown() -> None:
    File("c.yaml").write_text(ROUTE + "    filters: [{above: {path: a, limit: 1}}]\n")
    assert "  used by: orders\n" in gateway("list", "-c", "c.yaml").stdout
    documents = json.loads(gateway("list", "-c", "c.yaml", "--json").stdout)
    acme = next(document for document in documents if document["name"] == "acme")
    assert (acme["status"], acme["routes"]) == ("ok", ["orders"])
    assert "filter above" in acme["components"]


@pytest.mark.parametrize("name", ["above", "acme/above"])
def test_a_component_is_told_with_its_config_example_and_text(name: str) -> None:
    result = gateway("info", name)
    assert result.exit_code == 0
    assert result.stdout.startswith("filter above (plugin acme)\n")
    for part in ("Keep events whose number", "  path   a path, required\n", "  limit  a number, default 1.0\n"):
        assert part in result.stdout


def test_defaults_choices_and_texts_of_fields_are_shown() -> None:
    said = gateway("info", "map").stdout
    assert "  into     a path, optional  Where the answer goes; default: `path`.\n" in said
    assert "Example:\n  - map:\n" in said
    assert '  type            a path, default "detail-type"\n' in gateway("info", "eventbridge").stdout


def test_a_plugin_is_told_with_its_components() -> None:
    said = gateway("info", "acme").stdout
    assert said.startswith("plugin acme: ok (acme-gateway 1.2)\n")
    assert "  filter above: Keep events whose number is above a limit.\n" in said
    document = json.loads(gateway("info", "acme", "--json").stdout)
    assert {"kind": "transform", "name": "strip", "summary": "A list of paths."} in document[0]["components"]


def test_a_name_nobody_has_is_wrong_usage_with_a_hint() -> None:
    result = gateway("info", "abov")
    assert result.exit_code == 2
    assert 'did you mean "above"?' in result.stderr


@pytest.mark.parametrize("kind", ["codec", "filter", "transform", "audit"])
def test_a_new_plugin_is_a_package_whose_names_fit_together(kind: str) -> None:
    result = gateway("new", "my-own", "--kind", kind)
    assert result.exit_code == 0, result.output
    folder = File("gateway-my-own")
    assert 'my-own = "gateway_my_own"' in (folder / "pyproject.toml").read_text()
    assert (folder / "src/gateway_my_own/py.typed").exists()
    assert (
        '(Codec, name="my-own")'.replace("Codec", kind.capitalize())
        in (folder / "src/gateway_my_own/__init__.py").read_text()
    )
    compile((folder / "tests/test_my_own.py").read_text(), "test", "exec")
    assert "$" not in (folder / "README.md").read_text()


@pytest.mark.parametrize(
    ("name", "kind"), [("path", "filter"), ("encoded", "codec"), ("audit", "audit"), ("io", "codec")]
)
def test_a_new_plugin_called_like_what_it_imports_is_good_all_the_same(
    name: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert gateway("new", name, "--kind", kind).exit_code == 0
    monkeypatch.syspath_prepend(f"gateway-{name}/src")
    try:
        check_plugin(importlib.import_module(f"gateway_{name}"))
    finally:
        sys.modules.pop(f"gateway_{name}", None)


@pytest.mark.parametrize("name", ["My", "a_b", "-a", "a--b", "", "when", "builtin"])
def test_a_name_that_cannot_be_used_is_wrong_usage(name: str) -> None:
    result = gateway("new", "--", name)
    assert result.exit_code == 2
    assert not [path for path in File().iterdir() if path.is_dir()]


def test_a_name_that_is_taken_is_wrong_usage() -> None:
    assert "already, of the plugin builtin" in gateway("new", "pattern").stderr
    assert gateway("new", "pattern", "--kind", "codec").exit_code == 0
    assert "is there already" in gateway("new", "pattern", "--kind", "codec").stderr


def test_nothing_is_written_beside_the_new_folder() -> None:
    File("shop").mkdir()
    gateway("new", "gateway-shop", "--dir", "shop")
    assert [path.name for path in File().iterdir()] == ["shop"]
    assert [path.name for path in File("shop").iterdir()] == ["gateway-shop"]
