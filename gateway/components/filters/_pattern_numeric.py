"""The operator `numeric`: equality, a bound, or a lower and an upper bound."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

from ...errors import PatternError
from ._pattern_checks import Place, operand
from ._pattern_leaf import Matcher
from ._pattern_show import show

_FORM: Final = 'write ["=", 5], [">", 0] or, lower bound first, [">=", 0, "<", 100]'
_SIGN_HINTS: Final = {"==": 'equality is "="', "!=": 'for "not equal" use anything-but', "<>": "use anything-but"}


def numeric(argument: object, place: Place) -> Matcher:
    """Compile the argument of `numeric`; `place` is its place in the pattern. Raises PatternError."""
    if not isinstance(argument, list) or len(argument) not in (2, 4):
        raise PatternError(place, f"numeric takes a list of one or two comparisons, not {show(argument)}", _FORM)
    if len(argument) == 2:
        sign, number = _comparison(argument, 0, ("=", "<", "<=", ">", ">="), place)
        # Of a side without bound: an infinity, which JSON cannot write, is outside every range.
        low, above = (number, sign == ">") if sign in ("=", ">", ">=") else (-math.inf, True)
        high, below = (number, sign == "<") if sign in ("=", "<", "<=") else (math.inf, True)
        return Matcher(double=_range(low, above, high, below))
    lower_sign, low = _comparison(argument, 0, (">", ">="), place)
    upper_sign, high = _comparison(argument, 2, ("<", "<="), place)
    if low >= high:
        raise PatternError((*place, 3), f"the upper bound {show(high)} is not above the lower, {show(low)}", _FORM)
    return Matcher(double=_range(low, lower_sign == ">", high, upper_sign == "<"))


def _comparison(argument: list[object], index: int, signs: tuple[str, ...], place: Place) -> tuple[str, float]:
    sign = argument[index]
    if not isinstance(sign, str) or sign not in signs:
        hint = _SIGN_HINTS.get(sign, _FORM) if isinstance(sign, str) else _FORM
        raise PatternError((*place, index), f"{show(sign)} cannot stand here, only {' '.join(signs)}", hint)
    return sign, operand(argument[index + 1], (*place, index + 1))


def _range(low: float, above: bool, high: float, below: bool) -> Callable[[float], bool]:
    """One chain with the right signs, so that no event pays for choosing them. NaN is in no range."""
    if above:
        return (lambda n: low < n < high) if below else (lambda n: low < n <= high)
    return (lambda n: low <= n < high) if below else (lambda n: low <= n <= high)
