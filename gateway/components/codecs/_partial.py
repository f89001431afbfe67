"""What the codecs over msgspec share: attributes by path, and decoding no more than a route's steps read."""

from __future__ import annotations

from typing import Any, ClassVar

from ...event import Attributes, Reader
from ...headers import Headers
from ...plugin import Codec
from ._attributes import AttributePaths, attribute_keys, attribute_reader
from ._wire import Wire


class PartialCodec(Codec):
    """Base of codecs whose format can be decoded in part."""

    Config = AttributePaths
    config: AttributePaths
    wire: ClassVar[Wire]

    def prepare(self) -> None:
        """Compile the attribute paths."""
        self._attributes = attribute_reader(self.config)

    def decode(self, data: bytes, headers: Headers, subject: str) -> Any:
        """The whole body; raises DecodeError."""
        return self.wire.whole(data)

    def attributes(self, body: Any, headers: Headers) -> Attributes:
        """The attributes of any body, whole or reduced to the keys of a reader."""
        return self._attributes(body, headers)

    def reader(self, keys: frozenset[str] | None) -> Reader:
        """Decode only `keys` and the attributes; everything when the steps read everything, or when strict."""
        if keys is None or self.config.strict:
            return Reader(self.decode, self.attributes)
        wanted = keys | attribute_keys(self.config)
        peek, split, leaf = self.wire.peek(wanted), self.wire.split, self.wire.leaf
        return Reader(self.decode, self.attributes, keys=wanted, peek=peek, split=split, leaf=leaf)
