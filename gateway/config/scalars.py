"""YAML 1.2 core scalars: what a plain text means.

Not PyYAML's resolvers: those are YAML 1.1, where `no` is false, `1_000` and `1:30` are numbers and dates are dates.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable

from .tree import Scalar

CORE_TAG = "tag:yaml.org,2002:"

_NULL = re.compile(r"|~|null|Null|NULL")
_TRUE = re.compile(r"true|True|TRUE")
_FALSE = re.compile(r"false|False|FALSE")
_INT = re.compile(r"[-+]?[0-9]+")
_OCTAL = re.compile(r"0o[0-7]+")
_HEX = re.compile(r"0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_INFINITY = re.compile(r"[-+]?\.(inf|Inf|INF)")
_NAN = re.compile(r"\.(nan|NaN|NAN)")

_MAX_DIGITS = 400
"""A double ends at 309 digits; Python's own int() refuses 4,300 with a ValueError."""


class ScalarError(ValueError):
    """A text that its type cannot hold. The message never repeats the text, which may be a secret."""


def resolve(text: str) -> Scalar:
    """The value of a plain scalar by the YAML 1.2 core schema; anything unknown is a string.

    Raises ScalarError for a number no double or reasonable integer can hold.
    """
    for read in (_null, _boolean, _integer, _number):
        found, value = read(text)
        if found:
            return value
    return text


def construct(tag: str, text: str) -> Scalar:
    """The value of a scalar with an explicit core tag, `tag` being what follows `!!`.

    Raises ScalarError when the text is not of that type, KeyError for a tag that is no core scalar's.
    """
    if tag == "str":
        return text
    read, words = _READERS[tag]
    found, value = read(text)
    if not found:
        raise ScalarError(f"the value is not {words}, as !!{tag} says")
    return value


def is_null(text: str) -> bool:
    """Whether a plain text is null: empty, `~`, `null`, `Null` or `NULL`."""
    return _NULL.fullmatch(text) is not None


def _null(text: str) -> tuple[bool, Scalar]:
    return is_null(text), None


def _boolean(text: str) -> tuple[bool, Scalar]:
    if _TRUE.fullmatch(text):
        return True, True
    return _FALSE.fullmatch(text) is not None, False


def _integer(text: str) -> tuple[bool, int]:
    for pattern, base in ((_INT, 10), (_OCTAL, 8), (_HEX, 16)):
        if pattern.fullmatch(text):
            if len(text) > _MAX_DIGITS:
                raise ScalarError(f"a number of {len(text)} digits is too long")
            # int() would also take 0o and 0x by itself, but with base 0 it refuses 010, which is 10 here.
            return True, int(text if base == 10 else text[2:], base)
    return False, 0


def _number(text: str) -> tuple[bool, float]:
    if _FLOAT.fullmatch(text):
        value = float(text)
        if math.isinf(value):
            raise ScalarError("the number is too large for a double")
        return True, value
    if _INFINITY.fullmatch(text):
        return True, -math.inf if text.startswith("-") else math.inf
    return _NAN.fullmatch(text) is not None, math.nan


_READERS: dict[str, tuple[Callable[[str], tuple[bool, Scalar]], str]] = {
    "null": (_null, "null"),
    "bool": (_boolean, "a boolean"),
    "int": (_integer, "an integer"),
    "float": (_number, "a number"),
}
