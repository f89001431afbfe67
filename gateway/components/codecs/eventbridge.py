"""The codec `eventbridge`."""

from __future__ import annotations

from typing import Any, ClassVar

from ...errors import DecodeError
from ...headers import Headers
from ...paths import Path
from ._attributes import AttributePaths
from ._wire import Wire
from .json import Json, json_wire


class EventBridgePaths(AttributePaths, frozen=True):
    """Where the attributes are: EventBridge's envelope unless set otherwise."""

    type: Path | None = Path("detail-type")


class EventBridge(Json, name="eventbridge"):
    """JSON in EventBridge's envelope: id, detail-type, source, time, detail.

    The same as `json`, but the type is `detail-type`, and a payload that is not an object is a decode error. Nothing
    of the envelope is required, and a transform may make something else of it: what is sent on can be any JSON.
    """

    Config = EventBridgePaths
    wire: ClassVar[Wire] = json_wire("eventbridge")
    example: ClassVar[Any] = {"correlation-id": "detail.metadata.correlation-id"}

    def decode(self, data: bytes, headers: Headers, subject: str) -> Any:
        """The whole event; raises DecodeError, also for what is not an object."""
        body = self.wire.whole(data)
        if type(body) is not dict:
            raise DecodeError("eventbridge: the payload is not an object")
        return body
