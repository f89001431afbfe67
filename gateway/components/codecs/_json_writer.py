"""Writing JSON, and refusing what it cannot say."""

from __future__ import annotations

from collections.abc import Iterable
from math import isfinite
from typing import Any

import msgspec

from ...errors import EncodeError

_encode = msgspec.json.Encoder().encode
_TEXT = frozenset({str})
_SIMPLE: frozenset[type] = frozenset({str, int, bool, type(None), msgspec.Raw})
_SIMPLE_OR_FLOAT = _SIMPLE | {float}
_CONTAINERS = (list, tuple, set, frozenset)
_BYTES = (bytes, bytearray, memoryview)


def checked_json(body: Any) -> bytes:
    """Compact JSON; raises EncodeError or TypeError for what JSON cannot say."""
    data = unchecked_json(body)
    try:
        _check((body,), _SIMPLE if b"null" in data else _SIMPLE_OR_FLOAT)
    except RecursionError:
        raise EncodeError("the body is nested too deep to be written as JSON") from None
    return data


def unchecked_json(body: Any) -> bytes:
    """Compact JSON of a body that holds neither bytes nor infinities."""
    try:
        return _encode(body)
    except RecursionError:
        raise EncodeError("the body is nested too deep to be written as JSON") from None


def _check(values: Iterable[Any], simple: frozenset[type]) -> None:
    """Refuse what msgspec writes as something else: bytes (as base64) and numbers that are none (as null).

    After the encoder, which has found out whether the body ends at all. `simple` holds the types that need no look;
    floats are among them unless the result has a null they could have become.
    """
    for value in values:
        if type(value) in simple:
            continue
        if isinstance(value, dict):
            _check(value.values(), simple)
            if not _TEXT.issuperset(map(type, value)):
                _check(value, simple)
        elif isinstance(value, _CONTAINERS):
            _check(value, simple)
        elif isinstance(value, float) and not isfinite(value):
            raise EncodeError("the body holds NaN or infinity, which JSON cannot say")
        elif isinstance(value, _BYTES):
            raise EncodeError("the body holds bytes, which JSON cannot say: use codec msgpack or raw, or write text")
