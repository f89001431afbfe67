"""Numbers as the content filter compares them: IEEE-754 doubles, with no silent rounding."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Final

EXACT: Final = 2**53
"""Up to here, on both sides of zero, every integer is a double."""


def as_double(number: float) -> int | float:
    """The double that `number` stands for, or `number` itself when it is an integer that no double stands for.

    An integer stands for a double when it equals it or is the shortest way to write it, as 10**23 is for 1e23:
    JSON text does not tell the two apart. Python's int and float compare exactly, so small integers stay integers.
    """
    if isinstance(number, float) or -EXACT <= number <= EXACT:
        return number
    try:
        double = float(number)
    except OverflowError:
        return number
    return double if double == number or Decimal(repr(double)) == number else number


def is_comparable(number: float) -> bool:
    """Whether `numeric` and `anything-but` take the number: finite, and a double can hold it."""
    number = as_double(number)
    return math.isfinite(number) if isinstance(number, float) else -EXACT <= number <= EXACT
