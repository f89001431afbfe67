"""The config as a tree that remembers where everything stood: the nodes, and finding a place by its path.

A path is a sequence of keys and indices, `("routes", 3, "name")`, written `routes[3].name`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, TypeAlias

Scalar: TypeAlias = bool | int | float | str | None
Plain: TypeAlias = "Scalar | list[Plain] | dict[str, Plain]"
Path: TypeAlias = Sequence[str | int]

_BARE_KEY = re.compile(r"[A-Za-z0-9_$/-]+")


@dataclass(frozen=True, slots=True, eq=False)
class Key:
    """A key of a mapping; keys are text as written (`1:` is `"1"`) and never expanded."""

    text: str
    file: str
    line: int
    """Counts from 1."""
    column: int
    """Counts from 1, in characters."""


@dataclass(frozen=True, slots=True, eq=False)
class ScalarNode:
    """A single value. Its repr does not show it."""

    file: str
    line: int
    column: int
    value: Scalar
    """The typed value, after expansion."""
    text: str
    """What stood in the file, before expansion and typing: `010` of the int 10.

    A default in it may be a secret too: no problem prints it when tainted.
    """
    quoted: bool
    """Quoted, a block scalar or tagged `!!str`: a string whatever it looks like."""
    tainted: bool = False
    """Took part in an expansion: the value may be a secret, and no problem may print it."""
    faulty: bool = False
    """A problem was already reported here and the value stands in for none: report nothing more about it."""
    unread: bool = False
    """Holds a credential that was not to be read: faulty too, but for no problem, and the value is `text`."""

    @property
    def kind(self) -> str:
        """The type in the words of a problem: null, boolean, integer, number or string."""
        names = {bool: "boolean", int: "integer", float: "number", str: "string"}
        return names.get(type(self.value), "null")

    def plain(self) -> Scalar:
        """The value as Python data."""
        return self.value

    def __repr__(self) -> str:
        """Show the place and the kind; a value may be a secret although it stands there in so many words."""
        return f"ScalarNode({self.file}:{self.line}:{self.column}, {self.kind})"


@dataclass(frozen=True, slots=True, eq=False)
class SequenceNode:
    """A list."""

    file: str
    line: int
    column: int
    items: tuple[Node, ...]
    faulty: ClassVar[bool] = False

    @property
    def kind(self) -> str:
        """The type in the words of a problem."""
        return "list"

    @property
    def tainted(self) -> bool:
        """Whether any value inside may be a secret."""
        return any(item.tainted for item in self.items)

    @property
    def unread(self) -> bool:
        """Whether any value inside holds a credential that was not read."""
        return any(item.unread for item in self.items)

    def plain(self) -> list[Plain]:
        """The items as Python data, new on each call."""
        return [item.plain() for item in self.items]


@dataclass(frozen=True, slots=True, eq=False)
class MappingNode:
    """A mapping in the order of the file; no key is there twice."""

    file: str
    line: int
    column: int
    entries: tuple[tuple[Key, Node], ...]
    faulty: ClassVar[bool] = False

    @property
    def kind(self) -> str:
        """The type in the words of a problem."""
        return "mapping"

    @property
    def tainted(self) -> bool:
        """Whether any value inside may be a secret."""
        return any(node.tainted for _, node in self.entries)

    @property
    def unread(self) -> bool:
        """Whether any value inside holds a credential that was not read."""
        return any(node.unread for _, node in self.entries)

    def get(self, text: str) -> Node | None:
        """The value of a key, or None without that key (a null value is a node)."""
        return next((node for key, node in self.entries if key.text == text), None)

    def key(self, text: str) -> Key | None:
        """The key as a place, or None."""
        return next((key for key, _ in self.entries if key.text == text), None)

    def plain(self) -> dict[str, Plain]:
        """The entries as Python data, new on each call."""
        return {key.text: node.plain() for key, node in self.entries}


Node: TypeAlias = MappingNode | SequenceNode | ScalarNode


def find(node: Node, path: Path) -> Node:
    """The node at `path`, or the deepest one on the way there that exists."""
    for step in path:
        below = _below(node, step)
        if below is None:
            break
        node = below
    return node


def find_key(node: Node, path: Path) -> Key | Node:
    """The key that `path` ends with, where an unknown or misspelt field is reported.

    The item when the path ends with an index; the deepest existing node when there is no such key.
    """
    if not path:
        return node
    parent = find(node, path[:-1])
    last = path[-1]
    key = parent.key(last) if isinstance(parent, MappingNode) and isinstance(last, str) else None
    return key or find(node, path)


def write_path(path: Path) -> str:
    """Write a path as people do: `routes[3].set."a.b"`; a key with other characters is quoted."""
    parts: list[str] = []
    for step in path:
        if isinstance(step, int):
            parts.append(f"[{step}]")
        else:
            text = step if _BARE_KEY.fullmatch(step) else quote(step)
            parts.append(f".{text}" if parts else text)
    return "".join(parts)


def quote(text: str) -> str:
    """Text from a config as a problem shows it: in double quotes, on one line, cut at 80 characters."""
    cut = text if len(text) <= 80 else text[:79] + "…"
    return json.dumps(cut, ensure_ascii=not cut.isprintable())


def _below(node: Node, step: str | int) -> Node | None:
    if isinstance(node, MappingNode) and isinstance(step, str):
        return node.get(step)
    if isinstance(node, SequenceNode) and isinstance(step, int) and 0 <= step < len(node.items):
        return node.items[step]
    return None
