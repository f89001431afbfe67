"""Tests on strings: prefix, suffix and equality without case, and wildcards."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ...errors import PatternError
from ._pattern_checks import Place
from ._pattern_show import show

TextTest = Callable[[str], bool]


def folded_equals(wanted: str) -> TextTest:
    """A test for `wanted` in any case, by Unicode case folding: `straße` equals `STRASSE`."""
    folded = wanted.casefold()
    return lambda text: text.casefold() == folded


def folded_prefix(wanted: str) -> TextTest:
    """A test for a beginning of whole characters that equals `wanted` in any case."""
    folded = wanted.casefold()
    size = len(folded)
    return lambda text: text.casefold().startswith(folded) and (text.isascii() or _ends_a_character(text, size))


def folded_suffix(wanted: str) -> TextTest:
    """A test for an end of whole characters that equals `wanted` in any case."""
    folded = wanted.casefold()
    size = len(folded)
    return lambda text: text.casefold().endswith(folded) and (text.isascii() or _ends_a_character(reversed(text), size))


def _ends_a_character(characters: Iterable[str], size: int) -> bool:
    """Whether `size` folded characters are whole characters of the text: `s` is not a prefix of `ß`, folded `ss`."""
    reached = 0
    for character in characters:
        if reached >= size:
            break
        reached += len(character.casefold())
    return reached == size


def wildcard_at(pattern: str, place: Place) -> TextTest:
    """`wildcard`, its faults as PatternError at `place`."""
    try:
        return wildcard(pattern)
    except ValueError as fault:
        raise PatternError(place, f"{show(pattern)} {fault}", r"* is any text, \* a star and \\ a backslash") from None


def wildcard(pattern: str) -> TextTest:
    r"""A test for `pattern`, in which `*` stands for any text and `\*` and `\\` for themselves.

    The parts between the stars are looked for from left to right, each at its first place: no event can make this
    try combinations, as a regular expression would. Raises ValueError, whose text says what is wrong.
    """
    first, *middle = _segments(pattern)
    if not middle:
        return lambda text: text == first
    last = middle.pop()
    shortest = len(first) + len(last)

    def test(text: str) -> bool:
        if len(text) < shortest or not text.startswith(first) or not text.endswith(last):
            return False
        start, end = len(first), len(text) - len(last)
        for part in middle:
            start = text.find(part, start, end)
            if start < 0:
                return False
            start += len(part)
        return True

    return test


def _segments(pattern: str) -> list[str]:
    """Split at the stars and undo the escapes."""
    segments = [""]
    characters = iter(enumerate(pattern))
    star_before = False
    for place, character in characters:
        if character == "*":
            if star_before:
                raise ValueError(f"has two wildcards in a row at character {place}")
            segments.append("")
        elif character == "\\":
            _, escaped = next(characters, (0, ""))
            if escaped not in ("*", "\\"):
                raise ValueError(f"has a backslash at character {place + 1} that escapes neither * nor \\")
            segments[-1] += escaped
        else:
            segments[-1] += character
        star_before = character == "*"
    return segments
