"""NATS header blocks: `NATS/1.0`, a line per header, an empty line. Source: NATS ADR-4.

Headers stay bytes from end to end, because a client that turns them into a dict of text loses duplicates, spaces
and every value that is not UTF-8; they are parsed only when a step asks for one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

VERSION = b"NATS/1.0\r\n"
END = b"\r\n"
MAX_BLOCK = 65_535
"""Bytes a header block may have at most; the server refuses a larger one (10097)."""

_WHOLE = frozenset({"traceparent", "tracestate"})
"""Headers of which the last one sent would say something else than all of them."""

_NAME = re.compile(r"[!-9;-~]+")
_UNSAFE_VALUE = re.compile(r"[\r\n\x00\ud800-\udc7f\udd00-\udfff]")
"""Of the surrogates only those that stand for bytes can be written."""


class Headers(Mapping[str, str]):
    """The headers of one event: names in any case, one value a name (the last one sent; a `tracestate` that was sent in
    several parts is put together, and so are several of `traceparent`, of which none is valid).

    A value that is not UTF-8 keeps its bytes as surrogate escapes, so that it leaves as it came.
    """

    __slots__ = ("_values",)

    def __init__(self, values: Mapping[str, str] | None = None) -> None:
        self._values: dict[str, tuple[str, str]] = {}
        if values:
            for name, value in values.items():
                self._values[name.lower()] = (name, value)

    @classmethod
    def parse(cls, block: bytes) -> Headers:
        """Read a header block; `b""` has none. A line without a colon is skipped, as the server does."""
        headers = cls()
        parts = block.split(END)
        for line in parts[1:]:
            name, colon, value = line.partition(b":")
            if colon:
                text = name.decode("utf-8", "surrogateescape").strip()
                headers._values[text.lower()] = (text, value.decode("utf-8", "surrogateescape").strip())
        if len(headers._values) < len(parts) - 3:
            for whole in headers._values.keys() & _WHOLE:
                sent = whole.encode()
                values = [line.partition(b":")[2].strip() for line in lines(block) if name_of(line) == sent]
                headers._values[whole] = (whole, b",".join(values).decode("utf-8", "surrogateescape"))
        return headers

    def __getitem__(self, name: str) -> str:
        return self._values[name.lower()][1]

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.lower() in self._values

    def __iter__(self) -> Iterator[str]:
        return (name for name, _ in self._values.values())

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        """Names only: values may be secrets."""
        return f"Headers({', '.join(self)})"


NO_HEADERS = Headers()


def lines(block: bytes) -> list[bytes]:
    """The header lines of a block as they were sent, without the version line and the empty ones."""
    return [line for line in block.split(END)[1:] if line]


def name_of(line: bytes) -> bytes:
    """The name of a header line, lower case, without spaces around it."""
    return line.partition(b":")[0].strip().lower()


def header_line(name: str, value: str) -> bytes:
    """Write one header line with its line end; the caller has checked name and value."""
    return f"{name}: {value}\r\n".encode("utf-8", "surrogateescape")


def block_of(head_lines: list[bytes]) -> bytes:
    """Put lines (with their line ends) together to a block, or `b""` when there is none."""
    return b"".join((VERSION, *head_lines, END)) if head_lines else b""


def name_is_safe(name: str) -> bool:
    """Whether `name` may be a header's name: printable ASCII without a colon."""
    return _NAME.fullmatch(name) is not None


def value_is_safe(value: str) -> bool:
    """Whether `value` may be a header's value: no line end or NUL, which would end it, nor what has no bytes."""
    return _UNSAFE_VALUE.search(value) is None
