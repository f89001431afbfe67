"""Value types of configs that JSON does not have: durations, sizes, rates, secrets, subjects.

Each is made from text by `parse`, which raises ConfigProblem with what is accepted.
"""

from __future__ import annotations

import re
from typing import Self

from .errors import ConfigProblem
from .subjects import wildcard_fault

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_LONGEST = 40
"""Characters a duration is written with at most."""
_CENTURY = 36_500 * 86_400
"""Seconds a duration lasts at most: the server counts nanoseconds in 64 bits."""
_LARGEST = 2**63 - 1
"""Bytes of a size at most, for the same reason."""
_SIZE = re.compile(r"(\d+)(B|KiB|MiB|GiB|TiB)")
_BYTES = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}
_RATE = re.compile(r"(\d+(?:\.\d+)?)/(s|m|h)")


class Duration(float):
    """A length of time in seconds, written `250ms`, `30s`, `5m`, `24h`, `7d`, or several together: `1h30m`."""

    @classmethod
    def parse(cls, text: object) -> Self:
        """Read a duration; raises ConfigProblem."""
        if isinstance(text, str):
            parts = list(_DURATION.finditer(text))
            if parts and "".join(part[0] for part in parts) == text and len(text) <= _LONGEST:
                seconds = sum(float(part[1]) * _SECONDS[part[2]] for part in parts)
                if seconds > _CENTURY:
                    raise ConfigProblem((), f"{text} is longer than a hundred years", "36500d is the most")
                return cls(seconds)
        raise ConfigProblem(
            (), f"expected a duration, got {_shown(text)}", "write a number and ms, s, m, h or d: 250ms, 30s, 24h"
        )

    def __str__(self) -> str:
        for unit, seconds in (("d", 86400.0), ("h", 3600.0), ("m", 60.0), ("s", 1.0)):
            if self >= seconds and (self / seconds).is_integer():
                return f"{int(self / seconds)}{unit}"
        return f"{self * 1000:.6f}".rstrip("0").rstrip(".") + "ms"

    @property
    def nanoseconds(self) -> int:
        """The same in the unit of the JetStream API."""
        return round(self * 1_000_000_000)


class Size(int):
    """A number of bytes, written `512KiB`, `1MiB`, `1GiB`, `100B`."""

    @classmethod
    def parse(cls, text: object) -> Self:
        """Read a size; raises ConfigProblem."""
        if isinstance(text, str) and (found := _SIZE.fullmatch(text)):
            size = int(found[1]) * _BYTES[found[2]] if len(found[1]) <= _LONGEST else _LARGEST + 1
            if size > _LARGEST:
                raise ConfigProblem((), f"{_shown(text)} is more than a server can count", "8388607TiB is the most")
            return cls(size)
        raise ConfigProblem(
            (), f"expected a size, got {_shown(text)}", "write a whole number and B, KiB, MiB or GiB: 512KiB"
        )

    def __str__(self) -> str:
        for unit in ("TiB", "GiB", "MiB", "KiB"):
            if self and self % _BYTES[unit] == 0:
                return f"{self // _BYTES[unit]}{unit}"
        return f"{int(self)}B"


class Rate(float):
    """Events a second, written `100/s`, `600/m` or `10/h`; per process."""

    @classmethod
    def parse(cls, text: object) -> Self:
        """Read a rate above zero; raises ConfigProblem."""
        if isinstance(text, str) and (found := _RATE.fullmatch(text)) and float(found[1]) > 0:
            return cls(float(found[1]) / _SECONDS[found[2]])
        raise ConfigProblem(
            (), f"expected a rate, got {_shown(text)}", "write a number above 0 and /s, /m or /h: 100/s"
        )

    def __str__(self) -> str:
        return f"{float(self):.6f}".rstrip("0").rstrip(".") + "/s"


class Subject(str):
    """A subject or wildcard to listen on: `orders.created`, `orders.*`, `orders.>`."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: object) -> Self:
        """Read a wildcard; raises ConfigProblem."""
        if not isinstance(text, str):
            raise ConfigProblem((), f"expected a subject, got {_shown(text)}", "write it as text: orders.>")
        fault = wildcard_fault(text)
        if fault:
            raise ConfigProblem((), f"{text!r} is no subject: {fault}")
        return cls(text)


class Secret:
    """A text that no repr, log or error shows; `reveal()` gives it to the code that needs it."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    @classmethod
    def parse(cls, text: object) -> Self:
        """Take a text; raises ConfigProblem, which never shows the value."""
        if not isinstance(text, str):
            raise ConfigProblem(
                (), "expected text", "put it in quotes, or take it from ${file:...} or ${credential:...}"
            )
        return cls(text)

    def reveal(self) -> str:
        """The text itself."""
        return self._text

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __repr__(self) -> str:
        return "Secret('***')"

    def __str__(self) -> str:
        return "***"


def _shown(value: object) -> str:
    """The value as a person wrote it, cut to a readable length."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
