"""The plugins of a process and what they offer: components by kind and name, or why there is none."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import pluggy

from ..plugin import Component
from ..problems import Code, did_you_mean, quoted

BUILTIN = "builtin"
"""The plugin name of the gateway's own components."""

_TOLD = 2
"""Missing plugins that a hint tells of in full."""


class Status(StrEnum):
    """What came of a plugin."""

    OK = "ok"
    FAILED = "failed"
    DISABLED = "disabled"
    CLASH = "clash"


@dataclass(frozen=True, slots=True)
class PluginHealth:
    """One plugin as `gateway plugins` shows it."""

    name: str
    distribution: str
    """The installed package it comes from; empty when unknown."""
    version: str
    status: Status
    reason: str = ""
    """Why it is not ok, and what to do."""
    hooks: tuple[str, ...] = ()
    components: tuple[str, ...] = ()
    """`filter above`, `codec avro`."""

    @property
    def label(self) -> str:
        """Who it is, for an error text: `acme (acme-gateway 1.2)`."""
        origin = f"{self.distribution} {self.version}".strip()
        return f"{self.name} ({origin})" if origin else self.name

    @property
    def sentence(self) -> str:
        """What came of it, as a sentence: `the plugin acme (acme-gateway 1.2) failed to load: ...`."""
        words = {
            Status.OK: "is loaded",
            Status.FAILED: f"failed to load: {self.reason}",
            Status.DISABLED: f"is {self.reason}",
            Status.CLASH: f"is not loaded: {self.reason}",
        }
        return f"the plugin {self.label} {words[self.status]}"


@dataclass(frozen=True, slots=True)
class Found:
    """The answer to a look-up: a component, or why there is none."""

    component: type[Component] | None
    plugin: str = ""
    version: str = ""
    reason: str = ""
    hint: str = ""
    code: Code = Code.UNKNOWN_COMPONENT
    passing: bool = False
    """The component may exist: a plugin is missing or in doubt, so only the routes that need it stay down."""


@dataclass(slots=True)
class Plugin:
    """A plugin that loaded."""

    health: PluginHealth
    components: dict[tuple[str, str], type[Component]] = field(default_factory=dict)
    settings: Any = None
    """The type of its own settings, or None."""


class Registry:
    """The plugins of this process and what they offer."""

    def __init__(
        self, plugins: Iterable[Plugin], health: Iterable[PluginHealth], manager: pluggy.PluginManager
    ) -> None:
        self._plugins = {plugin.health.name: plugin for plugin in plugins}
        self.health = tuple(health)
        """Every plugin found, the broken and disabled ones too, built-ins first."""
        self.manager = manager
        """pluggy's manager with the plugins that are ok registered: for the life-cycle hooks."""

    @property
    def incomplete(self) -> bool:
        """Whether a plugin is not there that could offer what nobody knows."""
        return any(health.status is not Status.OK for health in self.health)

    def find(self, kind: str, text: str) -> Found:
        """Look up `NAME` or `PLUGIN/NAME` of a kind: codec, filter, transform or audit."""
        plugin_name, slash, name = text.partition("/")
        if slash:
            return self._find_in(kind, plugin_name, name)
        owners = [plugin for plugin in self._plugins.values() if (kind, text) in plugin.components]
        if len(owners) == 1:
            return _found(owners[0], kind, text)
        if owners:
            names = [owner.health.name for owner in owners]
            labels = " and ".join(owner.health.label for owner in owners)
            return Found(
                None,
                reason=f"{labels} both offer a {kind} called {quoted(text)}",
                hint=f"write {' or '.join(f'{owner}/{text}' for owner in names)}",
                code=Code.AMBIGUOUS_COMPONENT,
                passing=True,
            )
        return self._unknown(kind, text)

    def names(self, kind: str) -> list[str]:
        """The names of all components of a kind; `PLUGIN/NAME` where two plugins claim one."""
        return sorted(
            name if len(plugins) == 1 else f"{plugin}/{name}"
            for (owned, name), plugins in self._owners().items()
            for plugin in plugins
            if owned == kind
        )

    def clashes(self, plugin: str) -> list[str]:
        """What a plugin offers under a name that another one claims too, each with what to write instead."""
        return [
            f"the {kind} {name} is offered by {' and '.join(owner for owner in owners if owner != plugin)} too: "
            f"write {plugin}/{name} for this one"
            for (kind, name), owners in self._owners().items()
            if plugin in owners and len(owners) > 1
        ]

    def _owners(self) -> dict[tuple[str, str], list[str]]:
        """The plugins that offer a component, by its kind and name."""
        owners: dict[tuple[str, str], list[str]] = {}
        for plugin in self._plugins.values():
            for component in plugin.components:
                owners.setdefault(component, []).append(plugin.health.name)
        return owners

    def components(self, kind: str) -> Iterator[tuple[str, type[Component]]]:
        """Plugin name and class of every component of a kind, in the order they were loaded."""
        for plugin in self._plugins.values():
            for (owned, _), component in plugin.components.items():
                if owned == kind:
                    yield plugin.health.name, component

    def owner_of(self, component: type[Component]) -> str:
        """The plugin that offers a component; empty when none does."""
        for plugin in self._plugins.values():
            if component in plugin.components.values():
                return plugin.health.name
        return ""

    def plugin_names(self) -> list[str]:
        """The plugins that are ok, without the built-ins."""
        return [name for name in self._plugins if name != BUILTIN]

    def settings_type(self, plugin: str) -> Any:
        """The type of a plugin's own settings; None when it has none or is not loaded."""
        found = self._plugins.get(plugin)
        return found.settings if found else None

    def status_of(self, plugin: str) -> PluginHealth | None:
        """The health of a plugin by its name; None when it is not installed."""
        return next((health for health in self.health if health.name == plugin), None)

    def _find_in(self, kind: str, plugin_name: str, name: str) -> Found:
        plugin = self._plugins.get(plugin_name)
        if plugin is None:
            health = self.status_of(plugin_name)
            if health is not None:
                return Found(None, reason=health.sentence, hint=_remedy(health), code=Code.PLUGIN, passing=True)
            hint = did_you_mean(plugin_name, [BUILTIN, *self.plugin_names()], "plugins")
            return Found(None, reason=f"no plugin called {quoted(plugin_name)} is installed", hint=hint)
        if (kind, name) in plugin.components:
            return _found(plugin, kind, name)
        offered = [own for owned, own in plugin.components if owned == kind]
        hint = did_you_mean(name, offered, f"{kind}s of {plugin_name}")
        return Found(None, reason=f"the plugin {plugin_name} offers no {kind} called {quoted(name)}", hint=hint)

    def _unknown(self, kind: str, name: str) -> Found:
        reason = f"no {kind} is called {quoted(name)}"
        hint = did_you_mean(name, self.names(kind), f"{kind}s")
        other = next(
            (owned for plugin in self._plugins.values() for owned, own in plugin.components if own == name), ""
        )
        if other:
            hint = f"{quoted(name)} is {_article(other)}, and stands under {_list_of(other)}; {hint}"
        if self.incomplete:
            missing = [health.sentence for health in self.health if health.status is not Status.OK]
            more = len(missing) - _TOLD
            listing = "; ".join(missing[:_TOLD]) + (f"; and {more} more, see gateway plugins" if more > 0 else "")
            hint = f"{hint}; it may be of a plugin that is not there: {listing}"
        return Found(None, reason=reason, hint=hint, passing=self.incomplete)


def _found(plugin: Plugin, kind: str, name: str) -> Found:
    return Found(plugin.components[kind, name], plugin.health.name, plugin.health.version)


def _remedy(health: PluginHealth) -> str:
    if health.status is Status.DISABLED:
        return "take it out of plugins.disable, or list it in plugins.only"
    return "repair or upgrade the plugin (see gateway plugins), or take this step out"


def _article(kind: str) -> str:
    return f"an {kind}" if kind[0] in "aeiou" else f"a {kind}"


def _list_of(kind: str) -> str:
    return "codec" if kind == "codec" else f"{kind}s"
