"""Check a converted value against its `msgspec.Meta`: bounds, lengths, patterns, and the checks of our own fields."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sized
from typing import Any, NamedTuple

import msgspec

from ..errors import ConfigProblem
from ..problems import Code
from .shapes import shown


class Fault(NamedTuple):
    """Why a value is outside its limits; `path` leads on from the value."""

    code: Code
    text: str
    hint: str = ""
    path: tuple[str | int, ...] = ()


_BOUNDS: tuple[tuple[str, str, Callable[[Any, Any], bool]], ...] = (
    ("ge", "at least", lambda value, bound: value >= bound),
    ("gt", "above", lambda value, bound: value > bound),
    ("le", "at most", lambda value, bound: value <= bound),
    ("lt", "below", lambda value, bound: value < bound),
)


def faults(value: Any, meta: msgspec.Meta, *, secret: bool) -> Iterator[Fault]:
    """What is wrong with `value`; its own text stays out of it when it may be a secret."""
    hint = str((meta.extra or {}).get("hint", ""))
    found = "" if secret else f", found {_written(value)}"
    for name, words, holds in _BOUNDS:
        bound = getattr(meta, name)
        if bound is not None and not holds(value, bound):
            yield Fault(Code.INVALID_VALUE, f"must be {words} {_like(value, bound)}{found}", hint)
    if meta.multiple_of is not None and value % meta.multiple_of:
        yield Fault(Code.INVALID_VALUE, f"must be a multiple of {meta.multiple_of}{found}", hint)
    yield from _lengths(value, meta, hint, secret=secret)
    if meta.pattern is not None and isinstance(value, str) and not _matches(meta.pattern, value):
        text = "the value" if secret else shown(value)
        wanted = (meta.extra or {}).get("expected")
        fault = f"{text} is not {wanted}" if wanted else f"{text} does not match {meta.pattern}"
        yield Fault(Code.INVALID_VALUE, fault, hint)
    check = (meta.extra or {}).get("check")
    if check is not None:
        try:
            check(value)
        except ConfigProblem as problem:
            code = (meta.extra or {}).get("code", Code.INVALID_VALUE)
            if secret:
                yield Fault(code, "the value is not valid here", hint, problem.path)
            else:
                yield Fault(code, problem.text, problem.hint or hint, problem.path)


def _lengths(value: Any, meta: msgspec.Meta, hint: str, *, secret: bool) -> Iterator[Fault]:
    if not isinstance(value, Sized):
        return
    size = len(value)
    found = "" if secret else f", found {size}"
    unit = "character" if isinstance(value, str) else "item"
    if meta.min_length is not None and size < meta.min_length:
        yield Fault(Code.INVALID_VALUE, f"needs at least {_count(meta.min_length, unit)}{found}", hint)
    if meta.max_length is not None and size > meta.max_length:
        yield Fault(Code.INVALID_VALUE, f"takes at most {_count(meta.max_length, unit)}{found}", hint)


def _matches(pattern: str, value: str) -> bool:
    """Search, as msgspec does; but `$` is the very end, so that no line end slips into a name."""
    if pattern.endswith("$") and not pattern.endswith("\\$"):
        pattern = pattern[:-1] + r"\Z"
    return re.search(pattern, value) is not None


def _written(value: Any) -> str:
    """The value as a file would hold it."""
    if isinstance(value, str):
        return shown(value)
    return str(int(value)) if type(value) is float and value.is_integer() else str(value)


def _like(value: Any, bound: float) -> str:
    """The bound as the value would be written: `1s` for a duration."""
    kind = type(value)
    return _written(bound) if kind in (int, float) else str(kind(bound))


def _count(number: int, unit: str) -> str:
    return f"{number} {unit}" if number == 1 else f"{number} {unit}s"
