"""The codec `json`."""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec

from ...event import Encoded
from ...headers import Headers
from ._json_writer import checked_json, unchecked_json
from ._partial import PartialCodec
from ._wire import Wire


def json_wire(name: str) -> Wire:
    """JSON for the codec `name`, with which every error begins."""
    return Wire(name, lambda kind: msgspec.json.Decoder(kind).decode)


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

    wire: ClassVar[Wire] = json_wire("json")
    example: ClassVar[Any] = {"id": "order.id", "type": "$headers.X-GitHub-Event"}

    def encode(self, body: Any, headers: Headers) -> Encoded:
        """Compact JSON; raises EncodeError or TypeError for what JSON cannot say."""
        return Encoded(checked_json(body))

    def encode_own(self, body: Any, headers: Headers) -> Encoded:
        """Compact JSON without the check: what was decoded from JSON holds neither bytes nor infinities."""
        return Encoded(unchecked_json(body))
