"""`plugins.settings` is converted to each plugin's own type, with places and without secrets."""

from __future__ import annotations

from typing import Any

import pytest

from gateway import Duration, Filter, Secret, Settings, hookimpl
from gateway.config.effective import effective
from gateway.config.loader import Loaded, examine_text
from gateway.registry import load_plugins

from .samples import ROUTE, Point, marked, said


class Easy(Settings):
    """Everything has a default."""

    wait: Duration = Duration(3)
    token: Secret | None = None


class Hard(Settings):
    """Something must be set."""

    url: str


class Knock(Filter, name="knock"):
    """A filter of a plugin that must be set up."""

    def accepts(self, event: Any) -> bool:
        """Nobody calls it."""
        return True


class EasyPlugin:
    @hookimpl
    def gateway_settings(self) -> Any:
        return Easy


class HardPlugin:
    @hookimpl
    def gateway_settings(self) -> Any:
        return Hard

    @hookimpl
    def gateway_filters(self) -> Any:
        return [Knock]


def loaded(text: str, disable: tuple[str, ...] = ()) -> Loaded:
    registry = load_plugins(disable, entry_points=[Point("easy", EasyPlugin), Point("hard", HardPlugin)])
    return examine_text(text, "c.yaml", {"PW": "hunter2"}, registry)


def settings(text: str) -> dict[str, Any]:
    found = loaded(text)
    assert found.problems == []
    assert found.config is not None
    return found.config.plugins.settings


def test_a_plugin_without_settings_in_the_file_gets_its_defaults() -> None:
    assert settings(ROUTE) == {"easy": Easy(), "hard": None}


@pytest.mark.parametrize("text", ["easy: {wait: 5s}", "easy: {wait: 5s}, hard: {url: x}"])
def test_settings_become_the_plugin_s_own_type(text: str) -> None:
    assert settings(f"plugins: {{settings: {{{text}}}}}\n{ROUTE}")["easy"] == Easy(wait=Duration(5))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("easy: {wait: «5}", "plugins.settings.easy.wait: expected a duration, found integer"),
        ("easy: {«wiat: 5s}", "plugins.settings.easy.wiat: unknown field"),
        ("easy: «5", "plugins.settings.easy: expected a mapping, found integer"),
        ("hard: «", 'plugins.settings.hard: the field "url" is missing'),
        ("«esay: {}", 'plugins.settings.esay: no plugin called "esay" is installed'),
    ],
)
def test_a_fault_in_settings_is_reported_at_its_token(text: str, problem: str) -> None:
    text, places = marked(f"plugins: {{settings: {{{text}}}}}\n{ROUTE}")
    found = loaded(text)
    assert found.config is None
    assert [(one.line, one.column) for one in found.problems] == places
    assert said(found.problems[0]).startswith(problem)


def test_settings_that_must_be_given_are_missed_only_when_a_route_needs_them() -> None:
    found = loaded(ROUTE + "    filters: [knock]\n")
    assert found.config is None
    assert [said(problem) for problem in found.problems] == [
        'plugins.settings.hard: the field "url" is missing (missing-field)'
    ]


def test_settings_of_a_disabled_plugin_are_left_alone() -> None:
    found = loaded("plugins: {disable: [hard], settings: {hard: {nope: 1}}}\n" + ROUTE, disable=("hard",))
    assert found.problems == []


def test_settings_are_shown_without_secrets() -> None:
    text = 'plugins: {settings: {easy: {token: "abc"}, hard: {url: "${PW}"}}}\n'
    found = loaded(text + ROUTE)
    assert effective(found)["plugins"]["settings"] == {"easy": {"wait": "3s", "token": "***"}, "hard": {"url": "${PW}"}}
