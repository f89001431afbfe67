"""How an event's trace goes on through a route: which headers pass on, and which trace its records and letters name."""

from __future__ import annotations

from ..event import Delivery
from ..headers import lines, name_of
from ..trace import TraceParent, parse_lines, received, span_of_message, state_passes
from .route import CompiledRoute, MessageIds

TraceLine = tuple[bytes, bytes]
"""A header line of a `traceparent`: what stands before and after the span id, which each copy has of its own."""


def trace_of(route: CompiledRoute, ids: MessageIds, delivery: Delivery) -> TraceParent | None:
    """The trace an event is in: its sender's, else the one that begins with it where an audit makes spans."""
    came = received(delivery.header_block) if delivery.header_block else None
    if came is None and route.begins is not None:
        return ids.begin(delivery.sequence, route.begins)
    return came


def parent_of(route: CompiledRoute, trace: TraceParent, sequence: int) -> str:
    """The span that an event's own is below: its sender's, or the letter's from which it is sent again. Empty where
    the trace begins.
    """
    if route.redrive is None or not trace.span_id:
        return trace.span_id
    return route.redrive.span(sequence) or trace.span_id


def letter_line(route: CompiledRoute, ids: MessageIds, delivery: Delivery, message_id: str) -> bytes:
    """The `traceparent` of a letter whose event came without one and began a trace: a redrive goes on with that.

    Empty for others: a letter has the headers its event came with.
    """
    if route.begins is None or any(name_of(line) == b"traceparent" for line in lines(delivery.header_block)):
        return b""
    before, after = trace_line(ids.begin(delivery.sequence, route.begins))
    return before + span_of_message(message_id).encode() + after


def trace_line(trace: TraceParent, name: bytes = b"traceparent") -> TraceLine:
    """What goes on: the trace and its flags, under a span id that is still to be put in."""
    return name + b": 00-" + trace.trace_id.encode() + b"-", b"-" + trace.flags.encode() + b"\r\n"


def passed_on(header_block: bytes) -> tuple[list[tuple[bytes, bytes]], TraceLine | None]:
    """The sender's headers that travel on, byte for byte, and its trace; control headers of server and gateway stay
    behind, and so do a trace that is not valid, and the state of none: what is downstream begins anew.
    """
    kept: list[tuple[bytes, bytes]] = []
    parents: list[bytes] = []
    states: list[bytes] = []
    for line in lines(header_block):
        name = name_of(line)
        if not name.startswith((b"nats-", b"gateway-", b"trace")):
            kept.append((name, line + b"\r\n"))
        elif name == b"traceparent":
            parents.append(line)
        elif name == b"tracestate":
            states.append(line)
        elif name.startswith(b"trace"):
            kept.append((name, line + b"\r\n"))
    if not parents:
        return kept, None
    trace = parse_lines(parents)
    if trace is None:
        return kept, None
    if states and state_passes(states):
        kept += [(b"tracestate", line + b"\r\n") for line in states]
    # In the case its sender wrote the name in: not every client finds it in another.
    return kept, trace_line(trace, parents[0].partition(b":")[0])


def told_trace(trace: TraceParent | None) -> dict[str, str]:
    """What a log line about one event says of its trace."""
    return {} if trace is None else {"trace_id": trace.trace_id}
