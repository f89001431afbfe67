"""Why an event does not match, in one line."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence

from ._pattern_leaf import ABSENT, PRESENT, Leaf
from ._pattern_parse import Branch, Field
from ._pattern_show import show, show_path
from ._pattern_walk import NO, Branches, Need, Search, needs

Tell = Callable[[object], str]
"""How a value of the event is told."""


def reason(branches: Sequence[Branch], body: object, *, values: bool = True) -> str:
    """The reason for the branch that comes nearest: the one with the fewest fields at fault, the first of equals.

    Without `values` it says of what type the event's values are, not what they are.
    """
    tell = _value if values else _type
    if not isinstance(body, dict):
        return f"the body is {tell(body)}; a pattern matches only objects"
    if Branches(branches).match(body):
        return "the pattern matches"
    # A field that may be absent is no fault by itself: it may be absent from the elements that other fields choose.
    failing = {
        field: field.leaf.mode == PRESENT and not _fits([field], body) for branch in branches for field in branch
    }
    faults = [[field for field in branch if failing[field]] for branch in branches]
    nearest = min(range(len(branches)), key=lambda index: len(faults[index]) or len(branches[index]))
    fault = faults[nearest]
    text = _fault_text(fault, body, tell) if fault else _conflict_text(_conflict(branches[nearest], body), body, tell)
    return text if len(branches) == 1 else f"none of {len(branches)} alternatives matches; in the nearest, {text}"


def _fits(fields: Sequence[Field], body: object) -> bool:
    return Search().fit(body, [(needs(*field), field.leaf.mode) for field in fields]) != NO


def _fault_text(fields: Sequence[Field], body: object, tell: Tell) -> str:
    path, leaf = fields[0]
    values = list(itertools.islice(_values(body, needs(path, leaf)), 4))
    found = ", ".join(tell(value) for value in values[:3]) + (", ..." if len(values) > 3 else "")
    others = f" (and {len(fields) - 1} more fields do not match)" if len(fields) > 1 else ""
    others = others.replace("1 more fields do", "1 more field does") if len(fields) == 2 else others
    return f"{show_path(path)} is {found or 'absent'}, wanted {_wanted(leaf)}{others}"


def _wanted(leaf: Leaf) -> str:
    if leaf.mode == ABSENT:
        return "it to be absent"
    if leaf.mode & PRESENT and len(leaf.wanted) == 1:
        return show(leaf.wanted[0])
    shown = [show(item) for item in leaf.wanted[:5]]
    return "any of " + ", ".join(shown) + (", ..." if len(leaf.wanted) > 5 else "")


def _conflict(branch: Branch, body: object) -> Sequence[Field]:
    """The fields at fault when each that must be there fits alone."""
    certain = [field for field in branch if field.leaf.mode == PRESENT]
    if _fits(certain, body):
        return next(([field] for field in branch if not _fits([*certain, field], body)), branch)
    for field in tuple(certain):
        rest = [each for each in certain if each is not field]
        if not _fits(rest, body):
            certain = rest
    return certain


def _conflict_text(fields: Sequence[Field], body: object, tell: Tell) -> str:
    if len(fields) == 1:
        return _fault_text(fields, body, tell)
    return f"no element of the lists satisfies {' and '.join(show_path(field.path) for field in fields)} together"


def _value(value: object) -> str:
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, (list, tuple)):
        return "a list" if value else "an empty list"
    return show(value)


def _type(value: object) -> str:
    if value is None or isinstance(value, (dict, list, tuple)):
        return _value(value)
    if isinstance(value, bool):
        return "a boolean"
    return "another text" if isinstance(value, str) else "another value"


def _values(value: object, need: Need) -> Iterator[object]:
    """What the event has at a path: scalars, and the objects and empty lists that stand where scalars should."""
    stack = [(value, need)]
    while stack:
        value, need = stack.pop()
        if isinstance(value, (list, tuple)) and (value or need.ways):
            stack.extend((item, need) for item in reversed(value))
        elif isinstance(value, dict) and need.ways:
            stack.extend((value[key], rest) for key, rest in need.ways if key in value)
        elif not need.ways:
            yield value
