"""Node tree -> typed values, value by value, so that a fault in one field hides none in another.

msgspec stops at the first fault of a structure and knows no lines. So structures are walked here, fields by fields;
msgspec itself is asked only for leaves nobody else knows (dates, UUIDs, a NamedTuple ...).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, get_args, get_origin

import msgspec

from ..errors import ConfigProblem
from ..problems import Code, Problem
from ..values import Secret
from .hints import beside
from .leaves import INVALID, NOT_VALID_HERE, Leaves, has_fault
from .limits import faults
from .merge import is_null
from .report import ConfigPath, unknown_field
from .scalars import ScalarError, resolve
from .shapes import (
    EVERY_KIND,
    LISTS,
    MAPPINGS,
    Field,
    fields_of,
    is_struct,
    kinds,
    members,
    shown,
    unwrap,
    words_of,
)
from .tree import Key, MappingNode, Node, ScalarNode, SequenceNode, find

Special = Callable[["Converter", Node, Mapping[str, Any], ConfigPath], Any]
"""Reads a type of its own way: the converter to report to, the node, the `extra` of its Meta, the path."""


def convert(node: Node, wanted: Any, path: ConfigPath, problems: list[Problem]) -> Any:
    """The value of `node` as type `wanted`; INVALID when it has problems, which are appended to `problems`."""
    return Converter(problems).value(node, wanted, path)


class Converter(Leaves):
    """Converts nodes and collects problems.

    `special` reads types of its own way. With `partial`, fields of mappings may be missing and no structure is built:
    for `defaults`, which is checked as far as it goes.
    """

    def __init__(
        self, problems: list[Problem], special: Mapping[Any, Special] | None = None, *, partial: bool = False
    ) -> None:
        super().__init__(problems)
        self.special = special or {}
        self.partial = partial

    def value(self, node: Node, wanted: Any, path: ConfigPath) -> Any:
        """The value of `node` as type `wanted`, or INVALID."""
        if node.faulty:
            return _stand_in(node, wanted)
        base, metas = unwrap(wanted)
        special = self.special.get(base)
        if special is not None:
            return special(self, node, _extra(metas), path)
        value = self._value(node, base, path, str(_extra(metas).get("instead", "")))
        if value is INVALID or value is None:
            return value
        good = True
        for meta in metas:
            for fault in faults(value, meta, secret=node.tainted):
                good = False
                self.note(find(node, fault.path), (*path, *fault.path), fault.code, fault.text, fault.hint)
        return value if good else INVALID

    def fields(
        self, node: MappingNode, known: tuple[Field, ...], path: ConfigPath, also: tuple[str, ...] = ()
    ) -> dict[str, Any]:
        """The fields of a mapping by their names in Python, INVALID ones included; `also` are keys read elsewhere."""
        node = _without_nulls(node, known)
        by_key = {field.key: field for field in known}
        values: dict[str, Any] = {}
        for key, child in node.entries:
            field = by_key.get(key.text)
            if field is not None:
                values[field.name] = self.value(child, field.type, (*path, key.text))
            elif key.text not in also:
                self.problems.append(unknown_field(node, key, (*by_key, *also), path))
                values["?"] = INVALID
        for field in known:
            if field.required and field.name not in values and not self.partial:
                self.note(node, path, Code.MISSING_FIELD, f"the field {shown(field.key)} is missing", _hint(field))
                values[field.name] = INVALID
        return values

    def build(self, make: Callable[..., Any], values: Mapping[str, Any], node: Node, path: ConfigPath) -> Any:
        """Make a structure of its values; what it refuses is reported at its mapping."""
        if any(value is INVALID for value in values.values()):
            return INVALID
        try:
            return make(**values)
        except ConfigProblem as problem:
            place, inner = find(node, problem.path), (*path, *problem.path)
            if place.unread:  # what is refused may be what stands in
                return INVALID
            if node.tainted:
                return self.note(place, inner, Code.INVALID_VALUE, NOT_VALID_HERE)
            return self.note(place, inner, Code.INVALID_VALUE, problem.text, problem.hint)
        except (ValueError, TypeError) as error:
            if node.unread:
                return INVALID
            return self.note(node, path, Code.INVALID_VALUE, NOT_VALID_HERE if node.tainted else str(error))

    def _value(self, node: Node, base: Any, path: ConfigPath, instead: str = "") -> Any:
        if base is Any or base is object:
            return INVALID if has_fault(node) else node.plain()
        if (alternatives := members(base)) is not None:
            return self._union(node, alternatives, path)
        if node.kind not in kinds(base):
            return self._wrong_type(node, base, path, instead)
        origin = get_origin(base) or base
        if isinstance(node, SequenceNode) and origin in LISTS:
            return self._list(node, base, LISTS[origin], path)
        if isinstance(node, MappingNode) and origin in MAPPINGS:
            return self._dict(node, get_args(base) or (str, Any), path)
        if isinstance(node, MappingNode) and (known := fields_of(base)) is not None:
            return self._struct(node, base, known, path)
        if isinstance(node, ScalarNode):
            return self._scalar(node, base, path)
        return self._by_msgspec(node, base, path)

    def _struct(self, node: MappingNode, base: Any, known: tuple[Field, ...], path: ConfigPath) -> Any:
        tag = _tag(base)
        values = self.fields(node, known, path, also=(tag[0],) if tag else ())
        if tag and (found := node.get(tag[0])) is not None and found.plain() != tag[1]:
            values["?"] = self.note(found, (*path, tag[0]), Code.INVALID_VALUE, f"expected {shown(tag[1])}")
        if self.partial:
            return values
        return self.build(base, values, node, path)

    def _list(self, node: SequenceNode, base: Any, make: type, path: ConfigPath) -> Any:
        types = get_args(base) or (Any,)
        if make is tuple and types and types[-1] is not Ellipsis and get_args(base):
            if len(types) != len(node.items):
                text = f"expected {len(types)} items, found {len(node.items)}"
                return self.note(node, path, Code.WRONG_TYPE, text)
        else:
            types = types[:1] * len(node.items)
        partial, self.partial = self.partial, False  # an item is whole: lists of defaults are never merged
        values = [
            self.value(item, wanted, (*path, index))
            for index, (item, wanted) in enumerate(zip(node.items, types, strict=True))
        ]
        self.partial = partial
        if any(value is INVALID for value in values):
            return INVALID
        try:
            return make(values)
        except TypeError:
            return self.note(node, path, Code.WRONG_TYPE, "expected items that can be told apart", "write plain values")

    def _dict(self, node: MappingNode, types: tuple[Any, ...], path: ConfigPath) -> Any:
        partial, self.partial = self.partial, False
        pairs = [
            (self._key(key, types[0], (*path, key.text)), self.value(child, types[1], (*path, key.text)))
            for key, child in node.entries
        ]
        self.partial = partial
        if any(key is INVALID or value is INVALID for key, value in pairs):
            return INVALID
        return dict(pairs)

    def _key(self, key: Key, wanted: Any, path: ConfigPath) -> Any:
        """A key is text; where a number is wanted it is read as one."""
        value: Any = key.text
        if unwrap(wanted)[0] in (int, float, bool):
            try:
                value = resolve(key.text)
            except ScalarError as error:
                return self.note(key, path, Code.INVALID_VALUE, str(error))
        return self.value(ScalarNode(key.file, key.line, key.column, value, key.text, quoted=True), wanted, path)

    def _union(self, node: Node, alternatives: tuple[Any, ...], path: ConfigPath) -> Any:
        fitting = [member for member in alternatives if node.kind in self._kinds(member)]
        if node.kind == "null" and type(None) in fitting:
            return None
        if not fitting:
            return self._wrong_type(node, alternatives, path)
        if len(fitting) == 1:
            value = self.value(node, fitting[0], path)
            if value is INVALID and (other := beside(alternatives)) and not isinstance(node, MappingNode):
                hint = ", or ".join(filter(None, (self.problems[-1].hint, other)))
                self.problems[-1] = replace(self.problems[-1], hint=hint)
            return value
        if isinstance(node, MappingNode) and (tagged := self._tagged(node, fitting, path)):
            return tagged[0]
        failures: list[list[Problem]] = []
        for member in fitting:
            trial = Converter([], self.special, partial=self.partial)
            value = trial.value(node, member, path)
            if value is not INVALID:
                return value
            failures.append(trial.problems)
        if isinstance(node, ScalarNode):
            text = f"expected {words_of(*fitting)}" + ("" if node.tainted else f", found {shown(node.value)}")
            return self.note(node, path, Code.INVALID_VALUE, text)
        nearest = min(failures, key=len)
        self.problems.extend(nearest)
        return INVALID

    def _tagged(self, node: MappingNode, fitting: list[Any], path: ConfigPath) -> tuple[Any] | None:
        """The alternative a tag chooses, in a tuple; None when the alternatives have no tags."""
        tags = {member: _tag(unwrap(member)[0]) for member in fitting}
        first = tags[fitting[0]]
        if first is None or any(tag is None or tag[0] != first[0] for tag in tags.values()):
            return None
        chosen = node.get(first[0])
        names = {tag[1]: member for member, tag in tags.items() if tag is not None}
        if chosen is None:
            hint = f"{first[0]}: {', '.join(map(str, names))}"
            return (self.note(node, path, Code.MISSING_FIELD, f"the field {shown(first[0])} is missing", hint),)
        value = chosen.plain()
        if not isinstance(value, str | int) or value not in names:
            return (self._choice(chosen, tuple(names), (*path, first[0])),)
        return (self.value(node, names[value], path),)

    def _kinds(self, member: Any) -> frozenset[str]:
        return EVERY_KIND - {"null"} if unwrap(member)[0] in self.special else kinds(member)


def _stand_in(node: Node, wanted: Any) -> Any:
    """For a text that was not read the text that stands there, so that what is around it is checked; else INVALID.

    As it stands, and no made-up one: what comes from two credentials is not the same.
    """
    if isinstance(node, ScalarNode) and node.unread:
        bases = [unwrap(member)[0] for member in members(wanted) or (wanted,)]
        if Secret in bases:
            return Secret(node.text)
        if str in bases or Any in bases or object in bases:
            return node.text
    return INVALID


def _without_nulls(node: MappingNode, known: tuple[Field, ...]) -> MappingNode:
    """Without the nulls that stand for a default: the gateway's own fields are as good as absent then."""
    unset = {field.key for field in known if field.null_unsets}
    entries = tuple((key, child) for key, child in node.entries if key.text not in unset or not is_null(child))
    return MappingNode(node.file, node.line, node.column, entries)


def _extra(metas: tuple[msgspec.Meta, ...]) -> dict[str, Any]:
    return {name: value for meta in metas for name, value in (meta.extra or {}).items()}


def _hint(field: Field) -> str:
    """What to write where a required field is missing."""
    return str(_extra(unwrap(field.type)[1]).get("missing", ""))


def _tag(base: Any) -> tuple[str, str | int] | None:
    """The tag field and value of a tagged Struct."""
    if not is_struct(base):
        return None
    config = (get_origin(base) or base).__struct_config__
    return (config.tag_field, config.tag) if config.tag is not None else None
