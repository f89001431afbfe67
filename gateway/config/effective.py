"""The config as it counts: defaults merged, names filled in, secrets masked, `${...}` as it stands in the file; YAML or
plain data.
"""

from __future__ import annotations

import dataclasses
import re
from decimal import Decimal
from functools import lru_cache
from typing import Any

import msgspec
import yaml

from ..paths import Path
from ..templates import Template
from ..values import Duration, Rate, Secret, Size
from . import model
from .loader import Loaded
from .scalars import ScalarError, resolve
from .shapes import fields_of
from .tree import MappingNode, Node, ScalarNode, SequenceNode

MASK = "***"

_BEFORE_AT = re.compile(r"(://).*@", re.DOTALL)
_PASSWORD = re.compile(r"^([a-z+]+://)(.*)@", re.IGNORECASE | re.DOTALL)


def effective(loaded: Loaded) -> dict[str, Any]:
    """The config as plain data in the order of the model; fields without a value are left out."""
    plain: dict[str, Any] = msgspec.to_builtins(_dressed(loaded), enc_hook=_undressed)
    return plain


def effective_yaml(loaded: Loaded) -> str:
    """The same as YAML, which a gateway could load again but for the masked secrets."""
    return yaml.dump(_dressed(loaded), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)


def _dressed(loaded: Loaded) -> dict[str, Any]:
    """The same, with texts that stood in quotes known as such."""
    assert loaded.config is not None, "a config with errors has no effect"
    written: dict[str, Any] = as_written(loaded.config, loaded.effective_root)
    _derive_again(written, loaded.effective_root)
    written["http"] = written["http"] or "off"
    for route in written["routes"]:
        route.setdefault("codec", "json")
    ordered = {field.key: written[field.key] for field in fields_of(model.Config) or () if field.key in written}
    ordered["routes"] = [_ordered_route(route) for route in ordered["routes"]]
    return ordered


class _AsIs(str):
    """Text that stood in quotes: what its `${...}` become is no number and no boolean."""


def _undressed(value: object) -> str:
    if isinstance(value, _AsIs):
        return str(value)
    raise NotImplementedError


class _Dumper(yaml.SafeDumper):
    """Lists stand deeper than their key, and strings that YAML 1.1 or 1.2 would read as something else are quoted."""

    def represent_str(self, data: str) -> yaml.ScalarNode:
        """Quote what the loader would not take for text; PyYAML itself knows only the rules of YAML 1.1."""
        style = None if isinstance(_read_back(data), str) else "'"
        return self.represent_scalar("tag:yaml.org,2002:str", data, style=style)

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        """Indent lists too."""
        super().increase_indent(flow, False)


_Dumper.add_representer(str, _Dumper.represent_str)
_Dumper.add_representer(
    _AsIs, lambda dumper, data: dumper.represent_scalar("tag:yaml.org,2002:str", str(data), style="'")
)


def _read_back(text: str) -> object:
    try:
        return resolve(text)
    except ScalarError:
        return None


def _ordered_route(route: dict[str, Any]) -> dict[str, Any]:
    return {field.key: route[field.key] for field in fields_of(model.Route) or () if field.key in route}


def _derive_again(written: dict[str, Any], root: MappingNode) -> None:
    """A name the loader made of an expanded value would give it away: make it of the text before expansion."""
    gateway = _tainted(root, "name")
    routes = root.get("routes")
    nodes = routes.items if isinstance(routes, SequenceNode) else ()
    for route, node in zip(written["routes"], nodes, strict=True):
        if _below(_below(node, "source"), "durable") is None and (gateway or _tainted(node, "name")):
            route["source"]["durable"] = _AsIs(f"{written['name']}-{route['name']}")
        targets = _below(node, "targets")
        for target, at in zip(
            route["targets"], targets.items if isinstance(targets, SequenceNode) else (), strict=True
        ):
            if _below(at, "name") is None and _tainted(at, "subject"):
                target["name"] = target["subject"]


def _tainted(node: Node | None, key: str) -> bool:
    below = _below(node, key)
    return below is not None and below.tainted


def as_written(value: Any, node: Node | None = None) -> Any:
    """A value as a config would hold it; `node` is where it was written, if it was."""
    if isinstance(value, Secret):
        return MASK
    if isinstance(node, ScalarNode) and node.tainted:
        return _before_expansion(node)
    if isinstance(value, model.Step):
        return _step(value)
    known = fields_of(_class(value))
    if known is not None:
        written = {}
        for field in known:
            inner = getattr(value, field.name)
            made = as_written(inner, _below(node, field.key))
            # Nothing to see, unless a default would take its place when the config is read again.
            if inner is not msgspec.UNSET and (
                made not in (None, "", [], {}) or inner != default_of(value, field.name)
            ):
                written[field.key] = made
        return written
    if isinstance(value, dict):
        return {_literal(str(key)): as_written(inner, _below(node, str(key))) for key, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        if isinstance(node, SequenceNode) and len(node.items) == len(value) and not isinstance(value, set | frozenset):
            return [as_written(inner, below) for inner, below in zip(value, node.items, strict=True)]
        if node is not None and node.tainted:
            return MASK
        return [as_written(inner, None) for inner in value]
    return _scalar(value)


def default_of(structure: Any, name: str) -> Any:
    """What a field of a Struct or dataclass is when nobody sets it; UNSET without a default."""
    if dataclasses.is_dataclass(structure):
        plain = next(field for field in dataclasses.fields(structure) if field.name == name)
        if plain.default_factory is not dataclasses.MISSING:
            return plain.default_factory()
        return msgspec.UNSET if plain.default is dataclasses.MISSING else plain.default
    field = _struct_fields(structure if isinstance(structure, type) else type(structure))[name]
    if field.default_factory is not msgspec.NODEFAULT:
        return field.default_factory()
    return msgspec.UNSET if field.default is msgspec.NODEFAULT else field.default


@lru_cache(
    maxsize=512
)  # msgspec reads the annotations anew each time, which would be most of what a large config costs
def _struct_fields(structure: Any) -> dict[str, msgspec.structs.FieldInfo]:
    return {field.name: field for field in msgspec.structs.fields(structure)}


def _scalar(value: Any) -> Any:
    if isinstance(value, Rate):
        return f"{Decimal(repr(float(value))):f}".removesuffix(".0") + "/s"
    if isinstance(value, Duration | Size | Path | Template):
        return _literal(str(value))
    if isinstance(value, str):
        return _literal(_PASSWORD.sub(_without_password, str(value)))
    if value is None or value is msgspec.UNSET or isinstance(value, bool | int | float):
        return value
    return as_written(msgspec.to_builtins(value, enc_hook=str), None)


def _step(step: model.Step) -> Any:
    if step.config is None:
        return step.component
    config = as_written(step.config, step.node)
    return step.component if config == {} else {step.component: config}


def _before_expansion(node: ScalarNode) -> str:
    """The text as it stands in the file: what its `${...}` become may be a secret, and what is before an @ in a URL."""
    text = _BEFORE_AT.sub(rf"\1{MASK}@", node.text)
    return _AsIs(text) if node.quoted else text


def _literal(text: str) -> str:
    """Text that expansion leaves alone."""
    return text.replace("${", "$${")


def _without_password(found: re.Match[str]) -> str:
    """A URL keeps its user; one without a colon may be a token."""
    user, colon, _ = found[2].partition(":")
    return f"{found[1]}{user}:{MASK}@" if colon else f"{found[1]}{MASK}@"


def _class(value: Any) -> Any:
    return type(value)


def _below(node: Node | None, key: str) -> Node | None:
    return node.get(key) if isinstance(node, MappingNode) else None
