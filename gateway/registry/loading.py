"""Find and load plugins, each under a guard of its own."""

from __future__ import annotations

import importlib
import importlib.metadata
import traceback
from collections.abc import Callable, Collection, Iterable, Sequence
from types import ModuleType
from typing import Any, Protocol

import pluggy

from .. import hookspecs
from ..errors import PluginError
from ..problems import quoted
from .lookup import BUILTIN, Plugin, PluginHealth, Registry, Status
from .rules import BASES, check_component, check_hooks, check_settings, offered_by

_IMPORTING = ("<frozen ", importlib.__file__.removesuffix("__init__.py"))
"""Where code of the import system itself comes from; a plugin's author learns nothing from its lines."""


class EntryPoint(Protocol):
    """What is needed of an entry point; `importlib.metadata.EntryPoint` is one."""

    @property
    def name(self) -> str: ...
    @property
    def value(self) -> str: ...
    def load(self) -> Any: ...


def load_plugins(
    disable: Collection[str] = (),
    only: Collection[str] | None = None,
    entry_points: Iterable[EntryPoint] | None = None,
) -> Registry:
    """Load the built-ins and every installed plugin but those in `disable` or, with `only`, not in it."""
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    loader = _Loader(manager)
    loader.add(BUILTIN, "nats-event-gateway", _version_of("nats-event-gateway"), _builtins)
    found = importlib.metadata.entry_points(group=hookspecs.GROUP) if entry_points is None else entry_points
    unwanted = {BUILTIN}
    for same in _by_name(found):
        point = same[0]
        distribution, version = _distribution(point)
        if point.name in disable or (only is not None and point.name not in only):
            why = (
                "disabled by plugins.disable or -P no:" + point.name
                if point.name in disable
                else "not listed in plugins.only"
            )
            loader.health.append(PluginHealth(point.name, distribution, version, Status.DISABLED, why))
        elif point.name in unwanted or len(same) > 1:
            loader.clash(same)
        else:
            loader.add(point.name, distribution, version, point.load, f"{point.name} = {point.value}")
    return Registry(loader.plugins, loader.health, manager)


class _Loader:
    """Loads plugins one by one, each under a guard of its own."""

    def __init__(self, manager: pluggy.PluginManager) -> None:
        self.manager = manager
        self.plugins: list[Plugin] = []
        self.health: list[PluginHealth] = []

    def add(self, name: str, distribution: str, version: str, load: Callable[[], Any], point: str = "") -> None:
        """Load one plugin; whatever goes wrong becomes its health. `point` is its entry point, as packages write it."""
        try:
            plugin = self._load(name, distribution, version, load())
        except PluginError as error:
            self._fail(name, distribution, version, str(error))
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - an import may raise anything, and may try to exit
            self._fail(name, distribution, version, _explain(error, point))
        else:
            self.plugins.append(plugin)
            self.health.append(plugin.health)

    def clash(self, points: Sequence[EntryPoint]) -> None:
        """Two plugins with one name: which one a config means nobody can say, so neither is loaded."""
        origins = [" ".join(_distribution(point)).strip() or point.value for point in points]
        if points[0].name == BUILTIN:
            origins.append("the gateway itself")
        for point in points:
            reason = f"the name {quoted(point.name)} is claimed by {' and '.join(origins)}; uninstall all but one"
            self.health.append(PluginHealth(point.name, *_distribution(point), Status.CLASH, reason))

    def _load(self, name: str, distribution: str, version: str, module: Any) -> Plugin:
        if not name or "/" in name or name != name.strip():
            raise PluginError(f"{quoted(name)} is no name for a plugin; use a word like acme")
        self.manager.register(module, name)
        try:
            hooks = check_hooks(self.manager, module)
            components = {}
            for kind, component in offered_by(hooks):
                check_component(kind, component, BASES[kind])
                if (kind, component.name) in components:
                    raise PluginError(f"it offers two {kind}s called {quoted(component.name)}")
                components[kind, component.name] = component
            settings = hooks["gateway_settings"]() if "gateway_settings" in hooks else None
            check_settings(settings)
        except BaseException:
            self.manager.unregister(module)
            raise
        listing = tuple(f"{kind} {own}" for kind, own in components)
        health = PluginHealth(name, distribution, version, Status.OK, "", tuple(sorted(hooks)), listing)
        return Plugin(health, components, settings)

    def _fail(self, name: str, distribution: str, version: str, reason: str) -> None:
        self.health.append(PluginHealth(name, distribution, version, Status.FAILED, reason))


def _builtins() -> ModuleType:
    return importlib.import_module("gateway.components")


def _by_name(points: Iterable[EntryPoint]) -> list[list[EntryPoint]]:
    """Entry points with one name together, in the order of names; the same one found twice counts once."""
    groups: dict[str, dict[tuple[str, tuple[str, str]], EntryPoint]] = {}
    for point in points:
        groups.setdefault(point.name, {})[point.value, _distribution(point)] = point
    # In an order that does not hang on the folder's, so that a clash reads the same everywhere.
    return [[point for _, point in sorted(groups[name].items(), key=_by_distribution)] for name in sorted(groups)]


def _by_distribution(item: tuple[tuple[str, tuple[str, str]], EntryPoint]) -> tuple[tuple[str, str], str]:
    (value, distribution), _ = item
    return distribution, value


def _distribution(point: EntryPoint) -> tuple[str, str]:
    found = getattr(point, "dist", None)
    return (found.name, found.version) if found else ("", "")


def _version_of(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _explain(error: BaseException, point: str) -> str:
    """What was raised, and where in the plugin's own code; of a fault before that, which entry point led there."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{type(error).__name__}: {error.msg} ({error.filename}:{error.lineno})"
    try:
        text = f"{type(error).__name__}: {error}".strip(": ").splitlines()[0]
    except Exception:  # noqa: BLE001 - an exception of a plugin's own may not even have a text
        text = type(error).__name__
    places = [
        f"{frame.f_code.co_filename}:{line}"
        for frame, line in traceback.walk_tb(error.__traceback__)
        if not frame.f_code.co_filename.startswith(_IMPORTING)
    ]
    # The first is this file's own guard.
    if len(places) > 1:
        return f"{text} ({places[-1]})"
    return f"{text} (entry point {point})" if point else text
