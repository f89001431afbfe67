"""Plugins are found and checked one by one; a broken one is reported and stops nobody."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable
from typing import Any

import pytest

from gateway import Filter, Settings, Transform, hookimpl
from gateway.registry import BUILTIN, Registry, Status, load_plugins

from .samples import Above, Acme, Point, acme, acme_point


def plugin(**hooks: Callable[..., Any]) -> Any:
    """An object with these hooks."""
    return type("Plugin", (), {name: staticmethod(hookimpl(function)) for name, function in hooks.items()})()


def alone(load: Callable[[], Any]) -> tuple[Status, str]:
    """Status and reason of one plugin."""
    registry = load_plugins(entry_points=[Point("x", load, "x-gateway", "1")])
    health = registry.status_of("x")
    assert health is not None
    assert registry.find("codec", "json").component is not None, "the built-ins are there all the same"
    return health.status, health.reason


def test_the_built_ins_are_a_plugin_like_any_other() -> None:
    registry = load_plugins(entry_points=[])
    [health] = registry.health
    assert (health.name, health.status, health.distribution) == (BUILTIN, Status.OK, "nats-event-gateway")
    assert "gateway_codecs" in health.hooks
    assert "codec json" in health.components
    assert not registry.incomplete


def test_a_plugin_s_components_are_found_by_short_and_long_name() -> None:
    registry = acme()
    for text in ("above", "acme/above"):
        found = registry.find("filter", text)
        assert found.component is Above
        assert (found.plugin, found.version) == ("acme", "1.2")
    assert registry.find("filter", "builtin/pattern").plugin == BUILTIN
    assert {"above", "pattern"} <= set(registry.names("filter"))
    assert "above" not in registry.names("transform")
    assert registry.plugin_names() == ["acme"]


@pytest.mark.parametrize(
    ("kind", "text", "reason", "hint"),
    [
        ("filter", "abov", 'no filter is called "abov"', 'did you mean "above"? filters: above, '),
        ("transform", "above", 'no transform is called "above"', '"above" is a filter, and stands under filters; '),
        (
            "filter",
            "acme/abov",
            'the plugin acme offers no filter called "abov"',
            'did you mean "above"? filters of acme',
        ),
        ("audit", "acme/x", 'the plugin acme offers no audit called "x"', "there are no audits of acme"),
        ("filter", "acm/above", 'no plugin called "acm" is installed', 'did you mean "acme"? plugins: acme, builtin'),
        ("filter", "", 'no filter is called ""', "filters: "),
    ],
)
def test_a_name_nobody_knows_gets_a_hint(kind: str, text: str, reason: str, hint: str) -> None:
    found = acme().find(kind, text)
    assert found.component is None
    assert found.reason == reason
    assert found.hint.startswith(hint)
    assert not found.passing


def _raise(error: BaseException) -> Callable[[], Any]:
    def load() -> Any:
        raise error

    return load


class NoName(Filter):
    """Has no name."""

    def accepts(self, event: Any) -> bool:
        """Nobody calls it."""
        return True


class NoMethod(Filter, name="no-method"):
    """Has no method."""


class Reserved(NoName, name="timeout"):
    """Has a reserved name."""


class Camel(NoName, name="camelCase"):
    """Has a name in the wrong case."""


class Good(NoName, name="good"):
    """Is good."""


class Twin(NoName, name="good"):
    """Has the name of Good."""


class ATransform(Transform, name="a-transform"):
    """Is no filter."""


@pytest.mark.parametrize(
    ("load", "reason"),
    [
        (_raise(ImportError("no module named y")), "ImportError: no module named y ("),
        (_raise(SystemExit(3)), "SystemExit: 3 ("),
        (
            lambda: plugin(gateway_filter=lambda: [Good]),
            'nobody calls the hook "gateway_filter"; did you mean "gateway_fil',
        ),
        (lambda: plugin(gateway_filters=lambda nonsense: [Good]), "PluginValidationError: "),
        (lambda: plugin(gateway_filters=_raise(KeyError("url"))), "KeyError: 'url' ("),
        (lambda: plugin(gateway_filters=lambda: Good), "gateway_filters() returned type, not a list of classes"),
        (lambda: plugin(gateway_filters=lambda: None), "gateway_filters() returned NoneType, not a list of classes"),
        (
            lambda: plugin(gateway_filters=lambda: [ATransform]),
            "gateway_filters() returned ATransform, which is no subc",
        ),
        (
            lambda: plugin(gateway_filters=lambda: ["x"]),
            "gateway_filters() returned 'x', which is no subclass of gateway.F",
        ),
        (
            lambda: plugin(gateway_filters=lambda: [NoName]),
            "NoName is called ''; give it a kebab-case name: ",
        ),
        (lambda: plugin(gateway_filters=lambda: [Camel]), "Camel is called 'camelCase'; give it a kebab-case name"),
        (lambda: plugin(gateway_filters=lambda: [Reserved]), 'Reserved is called "timeout", which steps reserve'),
        (lambda: plugin(gateway_filters=lambda: [NoMethod]), "NoMethod has no method accepts()"),
        (lambda: plugin(gateway_filters=lambda: [Good, Twin]), 'it offers two filters called "good"'),
        (object, "it has no hook: put @hookimpl from gateway on its gateway_... functions"),
    ],
)
def test_a_broken_plugin_fails_alone_and_says_why(load: Callable[[], Any], reason: str) -> None:
    status, why = alone(load)
    assert status is Status.FAILED
    assert why.startswith(reason)
    assert "\n" not in why


def test_what_a_failed_plugin_may_have_offered_is_passing_and_names_it() -> None:
    registry = load_plugins(entry_points=[Point("x", _raise(ImportError("y")), "x-gateway", "1")])
    assert registry.incomplete
    for text in ("frobnicate", "x/frobnicate"):
        found = registry.find("filter", text)
        assert found.component is None
        assert found.passing
        assert "the plugin x (x-gateway 1) failed to load: ImportError: y" in found.reason + found.hint


def test_of_many_failed_plugins_a_hint_tells_some() -> None:
    """A list of all of them would hide the fault it stands beside; `gateway plugins` has it."""
    points = [Point(f"x{number}", _raise(ImportError("y"))) for number in range(9)]
    hint = load_plugins(entry_points=points).find("filter", "frobnicate").hint
    assert hint.count("ImportError: y") == 2
    assert hint.endswith("; and 7 more, see gateway plugins")


def test_the_hooks_of_a_failed_plugin_are_never_called_again() -> None:
    point = Point("x", lambda: plugin(gateway_filters=_raise(KeyError("url")), gateway_settings=lambda: int))
    registry = load_plugins(entry_points=[point])
    assert [name for name, _ in registry.manager.list_name_plugin()] == [BUILTIN]
    assert registry.manager.hook.gateway_settings() == []


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"disable": ["acme"]}, "disabled by plugins.disable or -P no:acme"),
        ({"only": ["other"]}, "not listed in plugins.only"),
    ],
)
def test_a_disabled_plugin_is_never_imported(arguments: dict[str, Any], reason: str) -> None:
    imported: list[str] = []
    point = Point("acme", lambda: imported.append("acme"))
    registry = load_plugins(**arguments, entry_points=[point])
    assert [(health.name, health.status) for health in registry.health[1:]] == [("acme", Status.DISABLED)]
    assert registry.health[1].reason == reason
    assert imported == []
    assert registry.find("filter", "acme/above").passing
    assert reason in registry.find("filter", "acme/above").reason


def test_only_lets_the_listed_plugins_and_the_built_ins_in() -> None:
    registry = load_plugins(only=["acme"], entry_points=[acme_point(), acme_point("other")])
    assert registry.plugin_names() == ["acme"]
    assert registry.find("codec", "json").component is not None


def test_two_distributions_that_claim_one_plugin_name_are_both_named_and_neither_is_loaded() -> None:
    points = [acme_point("acme", "one", "1"), acme_point("acme", "two", "2")]
    registry = load_plugins(entry_points=points)
    assert [health.status for health in registry.health[1:]] == [Status.CLASH, Status.CLASH]
    assert registry.health[1].reason == 'the name "acme" is claimed by one 1 and two 2; uninstall all but one'
    assert registry.find("filter", "above").component is None
    assert registry.find("filter", "above").passing


def test_the_name_of_the_built_ins_cannot_be_taken() -> None:
    registry = load_plugins(entry_points=[acme_point(BUILTIN, "evil", "1")])
    assert [health.status for health in registry.health] == [Status.OK, Status.CLASH]
    assert "evil 1 and the gateway itself" in registry.health[1].reason
    assert registry.find("codec", "json").component is not None


def test_an_entry_point_that_is_found_twice_counts_once() -> None:
    registry = load_plugins(entry_points=[acme_point(), acme_point()])
    assert [health.status for health in registry.health] == [Status.OK, Status.OK]


def test_one_object_under_two_names_is_reported_and_works_under_one() -> None:
    module = Acme()
    registry = load_plugins(entry_points=[Point("a", lambda: module), Point("b", lambda: module)])
    assert [health.status for health in registry.health] == [Status.OK, Status.OK, Status.FAILED]
    assert registry.find("filter", "above").plugin == "a"


def test_a_short_name_two_plugins_claim_is_ambiguous_and_listed_by_its_long_names() -> None:
    registry = load_plugins(entry_points=[acme_point(), acme_point("other", "o", "2")])
    found = registry.find("filter", "above")
    assert found.component is None
    assert found.passing
    assert found.hint == "write acme/above or other/above"
    assert registry.find("filter", "other/above").plugin == "other"
    assert {"acme/above", "other/above"} <= set(registry.names("filter"))


def test_settings_have_the_plugin_s_own_type() -> None:
    class Own(Settings):
        url: str

    point = Point("own", lambda: plugin(gateway_settings=lambda: Own))
    registry = load_plugins(entry_points=[point])
    assert registry.settings_type("own") is Own
    assert registry.settings_type("nope") is None
    assert registry.settings_type(BUILTIN) is None


def test_installed_entry_points_are_found_without_being_asked_for() -> None:
    assert isinstance(load_plugins(), Registry)
    assert load_plugins().health[0].name == BUILTIN


def test_a_plugin_whose_module_is_gone_is_told_without_a_place_in_the_import_system() -> None:
    point = importlib.metadata.EntryPoint("gone", "no_such_module_of_anybody", "gateway.plugins")
    health = load_plugins(entry_points=[point]).status_of("gone")
    assert health is not None
    why = "ModuleNotFoundError: No module named 'no_such_module_of_anybody'"
    assert health.reason == f"{why} (entry point gone = no_such_module_of_anybody)"
