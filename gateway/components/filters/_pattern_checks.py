"""What the operators of the content filter share: their names, and checks of arguments that say what is accepted."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from enum import StrEnum

from ...errors import PathStep, PatternError
from ._pattern_numbers import as_double, is_comparable
from ._pattern_show import show

Place = tuple[PathStep, ...]
"""Keys and list indices from the pattern's root."""


class Operator(StrEnum):
    """What may stand as the only key of a matcher object."""

    EXACTLY = "exactly"
    PREFIX = "prefix"
    SUFFIX = "suffix"
    EQUALS_IGNORE_CASE = "equals-ignore-case"
    WILDCARD = "wildcard"
    ANYTHING_BUT = "anything-but"
    NUMERIC = "numeric"
    EXISTS = "exists"
    CIDR = "cidr"


def operator_of(item: dict[object, object], place: Place, known: Iterable[Operator]) -> tuple[Operator, object]:
    """The operator and the argument of an object with exactly one key, which is of `known`. Raises PatternError."""
    names = [str(operator) for operator in known]
    accepted = f"operators here: {', '.join(names)}"
    for key in item:
        if key not in names:
            near = difflib.get_close_matches(str(key), names, 1, 0.5)
            guess = f'did you mean "{near[0]}"? ' if near else ""
            raise PatternError((*place, str(key)), f"unknown operator {show(key)}", guess + accepted)
    if not item:
        raise PatternError(place, "an empty object is no matcher", accepted)
    if len(item) > 1:
        second = str(list(item)[1])
        raise PatternError(
            (*place, second), "a second operator in one object", "one object has one operator; alternatives are items"
        )
    [(key, argument)] = item.items()
    return Operator(str(key)), argument


def string(value: object, operator: Operator, place: Place) -> str:
    """`value`, which must be a string. Raises PatternError."""
    if not isinstance(value, str):
        raise PatternError(place, f"{operator} takes a string, not {show(value)}", f'write {operator}: "text"')
    return value


def operand(value: object, place: Place) -> float:
    """A number to compare with, as `as_double` gives it. Raises PatternError.

    One that a double cannot hold would silently be another number, so it is refused, as event-ruler does.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise PatternError(place, f"{show(value)} is not a number", "numbers are written without quotes")
    if not is_comparable(value):
        raise PatternError(
            place,
            f"{show(value)} cannot be compared: a double does not hold it exactly",
            "as a plain value in the field's list it does match",
        )
    return as_double(value)


def listed(argument: object, operator: Operator, place: Place) -> list[tuple[object, Place]]:
    """The items of a list with their places, or the one value alone. Raises PatternError for an empty list."""
    if not isinstance(argument, list):
        return [(argument, place)]
    if not argument:
        raise PatternError(place, f"the list of {operator} is empty", "name at least one value")
    return [(item, (*place, index)) for index, item in enumerate(argument)]
