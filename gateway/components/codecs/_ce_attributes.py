"""CloudEvents attributes: what they may be called and hold. Read liberally, written to the letter of 1.0."""

from __future__ import annotations

import re
from typing import Any, Final

from ...errors import DecodeError, EventError

VERSION: Final = "1.0"
REQUIRED: Final = ("specversion", "id", "source", "type")
OPTIONAL: Final = ("datacontenttype", "dataschema", "subject", "time")
DATA: Final = "data"
BASE64: Final = "data_base64"
"""JSON's name for data that is neither JSON nor text."""

_KNOWN = frozenset((*REQUIRED, *OPTIONAL))
_NAME = re.compile(r"[a-z0-9]+")
_TIME = re.compile(
    r"\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])[Tt]([01]\d|2[0-3]):[0-5]\d:([0-5]\d|60)(\.\d+)?"
    r"([Zz]|[+-]([01]\d|2[0-3]):[0-5]\d)",
    re.ASCII,
)
_ILLEGAL = re.compile(
    "[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef"
    + "".join(chr(plane << 16 | last) for plane in range(17) for last in (0xFFFE, 0xFFFF))
    + "]"
)
"""Characters no attribute may hold: controls, surrogates, and what Unicode says is none."""
_INTEGER = range(-(2**31), 2**31)


def shown(name: str) -> str:
    """How an error calls an attribute: the name of an extension is its sender's, and stays out of errors."""
    return name if name in _KNOWN else "an extension"


def check_read(envelope: dict[str, Any]) -> None:
    """Check what came, `data` and `data_base64` aside; raises DecodeError. Harmless deviations pass."""
    for name in REQUIRED:
        value = envelope.get(name)
        if type(value) is not str or not value:
            what = "is missing" if name not in envelope else "is no text, or an empty one"
            raise DecodeError(f"cloudevents: {name} {what}")
    if envelope["specversion"] != VERSION:
        raise DecodeError(f"cloudevents: specversion is not {VERSION}")
    for name, value in envelope.items():
        if name in (DATA, BASE64):
            continue
        if name not in _KNOWN and _NAME.fullmatch(name) is None:
            raise DecodeError("cloudevents: the name of an attribute is not lower-case letters and digits")
        kind = type(value)
        if kind is not str and (name in _KNOWN or (kind is not int and kind is not bool)):
            raise DecodeError(
                f"cloudevents: {shown(name)} is no {'text' if name in _KNOWN else 'text or whole number'}"
            )


def writable(body: Any) -> dict[str, Any]:
    """The attributes of a body that is a CloudEvent, without nulls and data; raises EventError for what is none."""
    if type(body) is not dict:
        raise _refusal("the body is no object")
    attributes = {"specversion": VERSION}
    attributes.update((name, body[name]) for name in (*REQUIRED, *OPTIONAL) if body.get(name) is not None)
    for name, value in body.items():
        if name not in attributes and name not in (DATA, BASE64) and value is not None:
            attributes[name] = value
    for name in REQUIRED:
        if not attributes.get(name):
            raise _refusal(f"{name} is missing or empty")
    for name, value in attributes.items():
        fault = _fault(name, value)
        if fault:
            raise _refusal(f"{shown(name)} {fault}")
    return attributes


def _fault(name: Any, value: Any) -> str | None:
    """Why 1.0 does not allow an attribute, or None."""
    if type(name) is not str or _NAME.fullmatch(name) is None:
        return "has a name that is not lower-case letters and digits"
    kind = type(value)
    if kind is str:
        if _ILLEGAL.search(value):
            return "holds a control character, or one that is none"
        if name in _KNOWN and not value:
            return "is empty"
        if name == "specversion" and value != VERSION:
            return f"is not {VERSION}"
        if name == "time" and _TIME.fullmatch(value) is None:
            return "is no RFC 3339 time"
        return None
    if name in _KNOWN:
        return "is no text"
    if kind is int:
        return None if value in _INTEGER else "is a whole number beyond 32 bits"
    return None if kind is bool else "is no text, whole number, true or false"


def _refusal(text: str) -> EventError:
    """What an event that cannot be written is told; its text names no value."""
    return EventError("encode-error", f"cloudevents: {text}")
