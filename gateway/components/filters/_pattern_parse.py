"""A pattern as written, turned into branches: `$or` multiplied out, each branch a list of fields that must all hold."""

from __future__ import annotations

from typing import Final, NamedTuple

from ...errors import PatternError
from ._matchers import parse_leaf
from ._pattern_checks import Operator, Place
from ._pattern_leaf import Leaf
from ._pattern_show import show

MAX_BRANCHES: Final = 1000
"""Combinations of `$or` alternatives; EventBridge has the same limit."""
MAX_FIELDS: Final = 256
"""Fields of one combination; event-ruler has the same limit."""
MAX_DEPTH: Final = 100
"""Levels of nesting, and keys between the dots of one path."""

_OR: Final = "$or"
_RESERVED_IN_OR: Final = frozenset(Operator) | {
    "=", "<", "<=", ">", ">=", "regex", "not-wildcard", "not-equals-ignore-case", "date-after", "date-on-or-after",
    "date-before", "date-on-or-before", "in-date-range", "ip-address-in-range", "ip-address-not-in-range",
}  # fmt: skip
"""Names event-ruler keeps for operators, present and future, inside `$or`."""


class Field(NamedTuple):
    """One condition: the value at `path` must satisfy `leaf`."""

    path: str
    """Keys joined by dots; a dot inside a key joins as well."""
    leaf: Leaf


Branch = tuple[Field, ...]
_Draft = dict[str, Leaf]


def parse(pattern: object) -> tuple[Branch, ...]:
    """Check and compile a pattern; the event matches when one of the branches does. Raises PatternError.

    Within a branch every path occurs once: the last writer in document order wins, as in event-ruler.
    """
    drafts = _object([{}], pattern, (), "", in_or=False)
    return tuple(tuple(Field(path, leaf) for path, leaf in draft.items()) for draft in drafts)


def _object(drafts: list[_Draft], value: object, place: Place, prefix: str, *, in_or: bool) -> list[_Draft]:
    """Add the fields of one object to every draft; returns the drafts, more of them if it has `$or`."""
    if not isinstance(value, dict):
        raise PatternError(place, f"a pattern is an object, not {show(value)}", "write field: [value]")
    if not value:
        raise PatternError(place, "an empty object names no field", "write field: [value]")
    if len(place) >= MAX_DEPTH:
        raise PatternError(place, f"more than {MAX_DEPTH} levels of nesting")
    for key, item in value.items():
        if not isinstance(key, str):
            raise PatternError((*place, str(key)), f"the key {show(key)} is not a string", "put quotes around it")
        at = (*place, key)
        if key == _OR:
            drafts = _or(drafts, item, at, prefix)
        elif in_or and key in _RESERVED_IN_OR:
            raise PatternError(at, f'"{key}" is reserved inside $or and cannot name a field there', _hint(key, item))
        elif isinstance(item, dict):
            drafts = _object(drafts, item, at, f"{prefix}{key}.", in_or=in_or)
        elif isinstance(item, list):
            _field(drafts, prefix + key, parse_leaf(item, at), at)
        else:
            raise PatternError(
                at, f"a field takes a list of accepted values or an object, not {show(item)}", _hint(key, item)
            )
    return drafts


def _field(drafts: list[_Draft], path: str, leaf: Leaf, place: Place) -> None:
    if path.count(".") >= MAX_DEPTH:
        raise PatternError(place, f"a path of more than {MAX_DEPTH} keys", "a dot in a key begins another key")
    for draft in drafts:
        draft[path] = leaf
        if len(draft) > MAX_FIELDS:
            raise PatternError(place, f"more than {MAX_FIELDS} fields in one pattern", "split the pattern")


def _or(drafts: list[_Draft], value: object, place: Place, prefix: str) -> list[_Draft]:
    if not isinstance(value, list):
        raise PatternError(place, f"$or takes a list of objects, not {show(value)}", "write $or: [{a: [1]}, {b: [2]}]")
    if len(value) < 2:
        raise PatternError(place, f"$or needs at least two alternatives, not {len(value)}")
    grown: list[_Draft] = []
    for index, alternative in enumerate(value):
        at = (*place, index)
        if not isinstance(alternative, dict):
            raise PatternError(at, f"an alternative of $or is an object, not {show(alternative)}")
        grown += _object([draft.copy() for draft in drafts], alternative, at, prefix, in_or=True)
        if len(grown) > MAX_BRANCHES:
            raise PatternError(
                place, f"the $or alternatives make more than {MAX_BRANCHES} combinations", "use several routes"
            )
    return grown


def _hint(key: str, item: object) -> str:
    """For a key or value that stands where it cannot: what was probably meant."""
    if key in list(Operator):
        return f'an operator stands in the list of a field: [{{"{key}": {show(item)}}}]'
    return f"write [{show(item)}]" if item is None or isinstance(item, (str, int, float)) else ""
