"""W3C trace context: what a message's headers say of its trace, and how it goes on from here. Source: W3C Trace
Context, levels 1 and 2.

Span ids are made of what is constant, so that an event that comes again is the same span again.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import NamedTuple

from .headers import lines, name_of

_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_MEMBER = re.compile(rb"[a-z0-9][a-z0-9_\-*/@]{0,255}=[ -+\--<>-~]{0,255}[!-+\--<>-~]")
_MAX_MEMBERS = 32
_NO_TRACE = "0" * 32
_NO_SPAN = "0" * 16
_SAMPLED = 1
_RANDOM = 2
_KNOWN = _SAMPLED | _RANDOM
_FLAGS = ("00", "01", "02", "03")
_SPAN = hashlib.blake2b(digest_size=8, person=b"gateway-span")


class TraceParent(NamedTuple):
    """Where an event stands in a trace, in the lower-case hexadecimal of a `traceparent`."""

    trace_id: str
    span_id: str
    """The sender's span: the parent of ours. Empty where the trace begins with the event."""
    flags: str
    """The flags that are known, sampled and random; the specification wants the others to be zero."""

    @property
    def sampled(self) -> bool:
        """Whether whoever began the trace had it recorded."""
        return int(self.flags, 16) & _SAMPLED == 1


def parse(traceparent: str) -> TraceParent | None:
    """The parts of a `traceparent`, or None when it is not valid.

    A later version than ours is read, and continued, as version 00, as the specification asks.
    """
    found = _TRACEPARENT.fullmatch(traceparent)
    if found is None:
        return None
    version, trace_id, span_id, flags, more = found.groups()
    if version == "ff" or trace_id == _NO_TRACE or span_id == _NO_SPAN or (more and version == "00"):
        return None
    if flags not in _FLAGS:
        flags = _FLAGS[int(flags, 16) & _KNOWN]
    return TraceParent(trace_id, span_id, flags)


def received(header_block: bytes) -> TraceParent | None:
    """The trace a message came with; None without a valid `traceparent`, or with several."""
    return parse_lines([line for line in lines(header_block) if name_of(line) == b"traceparent"])


def parse_lines(traceparents: Sequence[bytes]) -> TraceParent | None:
    """Likewise, of the header lines of that name."""
    if len(traceparents) != 1:
        return None
    return parse(traceparents[0].partition(b":")[2].strip().decode("ascii", "replace"))


def state_passes(tracestates: Sequence[bytes]) -> bool:
    """Whether a `tracestate`, all header lines of that name together, is legal; else none of it may go on."""
    members = [part.strip(b" \t") for line in tracestates for part in line.partition(b":")[2].split(b",")]
    members = [member for member in members if member]
    return len(members) <= _MAX_MEMBERS and all(_MEMBER.fullmatch(member) for member in members)


def begin(key: bytes, sequence: int, bound: int) -> TraceParent:
    """The trace of an event that came without one; sampled when the half of its id that is compared is below `bound`.

    The half is the one that OpenTelemetry's samplers by ratio take, so that others decide alike.
    """
    trace_id = hashlib.blake2b(sequence.to_bytes(8, "big"), key=key, digest_size=16).hexdigest()
    flags = _KNOWN if int(trace_id[16:], 16) < bound else _RANDOM
    return TraceParent(trace_id, "", _FLAGS[flags])


def span_of_message(message_id: str) -> str:
    """The span in which a message was published: whoever has the message can tell it from its `Nats-Msg-Id`."""
    # A copy of one that is set up takes two thirds of the time.
    hasher = _SPAN.copy()
    hasher.update(message_id.encode())
    return hasher.hexdigest()
