"""W3C trace context: read a `traceparent`, go on with a span of our own. Source: W3C Trace Context, level 1."""

from __future__ import annotations

import re
from typing import NamedTuple

_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_NO_TRACE = "0" * 32
_NO_SPAN = "0" * 16


class TraceParent(NamedTuple):
    """A valid `traceparent`, in the lower-case hexadecimal it was sent in."""

    trace_id: str
    span_id: str
    """The sender's span: the parent of ours."""
    flags: str

    @property
    def sampled(self) -> bool:
        """Whether the sender recorded its span."""
        return int(self.flags, 16) & 1 == 1


def child_of(traceparent: str, span_id: str) -> str | None:
    """The same trace, with the same flags, under `span_id`; None when `traceparent` is not valid.

    A later version than ours is continued as version 00, as the specification asks.
    """
    parent = parse(traceparent)
    return None if parent is None else f"00-{parent.trace_id}-{span_id}-{parent.flags}"


def parse(traceparent: str) -> TraceParent | None:
    """The parts of a `traceparent`, or None when it is not valid."""
    found = _TRACEPARENT.fullmatch(traceparent)
    if found is None or found[1] == "ff" or found[2] == _NO_TRACE or found[3] == _NO_SPAN:
        return None
    if found[1] == "00" and found[5]:
        return None
    return TraceParent(found[2], found[3], found[4])
