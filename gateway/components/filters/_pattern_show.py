"""Values in messages: short JSON text on one line."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from typing import Final

_LIMIT: Final = 60
"""Characters of a value that a message shows."""


def show(value: object, depth: int = 3) -> str:
    """`value` as JSON, cut to 60 characters and `depth` levels; what JSON cannot write, by its kind. Never raises."""
    if isinstance(value, str):
        text = _one_line(json.dumps(value[:_LIMIT], ensure_ascii=False))
        return f'{text[:-1]}..."' if len(value) > _LIMIT else text
    if isinstance(value, (dict, list, tuple)) and value and not depth:
        return "{...}" if isinstance(value, dict) else "[...]"
    if isinstance(value, dict):
        return _items(
            [f"{show(key, 0)}: {show(item, depth - 1)}" for key, item in itertools.islice(value.items(), 4)],
            len(value),
            "{}",
        )
    if isinstance(value, (list, tuple)):
        return _items([show(item, depth - 1) for item in value[:4]], len(value), "[]")
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, float) or (isinstance(value, int) and -(10**40) < value < 10**40):
        return repr(value)
    return "an integer of more than 40 digits" if isinstance(value, int) else f"a {type(value).__name__}"


def show_path(path: str) -> str:
    """A path as people write it, or quoted when a key of it is not printable."""
    return path if path.isprintable() else f'"{_one_line(path)}"'


def _one_line(text: str) -> str:
    """Escape what would break the line or cannot be printed, such as half a surrogate pair."""
    return "".join(each if each.isprintable() else json.dumps(each)[1:-1] for each in text)


def _items(parts: Sequence[str], count: int, brackets: str) -> str:
    text = ", ".join(parts)
    text = text[:_LIMIT] + "..." if len(text) > _LIMIT or count > len(parts) else text
    return brackets[0] + text + brackets[1]
