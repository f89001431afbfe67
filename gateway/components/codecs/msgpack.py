"""The codec `msgpack`."""

from __future__ import annotations

import re
from typing import Any, ClassVar

import msgspec

from ...errors import EncodeError
from ...event import Encoded
from ...headers import Headers
from ._partial import PartialCodec
from ._wire import Decode, Wire

_TIMESTAMP = re.compile(rb"\xd6\xff|\xd7\xff|\xc7\x0c\xff")
"""How MessagePack's three forms of a timestamp begin."""


def _decoder(kind: Any) -> Decode:
    decode = msgspec.msgpack.Decoder(kind, ext_hook=_refuse_extension).decode
    if kind == dict[str, msgspec.Raw]:
        return decode

    def plain(data: bytes) -> Any:
        value = decode(data)
        return msgspec.to_builtins(value, builtin_types=(bytes,)) if _TIMESTAMP.search(data) else value

    return plain


def _refuse_extension(code: int, data: memoryview) -> Any:
    raise ValueError(f"extension type {code} has no plain form")


WIRE = Wire("msgpack", _decoder)
_encode = msgspec.msgpack.Encoder().encode


class MsgPack(PartialCodec, name="msgpack"):
    """MessagePack: any value, bytes included.

    The settings are those of `json`. Only what the route's steps read is decoded; what nobody reads is sent on as it
    came. A timestamp that is read becomes RFC 3339 text; any other extension type is a decode error where it is read.
    Keys that are not text stay as they are, and no path leads to them.
    """

    wire: ClassVar[Wire] = WIRE
    example: ClassVar[Any] = {"id": "order.id", "strict": True}

    def encode(self, body: Any, headers: Headers) -> Encoded:
        """MessagePack bytes; raises EncodeError or TypeError for what it cannot say."""
        try:
            return Encoded(_encode(body))
        except RecursionError:
            raise EncodeError("the body is nested too deep to be written as MessagePack") from None
        except OverflowError:
            raise EncodeError("the body holds an integer of more than 64 bits, which MessagePack cannot say") from None
