"""How transforms reach into a body without decoding or copying more of it than they touch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from ...event import Event
from ...paths import Path

Steps = tuple[str, ...]
Tree = dict[str | None, "Tree"]
"""Paths as a tree; an empty node takes all that is below it. None is a step to every item, where there are such."""


def opened(event: Event, keys: Iterable[str]) -> Any:
    """The event's body with the values at these top-level keys decoded; others may still be raw. To be read only."""
    body = event.encodable
    if type(body) is dict:
        for key in keys:
            if type(body.get(key)) is msgspec.Raw:
                event.top(key)
    return body


def keys_through(paths: Iterable[Path]) -> frozenset[str]:
    """The top-level keys that paths lead through: one that is replaced or removed as a whole is not looked into."""
    return frozenset(path.steps[0] for path in paths if len(path.steps) > 1)


def keys_read(paths: Iterable[Path]) -> frozenset[str]:
    """The top-level keys of the body that paths read; `$`-names read none."""
    return frozenset(path.steps[0] for path in paths if path.steps)


def in_cutting_order(paths: Iterable[Steps]) -> list[Steps]:
    """Later list items first, so that cutting one does not move those still to be cut."""
    listed = list(paths)
    return sorted(listed, key=_places, reverse=True) if len(listed) > 1 else listed


def _places(steps: Steps) -> list[tuple[int, str]]:
    return [(int(step) if step.isascii() and step.isdigit() else -1, step) for step in steps]


def add_to_tree(tree: Tree, steps: Sequence[str | None]) -> None:
    """Add one path; a shorter one takes the place of those below it."""
    for step in steps[:-1]:
        if tree.get(step) == {}:
            return
        tree = tree.setdefault(step, {})
    tree[steps[-1]] = {}
