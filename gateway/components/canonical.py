"""One text for one value: what hashes of event values are made of."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

import msgspec

_encode = msgspec.json.Encoder(order="deterministic").encode


def canonical(value: Any) -> bytes:
    """The value as compact JSON with sorted keys: equal values give equal bytes, whoever wrote them.

    Never raises: what JSON cannot say (keys that are no text, lone surrogates) is written as Python does.
    """
    try:
        return _encode(value)
    except (TypeError, ValueError, OverflowError, RecursionError):
        return repr(value).encode("utf-8", "backslashreplace")


def digest(values: Iterable[Any]) -> bytes:
    """16 bytes that stand for these values in this order; a number and its text are different."""
    hasher = hashlib.blake2b(digest_size=16)
    for value in values:
        data = b"b" + value if type(value) is bytes else canonical(value)
        hasher.update(len(data).to_bytes(8, "big"))
        hasher.update(data)
    return hasher.digest()
