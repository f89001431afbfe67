"""W3C trace context: read a `traceparent`, go on with a span of our own. Source: W3C Trace Context, level 1."""

from __future__ import annotations

import os
import re

_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_NO_TRACE = "0" * 32
_NO_SPAN = "0" * 16


def child_of(traceparent: str) -> str | None:
    """The same trace under a new span id, or None when `traceparent` is not valid.

    A later version than ours is continued as version 00, as the specification asks.
    """
    parts = _parse(traceparent)
    return None if parts is None else f"00-{parts[0]}-{os.urandom(8).hex()}-{parts[1]}"


def trace_id_of(traceparent: str) -> str:
    """The trace id of a valid `traceparent`, else an empty string."""
    parts = _parse(traceparent)
    return "" if parts is None else parts[0]


def _parse(traceparent: str) -> tuple[str, str] | None:
    """Trace id and flags."""
    found = _TRACEPARENT.fullmatch(traceparent)
    if found is None or found[1] == "ff" or found[2] == _NO_TRACE or found[3] == _NO_SPAN:
        return None
    if found[1] == "00" and found[5]:
        return None
    return found[2], found[4]
