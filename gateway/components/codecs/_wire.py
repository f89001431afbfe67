"""Decoders of one wire format, whole or in part, that raise nothing but DecodeError."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypedDict

import msgspec

from ...errors import DecodeError
from ...missing import MISSING

Decode = Callable[[Any], Any]

_FAULTS = (ValueError, TypeError, RecursionError, OverflowError)
"""What decoders raise for bytes they cannot read; msgspec's own errors are ValueErrors."""


class Wire:
    """What a format's msgspec decoders can do: all of a body, some keys of it, or every key with raw values."""

    def __init__(self, name: str, decoder: Callable[[Any], Decode]) -> None:
        """`decoder` makes the function that decodes bytes to a type; `name` begins every error."""
        self._name = name
        self._decoder = decoder
        self._whole = decoder(Any)
        self._split = decoder(dict[str, msgspec.Raw])
        self._skip = decoder(msgspec.Raw)

    def whole(self, data: bytes) -> Any:
        """The body as plain data."""
        try:
            return self._whole(data)
        except _FAULTS as error:
            raise self._fault(error, data) from None

    def raw(self, data: bytes) -> msgspec.Raw:
        """The body as it stands, when its syntax is right."""
        try:
            self._skip(data)
        except _FAULTS as error:
            raise self._fault(error, data) from None
        return msgspec.Raw(data)

    def leaf(self, value: msgspec.Raw) -> Any:
        """One value that `split` left raw."""
        try:
            return self._whole(value)
        except _FAULTS as error:
            raise self._fault(error) from None

    def split(self, data: bytes) -> Any:
        """An object with its values raw; MISSING for what is no object with text keys."""
        try:
            return self._split(data)
        except _FAULTS as error:
            return self._missing(error, data)

    def peek(self, keys: frozenset[str]) -> Decode:
        """A function that decodes only `keys` of an object and gives MISSING for what is no object with text keys."""
        decode = self._decoder(TypedDict("Peek", dict.fromkeys(sorted(keys), Any), total=False))  # type: ignore[operator]

        def peek(data: bytes) -> Any:
            try:
                return decode(data)
            except _FAULTS as error:
                return self._missing(error, data)

        return peek

    def _missing(self, error: Exception, data: bytes) -> Any:
        """MISSING when the root or a key has another type; what is wrong below the root is wrong for any reader."""
        if isinstance(error, msgspec.ValidationError) and " - at `$" not in str(error):
            return MISSING
        raise self._fault(error, data) from None

    def _fault(self, error: Exception, data: bytes | None = None) -> DecodeError:
        """Name the fault and its place. Nothing of the event: msgspec's texts hold only types, offsets and our keys."""
        if data is not None and not data:
            text = "the payload is empty"
        elif isinstance(error, RecursionError):
            text = "nested too deep"
        elif isinstance(error, UnicodeDecodeError):
            text = "a text is not UTF-8"
        else:
            text = str(error)
        return DecodeError(f"{self._name}: {text}")
