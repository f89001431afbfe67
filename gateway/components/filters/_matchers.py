"""The list of matchers of one field: its items, told apart, checked and turned into tests.

Source: Amazon EventBridge User Guide, "Comparison operators for use in event patterns"; where it is silent, what
event-ruler (github.com/aws/event-ruler) does.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

from ...errors import PatternError
from ._pattern_address import cidr_test
from ._pattern_anything_but import anything_but
from ._pattern_checks import Operator, Place, operator_of, string
from ._pattern_leaf import Leaf, Matcher
from ._pattern_numbers import as_double
from ._pattern_numeric import numeric
from ._pattern_show import show
from ._pattern_text import TextTest, folded_equals, folded_prefix, folded_suffix, wildcard_at


def parse_leaf(items: list[object], place: Place) -> Leaf:
    """Compile a field's list; `place` is where the list stands in the pattern. Raises PatternError."""
    if not items:
        raise PatternError(
            place, "an empty list matches nothing", 'name at least one value, or {"exists": true} for any value'
        )
    return Leaf([_matcher(item, (*place, index)) for index, item in enumerate(items)], items)


def _matcher(item: object, place: Place) -> Matcher:
    if isinstance(item, str):
        return Matcher(strings=frozenset((item,)))
    if item is None or isinstance(item, bool):
        return Matcher(constants=frozenset((item,)))
    if isinstance(item, int) or (isinstance(item, float) and math.isfinite(item)):
        return Matcher(numbers=frozenset((as_double(item),)))
    if isinstance(item, dict):
        operator, argument = operator_of(item, place, Operator)
        return _PARSERS[operator](argument, (*place, str(operator)))
    if isinstance(item, list):
        raise PatternError(place, "a list in the list of matchers", "the accepted values are one flat list: [a, b]")
    raise PatternError(
        place, f"{show(item)} is no matcher", "use a string, a number, true, false, null or an operator object"
    )


def _exactly(argument: object, place: Place) -> Matcher:
    return Matcher(strings=frozenset((string(argument, Operator.EXACTLY, place),)))


def _prefix(argument: object, place: Place) -> Matcher:
    if isinstance(argument, dict):
        return _ignoring_case(argument, place, folded_prefix)
    wanted = string(argument, Operator.PREFIX, place)
    return Matcher(text=lambda text: text.startswith(wanted))


def _suffix(argument: object, place: Place) -> Matcher:
    if isinstance(argument, dict):
        return _ignoring_case(argument, place, folded_suffix)
    wanted = string(argument, Operator.SUFFIX, place)
    return Matcher(text=lambda text: text.endswith(wanted))


def _ignoring_case(argument: dict[object, object], place: Place, test: Callable[[str], TextTest]) -> Matcher:
    operator, wanted = operator_of(argument, place, [Operator.EQUALS_IGNORE_CASE])
    return Matcher(text=test(string(wanted, operator, (*place, str(operator)))))


def _equals_ignore_case(argument: object, place: Place) -> Matcher:
    return Matcher(text=folded_equals(string(argument, Operator.EQUALS_IGNORE_CASE, place)))


def _wildcard(argument: object, place: Place) -> Matcher:
    return Matcher(text=wildcard_at(string(argument, Operator.WILDCARD, place), place))


def _exists(argument: object, place: Place) -> Matcher:
    if not isinstance(argument, bool):
        text = f"exists takes true or false, not {show(argument)}"
        raise PatternError(place, text, "spelt like that and without quotes: yes and no are texts")
    if not argument:
        return Matcher(absent=True)
    return Matcher(text=lambda _text: True, number=lambda _number: True, other=True)


def _cidr(argument: object, place: Place) -> Matcher:
    block = string(argument, Operator.CIDR, place)
    try:
        return Matcher(text=cidr_test(block))
    except ValueError as fault:
        raise PatternError(place, f"{show(block)} {fault}", 'write "10.0.0.0/8" or "2001:db8::/32"') from None


_PARSERS: Final[dict[Operator, Callable[[object, Place], Matcher]]] = {
    Operator.EXACTLY: _exactly,
    Operator.PREFIX: _prefix,
    Operator.SUFFIX: _suffix,
    Operator.EQUALS_IGNORE_CASE: _equals_ignore_case,
    Operator.WILDCARD: _wildcard,
    Operator.ANYTHING_BUT: anything_but,
    Operator.NUMERIC: numeric,
    Operator.EXISTS: _exists,
    Operator.CIDR: _cidr,
}
