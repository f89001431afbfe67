"""Lay `defaults` under a route, node by node, so that every value keeps the place it was written at."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from .tree import Key, MappingNode, Node, ScalarNode

Place: TypeAlias = tuple[str, int, int]
"""File, line and column."""
ONE_OF = frozenset({("codec",), ("ordering",), ("source", "start")})
"""Mappings that name one thing of several: another choice replaces the default's, the same one merges with it."""


def is_null(node: Node) -> bool:
    """Whether a node is a null that was meant."""
    return isinstance(node, ScalarNode) and node.value is None and not node.faulty


def without_nulls(node: MappingNode) -> MappingNode:
    """The mapping without its null entries: a section with nothing in it is as good as none."""
    entries = tuple((key, child) for key, child in node.entries if not is_null(child))
    return MappingNode(node.file, node.line, node.column, entries)


def merge(default: MappingNode | None, own: MappingNode, path: tuple[str, ...] = ()) -> MappingNode:
    """`own` over `default`: mappings merge by key, lists replace, null unsets."""
    merged: dict[str, tuple[Key, Node]] = {}
    if default is not None:
        merged = {key.text: (key, child) for key, child in default.entries if not is_null(child)}
    for key, child in own.entries:
        _, below = merged.pop(key.text, (key, None))
        if is_null(child):
            continue
        merged[key.text] = (key, _over(below, child, (*path, key.text)))
    return MappingNode(own.file, own.line, own.column, tuple(merged.values()))


def _over(default: Node | None, own: Node, path: tuple[str, ...]) -> Node:
    if not isinstance(own, MappingNode):
        return own
    below = default if isinstance(default, MappingNode) else None
    if path not in ONE_OF:
        return merge(below, own, path)
    return _choice(below, own) if below is not None and _same_choice(own, below) else own


def _same_choice(one: MappingNode, other: MappingNode) -> bool:
    return [key.text for key, _ in one.entries] == [key.text for key, _ in other.entries]


def _choice(default: MappingNode, own: MappingNode) -> MappingNode:
    """One key in both: what stands under it merges."""
    entries: list[tuple[Key, Node]] = []
    for key, child in own.entries:
        entries.append((key, _over(default.get(key.text), child, ("", key.text))))
    return MappingNode(own.file, own.line, own.column, tuple(entries))


def places(node: Node, counts: Callable[[Node], bool] = lambda node: True) -> set[Place]:
    """Where every key and value of a tree stands that `counts`, and whose parents do."""
    found: set[Place] = set()
    if counts(node):
        _collect(node, found, counts)
    return found


def _collect(node: Node, found: set[Place], counts: Callable[[Node], bool]) -> None:
    found.add((node.file, node.line, node.column))
    if isinstance(node, MappingNode):
        for key, child in node.entries:
            if counts(child):
                found.add((key.file, key.line, key.column))
                _collect(child, found, counts)
    elif not isinstance(node, ScalarNode):
        for item in node.items:
            if counts(item):
                _collect(item, found, counts)
