"""A leaf of a pattern: the list of matchers of one field, compiled to one test for each kind of value."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple

from ...missing import MISSING
from ._pattern_numbers import EXACT, as_double

PRESENT: Final = 1
"""The field may be satisfied by a value that is there."""
ABSENT: Final = 2
"""The field may be satisfied by not being there."""


class Matcher(NamedTuple):
    """One item of a field's list, told by the kind of value it judges. Items of one list are alternatives."""

    strings: frozenset[str] = frozenset()
    """Equal to one of these."""
    numbers: frozenset[float] = frozenset()
    """Equal to one of these, which are what `as_double` gives."""
    constants: frozenset[bool | None] = frozenset()
    """One of true, false and null."""
    text: Callable[[str], bool] | None = None
    number: Callable[[float], bool] | None = None
    """Asked about every number."""
    double: Callable[[float], bool] | None = None
    """Asked only about numbers a double can hold, infinities and NaN among them."""
    other: bool = False
    """Accepts every value that is neither string nor number."""
    absent: bool = False
    """Accepts that there is no value."""


class Leaf:
    """What one field must be. Field order and the place in the event are the business of others.

    A value exists when it is a scalar, in lists at any depth too; an object, an empty list and a list without any
    scalar do not exist. Of a list, one scalar is enough.
    """

    __slots__ = ("_constants", "_other", "mode", "on_number", "on_text", "only_strings", "wanted")

    def __init__(self, matchers: Sequence[Matcher], wanted: Sequence[object]) -> None:
        strings = frozenset[str]().union(*(m.strings for m in matchers))
        texts = [m.text for m in matchers if m.text]
        self._constants = frozenset[bool | None]().union(*(m.constants for m in matchers))
        self._other = any(m.other for m in matchers)
        self.wanted = wanted
        """The items of the list as the pattern has them, for people."""
        self.mode = (PRESENT if any(m != Matcher(absent=True) for m in matchers) else 0) | (
            ABSENT if any(m.absent for m in matchers) else 0
        )
        """PRESENT, ABSENT, or both."""
        self.on_text = _either([strings.__contains__, *texts] if strings else texts)
        """The test for a string."""
        self.on_number = _on_number(matchers)
        """The test for an int or a float that is not a bool."""
        self.only_strings = strings if all(m == Matcher(strings=m.strings) for m in matchers) else None
        """The accepted strings when nothing else is accepted."""

    def accepts(self, value: object) -> bool:
        """Whether one scalar satisfies the field: any value but a dict, list, tuple or MISSING."""
        if isinstance(value, str):
            return self.on_text(value)
        if value is None or isinstance(value, bool):
            return self._other or value in self._constants
        if isinstance(value, (int, float)):
            return self.on_number(value)
        return self._other  # bytes, times and whatever else a codec makes: there, but nothing JSON can name

    def holds(self, value: object) -> bool:
        """Whether the field is satisfied by this value, MISSING for none, when no other field shares its lists."""
        if value is MISSING or isinstance(value, dict):
            return self.mode & ABSENT != 0
        if not isinstance(value, (list, tuple)):
            return self.accepts(value)
        exists = False
        for scalar in scalars(value):
            if self.accepts(scalar):
                return True
            exists = True
        return not exists and self.mode & ABSENT != 0


def scalars(array: Iterable[object]) -> Iterator[object]:
    """The scalars of nested lists in order. No recursion: an event may nest deeper than Python's stack."""
    stack = [iter(array)]
    while stack:
        for item in stack[-1]:
            if isinstance(item, (list, tuple)):
                stack.append(iter(item))
                break
            if not isinstance(item, dict):
                yield item
        else:
            stack.pop()


def _either(tests: Sequence[Callable[[Any], bool]]) -> Callable[[Any], bool]:
    """One test out of several. They are few, and most often there is one."""
    if not tests:
        return lambda _value: False
    if len(tests) == 1:
        return tests[0]

    def test(value: object) -> bool:
        for one in tests:  # noqa: SIM110 # any() with a generator costs three times as much
            if one(value):
                return True
        return False

    return test


def _on_number(matchers: Sequence[Matcher]) -> Callable[[float], bool]:
    numbers = frozenset[float]().union(*(m.numbers for m in matchers))
    always = [m.number for m in matchers if m.number]
    if numbers:
        always.insert(0, numbers.__contains__)
    doubles = [m.double for m in matchers if m.double]
    if not always and not doubles:
        return lambda _number: False
    on_double, on_integer = _either([*always, *doubles]), _either(always)

    def test(number: float) -> bool:
        if -EXACT <= number <= EXACT:
            return on_double(number)
        number = as_double(number)
        return on_double(number) if isinstance(number, float) else on_integer(number)

    return test
