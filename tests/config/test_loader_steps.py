"""The steps of a config, and what becomes of them when their component or its plugin is not good."""

from __future__ import annotations

from typing import Any

import pytest

from gateway import Filter, hookimpl
from gateway.config.loader import examine_text
from gateway.problems import Code, Problem
from gateway.registry import Registry, load_plugins

from .samples import ROUTE, SECOND, Point, acme, acme_point, config, loaded


@pytest.fixture(scope="module")
def registry() -> Registry:
    """The built-ins and the plugin acme."""
    return acme()


class Maybe(Filter, name="maybe"):
    """A list, or nothing."""

    Config = list[str] | None

    def accepts(self, event: Any) -> bool:
        """Nobody calls it here."""
        return True


class Either(Maybe, name="either"):
    """A mapping, or nothing."""

    Config = dict[str, Any] | None


class Anything(Maybe, name="anything"):
    """Whatever it is."""

    Config = Any


class Unknown(Maybe, name="unknown"):
    """Of a type that is not there."""

    Config = "nowhere"


class Loose:
    @hookimpl
    def gateway_filters(self) -> Any:
        return [Maybe, Either, Anything, Unknown]


@pytest.mark.parametrize(
    ("name", "value"), [("maybe", None), ("either", {}), ("anything", None)], ids=["list", "mapping", "any"]
)
@pytest.mark.parametrize("text", ["{0}", "{0}:", "{0}: null"])
def test_a_step_without_settings_gets_none_or_an_empty_mapping(text: str, name: str, value: object) -> None:
    registry = load_plugins(entry_points=[Point("loose", Loose)])
    found = config(f"{ROUTE}    filters:\n      - {text.format(name)}\n", registry)
    assert found.routes[0].filters[0].config == value


def test_a_config_type_that_is_not_there_is_a_problem_of_the_plugin() -> None:
    registry = load_plugins(entry_points=[Point("loose", Loose)])
    [problem] = loaded(ROUTE + "    filters: [unknown: {a: 1}]\n", registry).problems
    assert problem.code in ("component", "wrong-type")


def test_a_component_s_name_out_of_an_expansion_is_not_guessed_at(registry: Registry) -> None:
    found = examine_text(ROUTE + '    filters: ["${NEAR}"]\n', "c.yaml", {"NEAR": "abov"}, registry)
    [problem] = found.problems
    assert (problem.text, problem.hint) == ("no such filter", "")


def test_a_plugin_that_failed_keeps_only_its_routes_down() -> None:
    def broken() -> None:
        raise ImportError("no such library")

    registry = load_plugins(entry_points=[acme_point(), Point("broken", broken)])
    text = ROUTE + SECOND + "    filters: [frobnicate, broken/x]\n"
    found = loaded(text, registry)
    assert [problem.code for problem in found.problems if not problem.is_warning] == ["plugin", "plugin"]
    assert "the plugin broken failed to load: ImportError: no such library" in found.problems[0].hint
    assert "the plugin broken failed to load: " in found.problems[1].text
    assert found.config is not None
    assert [step.config for step in found.config.routes[1].filters] == [None, None]
    assert found.config.routes[0].filters == []


def test_a_disabled_plugin_keeps_only_its_routes_down() -> None:
    registry = load_plugins(disable=["acme"], entry_points=[acme_point()])
    found = loaded(ROUTE + "    filters: [pass]\n", registry)
    assert [problem.code for problem in found.problems] == ["plugin"]
    assert "disabled by plugins.disable" in found.problems[0].hint
    assert found.config is not None


def test_a_name_two_plugins_claim_keeps_its_routes_down_and_the_long_name_helps() -> None:
    registry = load_plugins(entry_points=[acme_point(), acme_point("other", "other-gateway", "3")])
    found = loaded(ROUTE + "    filters: [pass, other/pass]\n", registry)
    [problem] = found.problems
    assert problem.code == "ambiguous-component"
    assert problem.text == 'acme (acme-gateway 1.2) and other (other-gateway 3) both offer a filter called "pass"'
    assert problem.hint == "write acme/pass or other/pass"
    assert found.config is not None


def test_a_draft_holds_every_good_step_of_a_faulty_route(registry: Registry) -> None:
    """So that what is wrong in them can be found in the same run."""
    text = ROUTE.replace("orders\n", "Orders\n").replace("billing.orders", "b, codec: raw")
    found = loaded(text + "    filters: [nope, pattern: {a: [1]}]\n    codec: rot13\n", registry)
    assert found.config is None
    [draft] = found.draft.routes
    assert [step.component for step in draft.filters] == ["pattern"]
    assert [target.codec.component for target in draft.targets if target.codec] == ["raw", "rot13"]


def test_what_a_component_advises_about_an_expansion_is_not_shown(registry: Registry) -> None:
    """It may repeat the value."""
    found = loaded(ROUTE + '    filters: [pattern: {a: "${PW}", b: c}]\n', registry)
    at_secret = Problem("c.yaml", 5, 28, Code.INVALID_PATTERN, "one", 'write ["hunter2"]')
    beside_it = Problem("c.yaml", 5, 40, Code.INVALID_PATTERN, "two", 'write ["c"]')
    assert [problem.hint for problem in found.tidy([at_secret, beside_it])] == ["", 'write ["c"]']
