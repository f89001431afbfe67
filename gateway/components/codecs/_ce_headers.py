"""CloudEvents attributes as NATS headers. Source: CloudEvents NATS protocol binding 1.0.3-wip, section 3.1.

Some senders use `Content-Type` for what the binding calls `ce-datacontenttype`, or do not percent-encode; both are
understood, and neither is written.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, Literal
from urllib.parse import quote, unquote_to_bytes

from ...errors import DecodeError
from ...headers import Headers
from ._ce_attributes import shown

PREFIX: Final = "ce-"
CONTENT_TYPE: Final = "Content-Type"
STRUCTURED_TYPE: Final = "application/cloudevents+json"

Form = Literal["binary", "structured", "bare"]
"""How an event came; `bare` is structured without a header that says so, as binding 1.0.2 has it."""

_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_QUOTED_PAIR = re.compile(r"\\(.)", re.DOTALL)
_PLAIN = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) not in '"%')


def form_of(headers: Headers) -> Form:
    """The mode by the headers alone; `bare` where they say nothing."""
    if headers.get(CONTENT_TYPE, "").lower().startswith("application/cloudevents"):
        return "structured"
    return "binary" if "ce-specversion" in headers else "bare"


def check_format(headers: Headers) -> None:
    """Raise DecodeError when a structured event is in a format other than JSON, or a batch."""
    media = headers.get(CONTENT_TYPE, "").partition(";")[0].strip().lower()
    if media not in (STRUCTURED_TYPE, "application/cloudevents"):
        raise DecodeError(f"cloudevents: of the structured formats only {STRUCTURED_TYPE} is known here")


def attributes_in(headers: Headers) -> dict[str, Any]:
    """The attributes of a binary event; raises DecodeError for a value that cannot be decoded, or a name for data."""
    found: dict[str, Any] = {}
    for name, value in headers.items():
        if name[:3].lower() == PREFIX:
            attribute = name[3:].lower()
            found[attribute] = _read(attribute, value)
    if "data" in found or "data_base64" in found:
        raise DecodeError("cloudevents: an attribute has the name of the data")
    if "datacontenttype" not in found and headers.get(CONTENT_TYPE):
        found["datacontenttype"] = headers[CONTENT_TYPE]
    return found


def headers_for(attributes: Mapping[str, Any]) -> dict[str, str]:
    """The headers that say these attributes."""
    return {PREFIX + name: _write(value) for name, value in attributes.items()}


def _read(attribute: str, text: str) -> str:
    if len(text) > 1 and text[0] == text[-1] == '"':
        text = _QUOTED_PAIR.sub(r"\1", text[1:-1])
    if text.isascii() and "%" not in text:
        return text
    if _BAD_ESCAPE.search(text):
        raise DecodeError(f"cloudevents: {shown(attribute)} has a % that begins no percent-encoding")
    try:
        return unquote_to_bytes(text.encode("utf-8", "surrogateescape")).decode()
    except UnicodeError:
        raise DecodeError(f"cloudevents: {shown(attribute)} is not UTF-8") from None


def _write(value: str | int | bool) -> str:
    if type(value) is bool:
        return "true" if value else "false"
    return quote(value, safe=_PLAIN) if type(value) is str else str(value)
