"""The codec `json`."""

from __future__ import annotations

from collections.abc import Iterable
from math import isfinite
from typing import Any, ClassVar

import msgspec

from ...event import Encoded
from ...headers import Headers
from ._partial import PartialCodec
from ._wire import Wire

WIRE = Wire("json", lambda kind: msgspec.json.Decoder(kind).decode)

_encode = msgspec.json.Encoder().encode
_TEXT = frozenset({str})
_SIMPLE: frozenset[type] = frozenset({str, int, bool, type(None), msgspec.Raw})
_SIMPLE_OR_FLOAT = _SIMPLE | {float}
_CONTAINERS = (list, tuple, set, frozenset)
_BYTES = (bytes, bytearray, memoryview)


class Json(PartialCodec, name="json"):
    """JSON: any value, not only objects.

    The settings say where the attributes are: `id`, `type`, `source` and `time` are found under these names at the top
    unless a path or `$headers.NAME` says otherwise; `correlation-id` has no default. A number as id, type or source
    becomes text; an empty text counts as none.

    Only what the route's steps read is decoded, and of the rest only the syntax is checked, so text that is not
    UTF-8 or a number beyond a double does no harm where nobody reads it. `strict: true` decodes everything. Of
    duplicate keys the last one wins.

    Written JSON is what was read: infinity and NaN, which JSON cannot say, and bytes are errors, not null or base64.
    """

    wire: ClassVar[Wire] = WIRE
    example: ClassVar[Any] = {"id": "order.id", "type": "$headers.X-GitHub-Event"}

    def encode(self, body: Any, headers: Headers) -> Encoded:
        """Compact JSON; raises ValueError or TypeError for what JSON cannot say."""
        try:
            data = _encode(body)
            _check((body,), _SIMPLE if b"null" in data else _SIMPLE_OR_FLOAT)
        except RecursionError:
            raise ValueError("the body is nested too deep to be written as JSON") from None
        return Encoded(data)

    def encode_own(self, body: Any, headers: Headers) -> Encoded:
        """Compact JSON without the check: what was decoded from JSON holds neither bytes nor infinities."""
        try:
            return Encoded(_encode(body))
        except RecursionError:
            raise ValueError("the body is nested too deep to be written as JSON") from None


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
            raise ValueError("the body holds NaN or infinity, which JSON cannot say")
        elif isinstance(value, _BYTES):
            raise TypeError("the body holds bytes, which JSON cannot say: use codec msgpack or raw, or write text")
