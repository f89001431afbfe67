"""The data of a CloudEvent: as a payload of its own, and as a member of the JSON envelope."""

from __future__ import annotations

import binascii
from base64 import b64decode, b64encode
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Literal

import msgspec

from ...errors import DecodeError, EventError
from ...missing import MISSING
from ._ce_attributes import BASE64, DATA
from ._json_writer import checked_json
from ._wire import Wire

WIRE = Wire("cloudevents", lambda kind: msgspec.json.Decoder(kind).decode)

Kind = Literal["json", "text", "other", "foreign"]
"""What a media type says of its bytes; `foreign` is a character set that is not UTF-8."""


@lru_cache(maxsize=64)
def kind_of(media_type: str) -> Kind:
    """Read a `datacontenttype`."""
    media, _, parameters = media_type.lower().partition(";")
    media = media.strip()
    for parameter in parameters.split(";"):
        name, _, value = parameter.partition("=")
        if name.strip() == "charset" and value.strip(' "') not in ("utf-8", "utf8", "us-ascii", "ascii"):
            return "foreign"
    subtype = media.partition("/")[2]
    if subtype == "json" or subtype.endswith("+json"):
        return "json"
    return "text" if media.startswith("text/") or subtype == "xml" or subtype.endswith("+xml") else "other"


def put_payload(envelope: dict[str, Any], payload: bytes) -> None:
    """Add the payload of a binary event to its envelope; raises DecodeError for JSON that is none.

    JSON stays raw until somebody reads it, so that it can leave as it came.
    """
    if not payload:
        return
    media = envelope.get("datacontenttype")
    kind = "other" if media is None else kind_of(media)
    if kind == "json":
        envelope[DATA] = WIRE.raw(payload)
        return
    try:
        if kind == "text":
            envelope[DATA] = payload.decode()
            return
        if media is None:
            envelope[DATA] = WIRE.raw(payload)
            return
    except (UnicodeDecodeError, DecodeError):
        pass  # Bytes then, of which nobody has said what they are.
    envelope[BASE64] = b64encode(payload).decode()


def check_base64(envelope: Mapping[str, Any]) -> None:
    """Raise DecodeError when a structured event's binary data is no base64, or not its only data."""
    if BASE64 in envelope:
        if DATA in envelope:
            raise DecodeError(f"cloudevents: both {DATA} and {BASE64}")
        if _bytes_of(envelope[BASE64]) is None:
            raise DecodeError(f"cloudevents: {BASE64} is no base64")


def payload_of(body: Mapping[str, Any], attributes: Mapping[str, Any]) -> bytes:
    """The data as a payload of its own; raises EventError, ValueError or TypeError for what cannot be one."""
    data = _data_of(body, attributes)
    if data is MISSING:
        return b""
    if type(data) is bytes:
        return data
    if _is_json(attributes):
        return bytes(data) if type(data) is msgspec.Raw else checked_json(data)
    return str(data).encode()


def member_of(body: Mapping[str, Any], attributes: Mapping[str, Any]) -> dict[str, Any]:
    """The data as a member of the JSON envelope, or nothing; raises EventError for what cannot be one."""
    data = _data_of(body, attributes)
    if data is MISSING:
        return {}
    return {BASE64: b64encode(data).decode()} if type(data) is bytes else {DATA: data}


def _data_of(body: Mapping[str, Any], attributes: Mapping[str, Any]) -> Any:
    """Bytes, or a text, or what JSON can say where the media type says JSON or nothing; MISSING without data."""
    data = body.get(DATA, MISSING)
    encoded = body.get(BASE64)
    if encoded is not None:
        if data is not MISSING:
            raise EventError("encode-error", f"cloudevents: both {DATA} and {BASE64}")
        data = _bytes_of(encoded)
        if data is None:
            raise EventError("encode-error", f"cloudevents: {BASE64} is no base64")
    if data is MISSING or type(data) is bytes or _is_json(attributes):
        return data
    if type(data) is msgspec.Raw:
        data = WIRE.leaf(data)
    if type(data) is not str:
        raise EventError("encode-error", "cloudevents: the data is no text, and datacontenttype does not say JSON")
    if kind_of(attributes["datacontenttype"]) == "foreign":
        raise EventError("encode-error", "cloudevents: datacontenttype says another character set than UTF-8")
    return data


def _is_json(attributes: Mapping[str, Any]) -> bool:
    media = attributes.get("datacontenttype")
    return media is None or kind_of(media) == "json"


def _bytes_of(text: Any) -> bytes | None:
    """The bytes of a base64 text, None when it is none."""
    if type(text) is not str:
        return None
    try:
        return b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
