"""JSON Schema (draft 2020-12) of the config, the configs of all installed components included: for editors.

A schema is kinder than `gateway check`: wherever a value may stand, `${...}` may stand, and no editor can know what it
will be.
"""

from __future__ import annotations

from enum import Enum
from typing import Any, Literal, get_args, get_origin

import msgspec

from ..paths import Path, StarPath
from ..plugin import Component
from ..registry import BASES, Registry
from ..templates import Template
from ..values import Duration, Rate, Secret, Size, Subject
from . import model
from .describe import field_docs, shown_default
from .shapes import LISTS, MAPPINGS, fields_of, kinds, members, unwrap
from .steps import needs_settings

Schema = dict[str, Any]

_EXPANSION: Schema = {"$ref": "#/$defs/expansion"}
_NULL: Schema = {"type": "null"}
_OWN: dict[Any, Schema] = {
    Duration: {"pattern": r"^(\d+(\.\d+)?(ms|s|m|h|d))+$", "examples": ["250ms", "30s", "24h"]},
    Size: {"pattern": r"^\d+(B|KiB|MiB|GiB|TiB)$", "examples": ["512KiB", "1GiB"]},
    Rate: {"pattern": r"^\d+(\.\d+)?/(s|m|h)$", "examples": ["100/s"]},
    Subject: {"pattern": r"^[^\s.]+(\.[^\s.]+)*$"},
    Path: {},
    StarPath: {},
    Template: {},
    Secret: {},
}
_SCALARS: dict[Any, Schema] = {bool: {"type": "boolean"}, int: {"type": "integer"}, float: {"type": "number"}}
_BOUNDS = {"ge": "minimum", "gt": "exclusiveMinimum", "le": "maximum", "lt": "exclusiveMaximum"}


def config_schema(registry: Registry) -> Schema:
    """The schema of a whole config with the components of `registry`."""
    return _Writer(registry).document()


class _Writer:
    """Writes one schema; `defs` fills up with what is referred to."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._defs: dict[str, Schema] = {
            "expansion": {
                "type": "string",
                "pattern": r"\$\{",
                "description": "${NAME}, ${NAME:-default}, ${file:PATH} or ${credential:NAME}",
            }
        }

    def document(self) -> Schema:
        top = self._struct_body(model.Config, partial=False)
        properties = top["properties"]
        routes = properties.pop("routes")
        properties["defaults"] = {"anyOf": [self._struct(model.Route, partial=True), _NULL]}
        properties["defaults"]["description"] = "Any field of a route; mappings merge by key, a route's own value wins."
        globs = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}
        properties["include"] = {**globs, "description": "Globs of files with more routes and streams."}
        properties["routes"] = routes
        for kind in BASES:
            self._defs[kind] = self._steps(kind)
        return {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "title": "nats-event-gateway",
            **top,
            "$defs": dict(sorted(self._defs.items())),
        }

    def _type(self, wanted: Any, *, partial: bool = False) -> Schema:
        """The schema of a type, with the limits of its Meta."""
        base, metas = unwrap(wanted)
        extra = {name: value for meta in metas for name, value in (meta.extra or {}).items()}
        if base is model.Step:
            return {"$ref": f"#/$defs/{extra['component']}"}
        schema = self._plain(base, partial=partial)
        for meta in metas:
            schema = _limited(schema, meta, base)
        return schema

    def _plain(self, base: Any, *, partial: bool) -> Schema:
        if base in _SCALARS:
            return {"anyOf": [_SCALARS[base], _EXPANSION]}
        if base in (None, type(None)):
            return _NULL
        if base in _OWN:
            return _text(_OWN[base])
        if base is str:
            return {"type": "string"}
        if base is model.Http:
            return {"anyOf": [{"const": "off"}, self._struct(base, partial=partial)]}
        alternatives = members(base)
        if alternatives is not None:
            return {"anyOf": [self._type(member, partial=partial) for member in alternatives]}
        origin = get_origin(base) or base
        if origin is Literal:
            return _choices(get_args(base))
        if origin in LISTS:
            return self._list(base, origin)
        if origin in MAPPINGS:
            types = get_args(base)
            return {"type": "object", "additionalProperties": self._type(types[1]) if types else {}}
        if fields_of(base) is not None:
            return self._struct(base, partial=partial)
        if isinstance(base, type) and issubclass(base, Enum):
            return _choices(tuple(choice.value for choice in base))
        return {}

    def _list(self, base: Any, origin: Any) -> Schema:
        types = get_args(base)
        if origin is tuple and types and types[-1] is not Ellipsis:
            size = len(types)
            items = [self._type(item) for item in types]
            return {"type": "array", "prefixItems": items, "minItems": size, "maxItems": size}
        schema: Schema = {"type": "array", "items": self._type(types[0]) if types else {}}
        if origin in (set, frozenset):
            schema["uniqueItems"] = True
        return schema

    def _struct(self, cls: Any, *, partial: bool) -> Schema:
        """A reference to the schema of a Struct; with `partial` nothing in it is required, for `defaults`."""
        owner = "" if issubclass(cls, model.Model) else f"{cls.__module__}."
        name = f"{owner}{cls.__qualname__}{'-default' if partial else ''}"
        if name not in self._defs:
            self._defs[name] = {}  # so that a type that holds itself ends
            self._defs[name] = self._struct_body(cls, partial=partial)
        return {"$ref": f"#/$defs/{name}"}

    def _struct_body(self, cls: Any, *, partial: bool) -> Schema:
        known = fields_of(cls) or ()
        own = isinstance(cls, type) and issubclass(cls, model.Model)
        docs = field_docs(cls)
        properties: dict[str, Schema] = {}
        for field in known:
            schema = self._type(field.type, partial=partial)
            if (own and (partial or not field.required)) and "null" not in kinds(field.type):
                schema = {"anyOf": [schema, _NULL]}  # null unsets
            default = shown_default(cls, field.name)
            if default is not None:
                schema = {**schema, "default": default}
            if field.name in docs:
                schema = {**schema, "description": docs[field.name]}
            properties[field.key] = schema
        body: Schema = {"type": "object"}
        if cls.__doc__ and own:
            body["description"] = cls.__doc__.strip().splitlines()[0]
        body |= {"properties": properties, "additionalProperties": False}
        required = [field.key for field in known if field.required]
        if required and not partial:
            body["required"] = required
        tag = cls.__struct_config__ if isinstance(cls, type) and issubclass(cls, msgspec.Struct) else None
        if tag is not None and tag.tag_field is not None:
            properties[tag.tag_field] = {"const": tag.tag}
        return body

    def _steps(self, kind: str) -> Schema:
        """A step of a kind: a component's name, or a mapping with it as the one key."""
        names: list[str] = []
        mappings: list[Schema] = []
        short = set(self._registry.names(kind))
        for plugin, component in self._registry.components(kind):
            config, needed = self._config(component)
            spellings = [component.name] if component.name in short else []
            spellings.append(f"{plugin}/{component.name}")
            if not needed:
                names += spellings
            mappings.append(
                {
                    "type": "object",
                    "description": component.summary,
                    "properties": dict.fromkeys(spellings, config),
                    "minProperties": 1,
                    "maxProperties": 1,
                    "additionalProperties": False,
                }
            )
        return {"anyOf": [{"enum": names}, *mappings, _EXPANSION]}

    def _config(self, component: type[Component]) -> tuple[Schema, bool]:
        """The schema of a component's config, and whether it must be there."""
        try:
            schema, needed = self._type(component.Config), needs_settings(component.Config)
        except Exception:  # noqa: BLE001 - a third party's type may be one nobody can describe
            return {}, False
        return (schema if needed else {"anyOf": [schema, _NULL]}), needed


def _text(limits: Schema) -> Schema:
    return {"anyOf": [{"type": "string", **limits}, _EXPANSION]} if limits else {"type": "string"}


def _choices(choices: tuple[Any, ...]) -> Schema:
    return {"anyOf": [{"enum": list(choices)}, _EXPANSION]}


def _limited(schema: Schema, meta: msgspec.Meta, base: Any) -> Schema:
    """Add the limits of a Meta, as far as a schema can say them of this type."""
    limits: Schema = {}
    if base in (int, float):
        limits = {word: getattr(meta, name) for name, word in _BOUNDS.items() if getattr(meta, name) is not None}
    elif base is str:
        if meta.pattern is not None:
            limits["pattern"] = meta.pattern
        limits |= _lengths(meta, "Length")
    elif (get_origin(base) or base) in LISTS:
        limits = _lengths(meta, "Items")
    elif (get_origin(base) or base) in MAPPINGS:
        limits = _lengths(meta, "Properties")
    if limits and base is str:
        schema = _text({**(schema.get("anyOf", [{}])[0]), **limits})
    elif limits and "anyOf" in schema:
        first, *rest = schema["anyOf"]
        schema = {**schema, "anyOf": [{**first, **limits}, *rest]}
    elif limits:
        schema = {**schema, **limits}
    described = {"description": meta.description} if meta.description else {}
    return {**schema, **described, **(meta.extra_json_schema or {})}


def _lengths(meta: msgspec.Meta, unit: str) -> Schema:
    limits = {f"min{unit}": meta.min_length, f"max{unit}": meta.max_length}
    return {name: value for name, value in limits.items() if value is not None}
