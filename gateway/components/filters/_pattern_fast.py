"""A pattern as closures over plain objects: `dict.get` down the path, then one test.

Each closure takes the object around its key and answers True, False, or None for "cannot tell": the event spells a key
with a dot, or fields from inside and outside of an `$or` meet in one list. Only then the whole rule of `_pattern_walk`
is asked. False is final: what was asked cannot be satisfied alone, so no branch that has it can be.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ...missing import MISSING
from ._pattern_leaf import ABSENT
from ._pattern_parse import Branch
from ._pattern_tree import Group, Node, factor, tree
from ._pattern_walk import NO, Branches, Search

Check = Callable[[dict[Any, Any]], bool | None]


def compile_fast(branches: Sequence[Branch]) -> Callable[[object], bool]:
    """The matcher of a pattern: the closures, then `Branches` where they cannot tell. Never raises."""
    whole = Branches(branches).match
    checks = _group_checks(factor(branches), frozenset())

    def match(body: object) -> bool:
        if type(body) is not dict:
            return whole(body)
        for check in checks:
            verdict = check(body)
            if not verdict:
                return False if verdict is False else whole(body)
        return True

    return match


def _group_checks(group: Group, outer: frozenset[str]) -> list[Check]:
    """`outer` has the paths of the groups around: a list at one of them, or of those inside, is not judged here."""
    fields = Group(group.fields, ())
    inner = frozenset[str]().union(*(each.prefixes() for each in group.alternatives))
    checks = _checks(tree(group.fields), outer | inner)
    if group.alternatives:
        around = outer | fields.prefixes()
        checks.append(_any_of([_group_checks(each, around) for each in group.alternatives]))
    return checks


def _checks(nodes: dict[str, Node], shared: frozenset[str]) -> list[Check]:
    return [
        _inner_check(key, node, shared) if node.leaf is None or node.children else _leaf_check(key, node, shared)
        for key, node in nodes.items()
    ]


def _any_of(groups: Sequence[Sequence[Check]]) -> Check:
    def check(parent: dict[Any, Any]) -> bool | None:
        for group in groups:
            verdict: bool | None = True
            for one in group:
                verdict = one(parent)
                if not verdict:
                    break
            if verdict is not False:
                return verdict
        return False

    return check


def _leaf_check(key: str, node: Node, shared: frozenset[str]) -> Check:
    leaf = node.leaf
    assert leaf is not None
    strings, on_text, on_number, rest = leaf.only_strings, leaf.on_text, leaf.on_number, leaf.holds
    if strings is not None:

        def check_string(parent: dict[Any, Any]) -> bool:
            value = parent.get(key, MISSING)
            return value in strings if type(value) is str else rest(value)

        return check_string
    # Absent may mean absent from the elements that another field chooses.
    tells_lists = node.path not in shared or not leaf.mode & ABSENT

    def check(parent: dict[Any, Any]) -> bool | None:
        value = parent.get(key, MISSING)
        kind = type(value)
        if kind is str:
            return on_text(value)
        if kind is int or kind is float:
            return on_number(value)
        return rest(value) if tells_lists or not isinstance(value, (list, tuple)) else None

    return check


def _inner_check(key: str, node: Node, shared: frozenset[str]) -> Check:
    spellings = tuple(node.spellings)
    checks = _checks(node.children, shared)
    refuses_objects = node.leaf is not None and not node.leaf.mode & ABSENT
    aside = _aside(node, checks, tells_lists=node.path not in shared)
    if len(checks) == 1 and len(spellings) <= 2 and not refuses_objects:
        return _straight_check(key, (spellings[0], spellings[-1]), checks[0], aside)

    def check(parent: dict[Any, Any]) -> bool | None:
        for spelling in spellings:
            if spelling in parent:
                return None
        value = parent.get(key, MISSING)
        if type(value) is not dict:
            return aside(value)
        if refuses_objects:
            return False
        for one in checks:
            verdict = one(value)
            if not verdict:
                return verdict
        return True

    return check


def _straight_check(key: str, spellings: tuple[str, str], only: Check, aside: Callable[[object], bool | None]) -> Check:
    """What most ways to a deep field are, without the loops: a third faster."""
    one, other = spellings

    def check(parent: dict[Any, Any]) -> bool | None:
        if one in parent or other in parent:
            return None
        value = parent.get(key, MISSING)
        return only(value) if type(value) is dict else aside(value)

    return check


def _aside(node: Node, checks: Sequence[Check], *, tells_lists: bool) -> Callable[[object], bool | None]:
    """What to make of a value that is no plain object, where the pattern goes on."""
    own, asks = node.leaf, node.asks
    nothing_below = all(mode & ABSENT for need, mode in asks if need.ways)
    nothing_at_all = all(mode & ABSENT for _need, mode in asks)
    one_element = _one_element(checks) if own is None and not nothing_below else None

    def aside(value: object) -> bool | None:
        if value is MISSING:
            return nothing_at_all
        if isinstance(value, (list, tuple)):
            verdict = one_element(value) if tells_lists and one_element else None
            if verdict is None and tells_lists:
                return Search().fit(value, asks) != NO
            return verdict
        if isinstance(value, dict):
            return None
        return nothing_below and (own is None or own.accepts(value))

    return aside


def _one_element(checks: Sequence[Check]) -> Callable[[Sequence[object]], bool | None]:
    """The rule for a flat list when a field below must be there: one element has to satisfy all fields below."""

    def one_element(items: Sequence[object]) -> bool | None:
        for item in items:
            if type(item) is dict:
                for check in checks:
                    verdict = check(item)
                    if not verdict:
                        break
                else:
                    return True
                if verdict is None:
                    return None
            elif isinstance(item, (list, tuple, dict)):
                return None
        return False

    return one_element
