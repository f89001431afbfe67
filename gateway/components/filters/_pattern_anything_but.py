"""The operator `anything-but`: there is a value, and it is none of these."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from ...errors import PatternError
from ._pattern_checks import Operator, Place, listed, operand, operator_of, string
from ._pattern_leaf import Matcher
from ._pattern_show import show
from ._pattern_text import TextTest, folded_equals, wildcard_at

_INNER: Final = (Operator.PREFIX, Operator.SUFFIX, Operator.EQUALS_IGNORE_CASE, Operator.WILDCARD)


def anything_but(argument: object, place: Place) -> Matcher:
    """Compile the argument of `anything-but`; `place` is its place in the pattern. Raises PatternError.

    A value of another kind than the operands is something else, so it is accepted; a field that is not there is not.
    """
    if isinstance(argument, dict):
        operator, inner = operator_of(argument, place, _INNER)
        at = (*place, str(operator))
        return _but([_text_test(operator, item, item_at) for item, item_at in listed(inner, operator, at)])
    items = listed(argument, Operator.ANYTHING_BUT, place)
    if isinstance(items[0][0], str):
        strings = frozenset(_string_among_strings(item, at) for item, at in items)
        return _but([strings.__contains__])
    for item, at in items:
        if isinstance(item, str):
            raise PatternError(at, f"{show(item)} in a list of numbers", _ALIKE)
        if item is None or isinstance(item, (bool, list, dict)):
            raise PatternError(at, f"anything-but cannot exclude {show(item)}", _ALIKE)
    numbers = frozenset(operand(item, at) for item, at in items)
    return Matcher(text=lambda _text: True, number=lambda number: number not in numbers, other=True)


_ALIKE: Final = f"it takes strings, or numbers, or one of {', '.join(_INNER)} with strings"


def _but(excluded: Sequence[Callable[[str], bool]]) -> Matcher:
    def test(text: str) -> bool:
        for one in excluded:  # noqa: SIM110 # any() with a generator costs three times as much
            if one(text):
                return False
        return True

    return Matcher(text=test, number=lambda _number: True, other=True)


def _string_among_strings(item: object, place: Place) -> str:
    if not isinstance(item, str):
        raise PatternError(place, f"{show(item)} in a list of strings", _ALIKE)
    return item


def _text_test(operator: Operator, item: object, place: Place) -> TextTest:
    wanted = string(item, operator, place)
    if operator is Operator.WILDCARD:
        return wildcard_at(wanted, place)
    if operator is Operator.EQUALS_IGNORE_CASE:
        return folded_equals(wanted)
    if not wanted:
        raise PatternError(place, f"every string has an empty {operator}, so no string would match", "write some text")
    return (lambda text: text.startswith(wanted)) if operator is Operator.PREFIX else (lambda t: t.endswith(wanted))
