"""Write problems about nodes: the place, the path, and a hint that says what to write instead."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

from ..problems import Code, Problem, Severity, nearest
from .tree import Key, MappingNode, Node, quote, write_path

ConfigPath: TypeAlias = tuple[str | int, ...]
"""Where in the config: `("routes", 3, "name")`."""


_ALSO_CALLED = {"url": ("servers",), "urls": ("servers",), "server": ("servers",), "topic": ("subject", "subjects")}
"""What other programs call a field."""


def problem_at(
    place: Node | Key,
    path: ConfigPath,
    code: Code,
    text: str,
    hint: str = "",
    severity: Severity = Severity.ERROR,
) -> Problem:
    """A problem at a node or key."""
    return Problem(place.file, place.line, place.column, code, text, hint, write_path(path), severity)


def unknown_field(node: MappingNode, key: Key, names: Iterable[str], path: ConfigPath) -> Problem:
    """A field nobody knows, reported at its key; fields already there are no guess for what was meant."""
    choices = list(names)
    free = [name for name in choices if node.get(name) is None]
    near = nearest(key.text, free) or next((name for name in _ALSO_CALLED.get(key.text, ()) if name in free), None)
    listing = f"fields: {', '.join(choices)}" if choices else "there are no fields here"
    hint = f"did you mean {quote(near)}? {listing}" if near else listing
    return problem_at(key, (*path, key.text), Code.UNKNOWN_FIELD, "unknown field", hint)


def line_of(place: Node | Key, seen_from: Node | Key) -> str:
    """`line 5`, or `line 5 of other.yaml` when that is another file."""
    return f"line {place.line}" if place.file == seen_from.file else f"line {place.line} of {place.file}"


def listed(words: Iterable[str]) -> str:
    """`a, b or c`."""
    items = list(dict.fromkeys(words))
    if len(items) < 2:
        return "".join(items)
    return f"{', '.join(items[:-1])} or {items[-1]}"
