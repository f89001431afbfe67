"""The codec `raw`."""

from __future__ import annotations

from typing import Any

from ...errors import EncodeError
from ...event import Encoded
from ...headers import Headers
from ...plugin import Codec


class Raw(Codec, name="raw"):
    """Bytes as they are, for payloads nobody needs to look into.

    The body is the payload's bytes, so no path leads into it; subject and headers can be read as always. Written are
    bytes, and text as UTF-8.
    """

    def decode(self, data: bytes, headers: Headers, subject: str) -> bytes:
        """The payload; nothing is malformed."""
        return data

    def encode(self, body: Any, headers: Headers) -> Encoded:
        """Bytes as they are, text as UTF-8; raises EncodeError for anything else."""
        if isinstance(body, bytes):
            return Encoded(body)
        if isinstance(body, str):
            return Encoded(body.encode())
        raise EncodeError("the body is neither bytes nor text: codec raw cannot write it")
