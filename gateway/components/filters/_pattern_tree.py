"""Branches put back into shape for matching: what they share is asked once, and fields below one key side by side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from ._pattern_leaf import ABSENT, Leaf
from ._pattern_parse import Branch, Field
from ._pattern_walk import Ask, needs


class Group(NamedTuple):
    """Fields that must all hold and, when there are any, alternatives of which one must hold as well."""

    fields: tuple[Field, ...]
    alternatives: tuple[Group, ...]

    def prefixes(self) -> frozenset[str]:
        """Every path on the way to a field of this group or of its alternatives, the fields' own paths among them."""
        own = {path[:end] for path, _leaf in self.fields for end in _ends(path)}
        return frozenset(own).union(*(each.prefixes() for each in self.alternatives))


def factor(branches: Sequence[Branch]) -> Group:
    """Undo the multiplication of `$or`. Branches share a field when it is one object, from one place of the pattern."""
    shared = set(branches[0]).intersection(*branches[1:])
    fields = tuple(field for field in branches[0] if field in shared)
    rests = [tuple(field for field in branch if field not in shared) for branch in branches]
    alternatives: list[Group] = []
    if not all(rests):
        # One branch asks for nothing more, so the others add nothing, but for one case: a field that may be absent
        # can fail alone and hold beside another field, which chooses an element of a list where it is absent.
        if not any(field.leaf.mode & ABSENT for field in fields):
            return Group(fields, ())
        alternatives.append(Group((), ()))
    left = [(rest, set(rest)) for rest in rests if rest]
    while left:
        lead = left[0][0][0]
        alternatives.append(factor([rest for rest, members in left if lead in members]))
        left = [entry for entry in left if lead not in entry[1]]
    return Group(fields, tuple(alternatives) if len(branches) > 1 else ())


class Node:
    """A key in the tree of paths."""

    __slots__ = ("asks", "children", "leaf", "path", "spellings")

    def __init__(self, path: str) -> None:
        self.path = path
        """Keys from the root, joined by dots."""
        self.leaf: Leaf | None = None
        """What the value here must satisfy, when a path of the pattern ends here."""
        self.children: dict[str, Node] = {}
        self.asks: list[Ask] = []
        """The same and everything below, as asked of the value here."""
        self.spellings: dict[str, None] = {}
        """Longer keys beside this one that would lead to something below, in order."""


def tree(fields: Sequence[Field]) -> dict[str, Node]:
    """The fields of one group by their first key."""
    root = Node("")
    for path, leaf in fields:
        node, need, start = root, needs(path, leaf), 0
        for end in _ends(path):
            node = node.children.setdefault(path[start:end], Node(path[:end]))
            *longer, (_key, rest) = need.ways
            node.spellings.update(dict.fromkeys(key for key, _rest in longer))
            node.asks.append((rest, leaf.mode))
            need, start = rest, end + 1
        node.leaf = leaf
    return root.children


def _ends(path: str) -> Iterator[int]:
    """Where each key of a path ends."""
    end = path.find(".")
    while end >= 0:
        yield end
        end = path.find(".", end + 1)
    yield len(path)
