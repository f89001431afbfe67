"""What a type expects: its fields, the kinds of YAML value it takes, and the words for it in an error."""

from __future__ import annotations

import dataclasses
import types
from collections.abc import (
    Callable,
    Collection,
    Iterable,
    Mapping,
    MutableMapping,
    MutableSequence,
    MutableSet,
    Sequence,
    Set,
)
from enum import Enum
from functools import lru_cache
from typing import (
    Annotated,
    Any,
    Literal,
    NewType,
    Required,
    Union,
    get_args,
    get_origin,
    get_type_hints,
    is_typeddict,
)

import msgspec

from ..paths import Path, StarPath
from ..problems import Code
from ..templates import Template
from ..values import Duration, Rate, Secret, Size, Subject
from .model import Model
from .report import listed
from .tree import quote

LISTS: dict[Any, type] = {
    list: list,
    Sequence: list,
    MutableSequence: list,
    Collection: list,
    Iterable: list,
    tuple: tuple,
    set: set,
    MutableSet: set,
    Set: set,
    frozenset: frozenset,
}
"""Types written as a list, and what the value becomes."""
MAPPINGS = (dict, Mapping, MutableMapping)


@dataclasses.dataclass(frozen=True, slots=True)
class OwnType:
    """One of the gateway's value types: its words, how its text is read, and the code of what it refuses."""

    words: str
    read: Callable[[str], Any]
    code: Code


OWN: dict[Any, OwnType] = {
    Duration: OwnType("a duration", Duration.parse, Code.INVALID_VALUE),
    Size: OwnType("a size", Size.parse, Code.INVALID_VALUE),
    Rate: OwnType("a rate", Rate.parse, Code.INVALID_VALUE),
    Secret: OwnType("text", Secret.parse, Code.INVALID_VALUE),
    Subject: OwnType("a subject", Subject.parse, Code.INVALID_SUBJECT),
    Path: OwnType("a path", Path, Code.INVALID_PATH),
    StarPath: OwnType("a path", StarPath, Code.INVALID_PATH),
    Template: OwnType("a template", Template, Code.INVALID_TEMPLATE),
}

_SCALARS: dict[Any, tuple[str, frozenset[str]]] = {
    bool: ("true or false", frozenset({"boolean"})),
    int: ("an integer", frozenset({"integer"})),
    float: ("a number", frozenset({"integer", "number"})),
    str: ("a string", frozenset({"string"})),
    type(None): ("null", frozenset({"null"})),
    None: ("null", frozenset({"null"})),
}
EVERY_KIND = frozenset({"null", "boolean", "integer", "number", "string", "list", "mapping"})
_KIND_OF: dict[type, str] = {bool: "boolean", int: "integer", float: "number", str: "string", type(None): "null"}


@dataclasses.dataclass(frozen=True, slots=True)
class Field:
    """One field of a Struct, dataclass or TypedDict, under its name in Python and its key in the file."""

    name: str
    key: str
    type: Any
    required: bool
    null_unsets: bool = False
    """A null in the file is as good as no value; of other types it is a value, right or wrong."""


def unwrap(wanted: Any) -> tuple[Any, tuple[msgspec.Meta, ...]]:
    """Take off `Annotated`, `NewType` and aliases; the constraints found on the way come along."""
    metas: list[msgspec.Meta] = []
    while True:
        if get_origin(wanted) is Annotated:
            wanted, *extras = get_args(wanted)
            metas.extend(extra for extra in extras if isinstance(extra, msgspec.Meta))
        elif isinstance(wanted, NewType):
            wanted = wanted.__supertype__
        elif type(wanted).__name__ == "TypeAliasType":  # `type X = ...` of Python 3.12 and typing_extensions
            wanted = wanted.__value__
        elif get_origin(wanted) in (Required, msgspec.UnsetType):
            wanted = get_args(wanted)[0]
        else:
            return wanted, tuple(metas)


def members(wanted: Any) -> tuple[Any, ...] | None:
    """The alternatives of a union, nested ones included, or None when it is none."""
    base, metas = unwrap(wanted)
    if get_origin(base) not in (Union, types.UnionType):
        return None
    found: list[Any] = []
    for member in get_args(base):
        found.extend(members(member) or (member,))
    return tuple(Annotated[member, *metas] if metas else member for member in found if member is not msgspec.UnsetType)


def is_struct(base: Any) -> bool:
    """Whether it is a Struct written as a mapping."""
    cls = get_origin(base) or base
    return isinstance(cls, type) and issubclass(cls, msgspec.Struct) and not cls.__struct_config__.array_like


@lru_cache(maxsize=512)
def fields_of(base: Any) -> tuple[Field, ...] | None:
    """The fields of a Struct, dataclass or TypedDict; None for anything else."""
    if is_struct(base):
        own = issubclass(get_origin(base) or base, Model)
        return tuple(
            Field(item.name, item.encode_name, item.type, item.required, own and not item.required)
            for item in msgspec.structs.fields(base)
            if not _internal(item.type)
        )
    if isinstance(base, type) and dataclasses.is_dataclass(base):
        hints = get_type_hints(base, include_extras=True)
        absent = dataclasses.MISSING
        return tuple(
            Field(item.name, item.name, hints[item.name], item.default is absent and item.default_factory is absent)
            for item in dataclasses.fields(base)
            if item.init
        )
    if is_typeddict(base):
        hints = get_type_hints(base, include_extras=True)
        required: frozenset[str] = base.__required_keys__
        return tuple(Field(name, name, hint, name in required) for name, hint in hints.items())
    return None


def _internal(hint: Any) -> bool:
    """Whether a field is filled in by the loader and nothing a file may set."""
    return any((meta.extra or {}).get("internal") for meta in unwrap(hint)[1])


def kinds(wanted: Any) -> frozenset[str]:
    """The kinds of YAML value a type could take, in the words of a node's `kind`."""
    base, _ = unwrap(wanted)
    if base in _SCALARS:
        return _SCALARS[base][1]
    if base in OWN:
        return frozenset({"string"})
    origin = get_origin(base) or base
    if origin is Literal:
        return frozenset(_KIND_OF[type(choice)] for choice in get_args(base))
    if (alternatives := members(base)) is not None:
        return frozenset().union(*(kinds(member) for member in alternatives))
    if origin in LISTS:
        return frozenset({"list"})
    if origin in MAPPINGS or fields_of(base) is not None:
        return frozenset({"mapping"})
    if isinstance(base, type) and issubclass(base, Enum):
        return frozenset(_KIND_OF.get(type(choice.value), "string") for choice in base)
    return EVERY_KIND


def words(wanted: Any) -> str:
    """What a type expects, in words: `an integer`, `"all", "new" or a mapping`."""
    base, _ = unwrap(wanted)
    if base in _SCALARS:
        return _SCALARS[base][0]
    if base in OWN:
        return OWN[base].words
    origin = get_origin(base) or base
    if origin is Literal:
        return listed(shown(choice) for choice in get_args(base))
    if (alternatives := members(base)) is not None:
        return words_of(*alternatives)
    if origin in LISTS:
        return "a list"
    if origin in MAPPINGS or fields_of(base) is not None:
        return "a mapping"
    if isinstance(base, type) and issubclass(base, Enum):
        return listed(shown(choice.value) for choice in base)
    return str(getattr(base, "__name__", base)).lower()


def words_of(*alternatives: Any) -> str:
    """What a union expects, in words."""
    return listed(words(member) for member in alternatives if member is not type(None))


def shown(value: object) -> str:
    """A value as a file would hold it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    return quote(value) if isinstance(value, str) else str(value)


def holds_secret(wanted: Any) -> bool:
    """Whether a value of the type is, or lists, secrets, so that no problem may show what stands there."""
    base, _ = unwrap(wanted)
    return base is Secret or any(holds_secret(part) for part in get_args(base) if get_origin(base) is not Literal)
