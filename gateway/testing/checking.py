"""`check_plugin`: everything a plugin's author would want to know before its users do."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterator
from importlib import metadata
from typing import Any

import msgspec

from ..config.loader import examine_text
from ..config.schema import config_schema
from ..errors import ConfigError
from ..hookspecs import GROUP
from ..plugin import Audit, Codec, Component, Filter, Transform
from ..registry import BASES, BUILTIN, Registry, Status, load_plugins
from .configs import unreadable
from .exercise import exercise
from .steps import make_component

_CODE = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_ARGUMENTS: dict[type[Component], dict[str, int]] = {
    Filter: {"accepts": 1, "explain": 1, "settled": 2},
    Transform: {"apply": 1, "settled": 2},
    Audit: {"record": 1},
    Codec: {"decode": 3, "encode": 2, "attributes": 2},
}
"""The arguments each method is called with."""


class PluginComplaints(AssertionError):
    """What `check_plugin` found; one line each."""

    def __init__(self, plugin: str, complaints: list[str]) -> None:
        self.complaints = complaints
        listing = "\n".join(f"  - {complaint}" for complaint in complaints)
        super().__init__(f"the plugin {plugin} is not as it should be:\n{listing}")


def check_plugin(plugin: Any) -> None:
    """Check a plugin, given as its module (or object with hooks) or as the name it is installed under.

    It must load; each component needs a summary, an example that can be read, prepared and described in the JSON
    Schema, codes in kebab-case, and methods that can be called as the gateway calls them. Filters and transforms must
    answer in time, and not raise, for events that hold nothing they expect, and must leave the event they are given as
    it is; codecs must give what the contract says. None may hold up the loop, where every route waits for it.
    Raises PluginComplaints with everything found.
    """
    name = plugin if isinstance(plugin, str) else "test"
    registry = _registry(name, plugin)
    health = registry.status_of(name)
    if health is None:
        raise PluginComplaints(name, [f"no plugin called {name!r} is installed: is its entry point in {GROUP!r}?"])
    if health.status is not Status.OK:
        raise PluginComplaints(name, [health.reason])
    complaints: list[str] = []
    settings = _default_settings(registry, name)
    for kind in BASES:
        for owner, component in registry.components(kind):
            if owner == name:
                complaints += [f"{kind} {component.name}: {text}" for text in _component(kind, component, settings)]
    complaints += _schema(registry, name)
    if complaints:
        raise PluginComplaints(name, complaints)


class _Given:
    """An entry point for a module that may not be installed."""

    name = "test"
    value = "test"

    def __init__(self, module: Any) -> None:
        self._module = module

    def load(self) -> Any:
        return self._module


def _registry(name: str, plugin: Any) -> Registry:
    if not isinstance(plugin, str):
        return load_plugins(entry_points=[_Given(plugin)])
    return load_plugins(entry_points=[point for point in metadata.entry_points(group=GROUP) if point.name == name])


def _component(kind: str, component: type[Component], settings: Any) -> Iterator[str]:
    yield from _words(component)
    yield from _signatures(BASES[kind], component)
    try:
        config = component.example
        made = make_component(component, config, settings=settings)
    except ConfigError as error:
        what = "example does not work" if component.example is not None else "it needs settings, and has no example"
        yield f"{what}: {'; '.join(problem.text for problem in error.problems)}"
        return
    except Exception as error:  # noqa: BLE001 - whatever it raises is what the author wants to know
        yield f"prepare raised {type(error).__name__}: {error}"
        return
    # What opens something may need a server or a file: those tests are the author's.
    if type(made).open is Component.open:
        yield from exercise(made)


def _words(component: type[Component]) -> Iterator[str]:
    if not component.summary.strip():
        yield "it has no summary: begin the class with a docstring"
    for code in component.codes:
        if not isinstance(code, str) or not _CODE.fullmatch(code):
            yield f"the code {code!r} is not kebab-case, as labels of metrics should be"
    for flag in ("blocking", "shared"):
        if not isinstance(getattr(component, flag), bool):
            yield f"{flag} is {getattr(component, flag)!r}, not True or False"
    config = component.Config
    for kind in unreadable(config):
        yield f"its Config holds {kind.__name__}, which cannot be read from a config: derive it from gateway.Settings"
    if isinstance(config, type) and issubclass(config, msgspec.Struct):
        settings = config.__struct_config__
        if not settings.forbid_unknown_fields:
            yield "its Config takes fields nobody knows, so that slips go unseen: derive it from gateway.Settings"
        if not settings.frozen:
            yield "its Config can be changed, and routes share it: derive it from gateway.Settings"


def _signatures(base: type[Component], component: type[Component]) -> Iterator[str]:
    for name, count in _ARGUMENTS[base].items():
        method = inspect.signature(getattr(component, name))
        try:
            method.bind(*[None] * (count + 1))
        except TypeError:
            own = "argument" if count == 1 else "arguments"
            yield f"{name}{method} cannot be called with {count} {own} beside self"


def _default_settings(registry: Registry, name: str) -> Any:
    """The plugin's own settings where a config says nothing of them; None when something has to be said."""
    kind = registry.settings_type(name)
    if not (isinstance(kind, type) and issubclass(kind, msgspec.Struct)):
        return None
    return None if any(field.required for field in msgspec.structs.fields(kind)) else kind()


def _schema(registry: Registry, name: str) -> Iterator[str]:
    """Whether the JSON Schema for editors can describe it, and a config that names it in full is read."""
    try:
        json.dumps(config_schema(registry))
    except Exception as error:  # noqa: BLE001 - a type of the author's that cannot be described
        yield f"the JSON Schema cannot describe its configs: {type(error).__name__}: {error}"
    settings = registry.settings_type(name)
    if settings is None or name == BUILTIN:
        return
    text = json.dumps({"plugins": {"settings": {name: {}}}, "routes": []})
    for problem in examine_text(text, registry=registry).problems:
        if problem.path.startswith("plugins.settings") and problem.code not in ("missing-field",):
            yield f"its settings cannot be read: {problem.text}"
