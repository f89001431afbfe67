"""Whether the type of a config can be read from a file at all."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import inspect

from ..config.shapes import OWN


def unreadable(config: Any) -> list[type]:
    """The types in it that nobody knows how to read: they show only when a user sets them."""
    try:
        info = inspect.type_info(config)
    except TypeError:
        return []  # what cannot even be described, the schema says
    return list(dict.fromkeys(node.cls for node in _nodes(info, set()) if node.cls not in OWN))


def _nodes(info: Any, seen: set[int]) -> Iterator[inspect.CustomType]:
    if isinstance(info, list | tuple):
        for one in info:
            yield from _nodes(one, seen)
    elif isinstance(info, msgspec.Struct) and id(info) not in seen:
        seen.add(id(info))
        if isinstance(info, inspect.CustomType):
            yield info
        for field in info.__struct_fields__:
            if field != "cls":
                yield from _nodes(getattr(info, field), seen)
