"""Steps: `- NAME` or `- NAME: config` becomes the component's name with its config, converted to its own type."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from ..problems import Code
from ..registry import RESERVED, Registry
from . import model
from .convert import Converter
from .leaves import INVALID
from .report import ConfigPath
from .shapes import MAPPINGS, fields_of, kinds, members, unwrap, words
from .tree import Key, MappingNode, Node, ScalarNode, quote

PASSING = frozenset({Code.PLUGIN, Code.AMBIGUOUS_COMPONENT})
"""Problems that keep only the routes down that need the component; the rest of the config can run."""


class _Named(NamedTuple):
    name: str
    place: Node | Key
    config: Node | None
    path: ConfigPath
    """The path of the config."""


class StepReader:
    """Reads the steps of one config; `made` are the good ones since it was last emptied."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self.made: list[tuple[str, model.Step]] = []
        self.plugins: set[str] = set()
        """The plugins whose components the config uses."""

    def read(self, converter: Converter, node: Node, extra: Mapping[str, Any], path: ConfigPath) -> Any:
        """The step, or INVALID; one whose plugin is not there has the config None."""
        kind = str(extra["component"])
        named = _name(converter, node, kind, path)
        if named is None:
            return INVALID
        found = self._registry.find(kind, named.name)
        if found.component is None:
            hidden = named.place is node and node.tainted
            reason = f"no such {kind}" if hidden else found.reason
            code = Code.PLUGIN if found.passing and found.code is Code.UNKNOWN_COMPONENT else found.code
            converter.note(named.place, path, code, reason, "" if hidden else found.hint)
            if not found.passing:
                return INVALID
            return model.Step(component=named.name, config=None, node=named.config or node, path=named.path)
        self.plugins.add(found.plugin)
        config_node, config = _config(converter, node, named, found.component.Config)
        if config is INVALID:
            return INVALID
        step = model.Step(component=named.name, config=config, node=config_node, path=named.path)
        self.made.append((kind, step))
        return step


def _name(converter: Converter, node: Node, kind: str, path: ConfigPath) -> _Named | None:
    """Which component a step names, and where its config stands."""
    example = f"write {_a(kind)} as NAME, or as NAME: and its settings"
    if isinstance(node, ScalarNode) and isinstance(node.value, str):
        if node.value in RESERVED:
            _refuse(converter, node, path, node.value)
            return None
        return _Named(node.value, node, None, path)
    if not isinstance(node, MappingNode):
        converter.note(node, path, Code.INVALID_STEP, f"expected {_a(kind)}, found {node.kind}", example)
        return None
    keys = [key for key, _ in node.entries]
    for key in keys:
        if key.text in RESERVED:
            _refuse(converter, key, (*path, key.text), key.text)
            return None
    if len(keys) != 1:
        found = ", ".join(quote(key.text) for key in keys) or "none"
        hint = "settings stand deeper than the name; each step begins with its own dash" if keys else example
        text = f"{_a(kind)} is one key, the component's name; found {found}"
        converter.note(keys[1] if keys else node, path, Code.INVALID_STEP, text, hint)
        return None
    key, config = node.entries[0]
    return _Named(key.text, key, config, (*path, key.text))


def _refuse(converter: Converter, place: Node | Key, path: ConfigPath, word: str) -> None:
    text = f"{quote(word)} is reserved, and no component"
    hint = f"{', '.join(sorted(RESERVED))} are kept for later; a step has one key, the component's name"
    converter.note(place, path, Code.INVALID_STEP, text, hint)


def _config(converter: Converter, node: Node, named: _Named, wanted: Any) -> tuple[Node, Any]:
    """The node a config is read from, and its value."""
    config = named.config
    try:
        if config is None or (config.kind == "null" and not config.faulty):
            if "null" in kinds(wanted) and not _takes_mapping(wanted):
                return config or node, None
            place = config or node
            if not _takes_mapping(wanted):
                text = f"{quote(named.name)} needs settings: {words(wanted)}"
                if place.tainted:
                    text = f"this component needs settings: {words(wanted)}"
                hint = f"write {quote(named.name)}: and the settings" if not place.tainted else ""
                return place, converter.note(place, named.path, Code.MISSING_FIELD, text, hint)
            config = MappingNode(place.file, place.line, place.column, ())
        return config, converter.value(config, wanted, named.path)
    except Exception as error:  # noqa: BLE001 - the type is a third party's, and may not be one that can be read
        text = f"its Config cannot be read: {type(error).__name__}: {error}"
        text = "its Config cannot be read" if node.tainted else text
        return node, converter.note(named.place, named.path, Code.COMPONENT, text, "the plugin's author must repair it")


def needs_settings(wanted: Any) -> bool:
    """Whether a step of this config's type cannot stand without settings."""
    alternatives = members(wanted)
    if alternatives is not None:
        return all(needs_settings(member) for member in alternatives)
    required = any(field.required for field in fields_of(unwrap(wanted)[0]) or ())
    return required or ("null" not in kinds(wanted) and not _takes_mapping(wanted))


def _takes_mapping(wanted: Any) -> bool:
    """Whether the type is a Struct or mapping, or has one among its alternatives."""
    base, _ = unwrap(wanted)
    alternatives = members(base)
    if alternatives is not None:
        return any(_takes_mapping(member) for member in alternatives)
    cls = getattr(base, "__origin__", base)
    return cls in MAPPINGS or fields_of(base) is not None


def _a(kind: str) -> str:
    return f"an {kind}" if kind == "audit" else f"a {kind}"
