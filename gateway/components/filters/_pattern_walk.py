"""The whole matching rule, for every event: slower than the closures of `_pattern_fast`, which fall back to it.

The rule, as in event-ruler: choose for each field of a branch a value of the event at that path which its leaf accepts,
so that values out of one list come from one element of it, at every level. A field that must be absent is judged last:
it may have no value among the elements chosen, and none in any element of a list from which nothing was chosen.

Keys of the event join with dots like those of the pattern, so one path may have several spellings in one event.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Final, NamedTuple

from ._pattern_leaf import ABSENT, PRESENT, Leaf, scalars
from ._pattern_parse import Branch

NO: Final = 0
"""Cannot be satisfied here."""
UNUSED: Final = 1
"""Satisfied, and no value was chosen: everything asked for may be absent, and is."""
USED: Final = 2
"""Satisfied by choosing at least one value. Wherever this is possible it is as good as UNUSED or better."""

_BUDGET: Final = 50_000
"""Objects visited per event while fields are shared among several spellings of a path. The right way to share them is
a satisfiability problem, so an event could be made to stop the event loop; past the budget the answer is no match."""


class Need(NamedTuple):
    """One field on its way down: the leaf, and the keys an object may have next with what then remains."""

    leaf: Leaf
    ways: tuple[tuple[str, Need], ...] = ()
    """Empty where the path ends."""


Ask = tuple[Need, int]
"""A need and how it may be satisfied: PRESENT, ABSENT, or both."""


def needs(path: str, leaf: Leaf) -> Need:
    """What an object must have at `path` below it; the last of its ways begins with the shortest key."""
    tokens = path.split(".")
    rests = [Need(leaf)]  # what remains after the last token, after the one before it, and so on
    for start in reversed(range(len(tokens))):
        keys = (".".join(tokens[start:end]) for end in reversed(range(start + 1, len(tokens) + 1)))
        rests.append(Need(leaf, tuple(zip(keys, rests, strict=True))))
    return rests[-1]


class _List(NamedTuple):
    """One of the lists directly nested in each other."""

    items: Sequence[object]
    parent: int
    """Index of the list around it; -1 for the outermost."""
    hit: bool
    """A scalar directly in it satisfies the field that ends here."""
    hit_on_line: bool
    """The same for it or a list around it."""
    scalar_on_line: bool
    """It or a list around it has a scalar."""


_Below = dict[str, list[Ask]]
"""What is asked of the values of an object, by key."""


class Search:
    """One walk over one event; it carries the budget for spellings."""

    def __init__(self) -> None:
        self._budget = _BUDGET
        self._sharing = 0

    def fit(self, value: object, asks: Sequence[Ask]) -> int:
        """NO, UNUSED or USED for this value of the event."""
        if isinstance(value, dict):
            return self._object(value, asks)
        if isinstance(value, (list, tuple)):
            return self._list(value, asks)
        best = UNUSED
        for need, mode in asks:
            if need.ways:
                if not mode & ABSENT:
                    return NO
            elif mode & PRESENT and need.leaf.accepts(value):
                best = USED
            else:
                return NO
        return best

    def _object(self, value: dict[object, object], asks: Sequence[Ask]) -> int:
        if self._sharing:
            self._budget -= 1
            if self._budget < 0:
                return NO
        below: _Below = {}
        spelled: list[tuple[list[tuple[str, Need]], int]] = []
        for need, mode in asks:
            ways = [way for way in need.ways if way[0] in value]
            if len(ways) == 1:
                key, rest = ways[0]
                below.setdefault(key, []).append((rest, mode))
            elif ways:
                spelled.append((ways, mode))
            elif not mode & ABSENT:
                return NO
        if not spelled:
            return self._keys(value, below)
        self._sharing += 1
        best = self._share(value, below, spelled)
        self._sharing -= 1
        return best

    def _keys(self, value: dict[object, object], below: _Below) -> int:
        best = UNUSED
        for key, asks in below.items():
            fit = self.fit(value[key], asks)
            if fit == NO:
                return NO
            best = max(best, fit)
        return best

    def _share(
        self, value: dict[object, object], below: _Below, spelled: list[tuple[list[tuple[str, Need]], int]]
    ) -> int:
        """Try every way to give each field with several spellings one of them, or to have it absent in all."""
        choices: list[list[list[tuple[str, Ask]]]] = []
        for ways, mode in spelled:
            present = [(key, (need, PRESENT)) for key, need in ways if mode & PRESENT]
            choice = [[way] for way in present if self.fit(value[way[0]], [way[1]]) != NO]
            if mode & ABSENT:
                choice.append([(key, (need, ABSENT)) for key, need in ways])
            choices.append(choice)
        best = NO
        for combination in itertools.product(*choices):
            trial = {key: asks.copy() for key, asks in below.items()}
            for key, each in itertools.chain.from_iterable(combination):
                trial.setdefault(key, []).append(each)
            best = max(best, self._keys(value, trial))
            if best == USED or self._budget < 0:
                break
            self._budget -= 1
        return best

    def _list(self, array: Sequence[object], asks: Sequence[Ask]) -> int:
        ended = next((each for each in asks if not each[0].ways), None)
        deeper = [each for each in asks if each[0].ways]
        if deeper:
            return self._elements(array, ended, deeper)
        if ended is None:
            return UNUSED
        need, mode = ended
        exists = False
        for scalar in scalars(array):
            if mode & PRESENT and need.leaf.accepts(scalar):
                return USED
            exists = True
        return UNUSED if mode & ABSENT and not exists else NO

    def _elements(self, array: Sequence[object], ended: Ask | None, deeper: Sequence[Ask]) -> int:
        """A list whose elements may be objects; `ended` is the field, if any, whose path ends at this list."""
        lists = _nested(array, ended)
        ended_absent = ended is None or ended[1] & ABSENT != 0
        blank = [(need, ABSENT) for need, mode in deeper if mode & ABSENT]
        # Whether the deeper fields are absent in all of a list: its own objects here, then the lists in it.
        empty = [len(blank) == len(deeper)] * len(lists)
        for index, each in enumerate(lists):
            may_choose = each.hit_on_line or (ended_absent and not each.scalar_on_line)
            for item in each.items:
                if isinstance(item, dict):
                    if may_choose and self._object(item, deeper) == USED:
                        return USED
                    empty[index] = empty[index] and self._object(item, blank) == UNUSED
        for index in range(len(lists) - 1, 0, -1):
            if not empty[index]:
                empty[lists[index].parent] = False
        if any(each.hit and is_empty for each, is_empty in zip(lists, empty, strict=True)):
            return USED
        nothing_there = ended is None or next(scalars(array), _NOTHING) is _NOTHING
        return UNUSED if empty[0] and ended_absent and nothing_there else NO


_NOTHING: Final = object()


def _nested(array: Sequence[object], ended: Ask | None) -> list[_List]:
    """The list and the lists nested in it, outer before inner. No recursion: events may nest deeper than the stack."""
    found: list[_List] = []
    waiting: list[tuple[Sequence[object], int]] = [(array, -1)]
    while waiting:
        items, parent = waiting.pop()
        hit, scalar_on_line, hit_on_line = False, False, False
        if ended is not None:
            accepts = ended[0].leaf.accepts if ended[1] & PRESENT else None
            for item in items:
                if not isinstance(item, (dict, list, tuple)):
                    scalar_on_line = True
                    hit = hit or (accepts is not None and accepts(item))
        if parent >= 0:
            hit_on_line, scalar_on_line = found[parent].hit_on_line, scalar_on_line or found[parent].scalar_on_line
        found.append(_List(items, parent, hit, hit or hit_on_line, scalar_on_line))
        waiting.extend((item, len(found) - 1) for item in items if isinstance(item, (list, tuple)))
    return found


class Branches:
    """The branches of a pattern, asked one after another."""

    def __init__(self, branches: Sequence[Branch]) -> None:
        alone = {field: (needs(*field), field.leaf.mode) for branch in branches for field in branch}
        # Branches share most of their fields, so one that no value satisfies rules out many branches. A field that may
        # be absent cannot: what exists somewhere may be absent from the elements that other fields choose.
        self._certain = {field: [ask] for field, ask in alone.items() if ask[1] == PRESENT and len(branches) > 1}
        self._branches = [(branch, [alone[field] for field in branch]) for branch in branches]

    def match(self, body: object) -> bool:
        """Whether one branch matches the body; no branch matches what is not an object. Never raises."""
        if not isinstance(body, dict):
            return False
        search = Search()
        missing = {field for field, asks in self._certain.items() if search.fit(body, asks) == NO}
        return any(missing.isdisjoint(branch) and search.fit(body, asks) != NO for branch, asks in self._branches)
