"""How a trace goes on through a route: on copies, letters and redrives."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from gateway import Event, Transform
from gateway.delivery import Delivery
from gateway.headers import Headers
from gateway.records import StoredMessage
from gateway.routing.letters import Fault, dead_letter
from gateway.routing.outputs import Copy
from gateway.routing.redrive import Redrive, letter_of
from gateway.routing.redrive import delivery_of as redelivered
from gateway.routing.route import CompiledRoute, MessageIds
from gateway.routing.traces import parent_of, trace_of
from gateway.trace import span_of_message
from tests.unit.routes import CREATED, copies_of, delivery_of, fields_of, route_of, transform

TRACE, SENDER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
VALID = f"traceparent: 00-{TRACE}-{SENDER}-01".encode()
STATE = b"tracestate: a=b"
BROKEN = [b"traceparent: nonsense", b"traceparent: \xff", b"traceparent", b"traceparent:" + b"0" * 55,
          VALID + b"\r\n" + VALID]  # fmt: skip
TWO = "[{subject: a}, {subject: b, codec: msgpack}]"
EVERY = 1 << 64


def sent(*lines: bytes, data: bytes = b"{}") -> Delivery:
    """A message with these header lines."""
    return delivery_of(data, b"NATS/1.0\r\n" + b"".join(line + b"\r\n" for line in lines) + b"\r\n" if lines else b"")


def trace_lines(copy: Copy) -> list[bytes]:
    """What a copy says of its trace."""
    return [line for line in copy.header_block.split(b"\r\n") if line.lower().startswith(b"trace")]


def parent(copy: Copy) -> str:
    """The `traceparent` of a copy."""
    [found] = [value for name, value in fields_of(copy.header_block) if name.lower() == b"traceparent"]
    return found.decode()


def beginning(route: CompiledRoute, bound: int = EVERY) -> CompiledRoute:
    """The route as it is with an audit that makes spans."""
    return msgspec.structs.replace(route, begins=bound)


def replaced_headers(event: Event) -> Event:
    return event.replace(headers={**event.headers, "X-New": "1"})


@pytest.mark.parametrize("answer", [lambda event: event, replaced_headers, lambda event: [event, event.set("a", 1)]])
def test_every_copy_names_a_span_of_its_own_after_a_redelivery_the_same(answer: Callable[[Event], Any]) -> None:
    """What consumes a copy hangs below its publishing; whoever has the copy can tell the span from its message id."""
    route = route_of(transform(answer), targets=TWO)
    made = copies_of(route, sent(VALID))
    assert [parent(copy) for copy in made] == [f"00-{TRACE}-{span_of_message(copy.message_id)}-01" for copy in made]
    assert len({parent(copy) for copy in made}) == len(made) >= 2
    assert [parent(copy) for copy in copies_of(route, sent(VALID))] == [parent(copy) for copy in made]


def test_the_name_of_the_header_stays_as_its_sender_wrote_it() -> None:
    """Not every client finds a header by another case of its name."""
    [copy] = copies_of(route_of(), sent(b"TraceParent:" + VALID.partition(b":")[2] + b" ", STATE))
    [state, child] = trace_lines(copy)
    assert (child[:12], state) == (b"TraceParent:", STATE)


def test_all_of_a_state_passes_on_in_its_order_and_baggage_and_what_is_like_it_untouched() -> None:
    lines = [
        b"tracestate: a=b",
        b"baggage: k=v;p, k2=v2",
        b"TraceState:c=" + b"d" * 250,
        b"tracestate: e=" + b"f" * 250,
    ]
    others = [b"traceparents: x", b"trace: y", b"tracestate-x: z"]
    [copy] = copies_of(route_of(), sent(*lines, VALID, *others))
    assert trace_lines(copy)[:-1] == [*others, lines[0], lines[2], lines[3]]
    assert lines[1] in copy.header_block.split(b"\r\n")
    [changed] = copies_of(route_of(transform(replaced_headers)), sent(*lines, VALID))
    state = Headers.parse(changed.header_block)["tracestate"]
    assert state == f"a=b,c={'d' * 250},e={'f' * 250}", "a transform sees one header and passes all of it on"


@pytest.mark.parametrize(
    "state", [b"tracestate: nonsense", b"tracestate: " + b",".join(b"k%d=v" % n for n in range(33))]
)
def test_a_state_that_is_not_legal_ends_here_and_the_trace_goes_on(state: bytes) -> None:
    [copy] = copies_of(route_of(), sent(VALID, STATE, state))
    [line] = trace_lines(copy)
    assert TRACE.encode() in line


@pytest.mark.parametrize("lines", [*([broken] for broken in BROKEN), []])
def test_without_a_valid_parent_neither_it_nor_the_state_goes_on(lines: list[bytes]) -> None:
    """Whoever is downstream begins a trace of its own, as it does for an event that never had one."""
    for route in (route_of(), route_of(transform(replaced_headers))):
        [copy] = copies_of(route, sent(*lines, STATE, b"X: 1"))
        assert trace_lines(copy) == []
        assert b"\r\nX: 1\r\n" in copy.header_block


@pytest.mark.parametrize("lines", [*([broken, STATE] for broken in BROKEN), [STATE], []])
@pytest.mark.parametrize("steps", [[], [transform(replaced_headers)]], ids=["as it came", "headers replaced"])
def test_where_spans_are_made_an_event_without_a_valid_parent_begins_a_trace(
    lines: list[bytes], steps: list[type[Transform]]
) -> None:
    """The same one on all its copies, in its record and after a redelivery."""
    route = beginning(route_of(*steps, targets=TWO))
    first, second = copies_of(route, sent(*lines))
    begun = trace_of(route, MessageIds(route, CREATED), sent(*lines))
    assert begun is not None
    assert (begun.span_id, begun.flags) == ("", "03")
    assert begun.trace_id != TRACE
    for copy in (first, second):
        assert trace_lines(copy) == [f"traceparent: {parent(copy)}".encode()]
        assert parent(copy) == f"00-{begun.trace_id}-{span_of_message(copy.message_id)}-03"
    assert copies_of(route, sent(*lines))[0].header_block == first.header_block


def test_a_trace_that_begins_unsampled_says_so() -> None:
    """Services downstream decide as their parent did, so that a trace is recorded as a whole or not at all."""
    [copy] = copies_of(beginning(route_of(), 0), sent())
    assert parent(copy).endswith("-02")


def test_a_trace_that_came_goes_on_where_spans_are_made() -> None:
    [copy] = copies_of(beginning(route_of(), 0), sent(VALID, STATE))
    assert parent(copy) == f"00-{TRACE}-{span_of_message(copy.message_id)}-01"
    assert STATE in trace_lines(copy)


def test_a_trace_that_a_transform_or_a_target_takes_away_stays_away() -> None:
    taken = transform(lambda event: event.replace(headers={"X": "1"}))
    assert trace_lines(copies_of(beginning(route_of(taken)), sent(VALID))[0]) == []
    assert len(trace_lines(copies_of(beginning(route_of(taken)), sent())[0])) == 1, "it could not know of this one"
    rule = "[{subject: a, headers: {Traceparent: null}}, {subject: b, headers: {traceparent: own}}]"
    first, second = copies_of(beginning(route_of(targets=rule)), sent(VALID))
    assert (trace_lines(first), trace_lines(second)) == ([], [b"traceparent: own"])


# ---------------------------------------------------------------- letters and redrives


FAULT = Fault(step="publish", code="too-large", message="too big")


def letter(route: CompiledRoute, delivery: Delivery) -> Copy:
    """The letter of an event."""
    return dead_letter(route, MessageIds(route, CREATED), delivery, FAULT, 1, 1.0, 1 << 20)


def redriving(route: CompiledRoute, made: Copy, sequence: int = 17) -> tuple[CompiledRoute, Delivery]:
    """The route at work on that letter, and the event as it comes out of it."""
    read = letter_of(StoredMessage("DLQ", sequence, made.subject, made.data, made.header_block))
    assert read is not None
    redrive = Redrive("DLQ", CREATED)
    redrive.letters[7] = read
    return msgspec.structs.replace(route, redrive=redrive), redelivered(read)


@pytest.mark.parametrize("lines", [[VALID, STATE], [BROKEN[0]], [BROKEN[4], STATE]])
def test_a_letter_has_the_trace_as_it_came(lines: list[bytes]) -> None:
    """Also one that is not valid: a letter is the evidence."""
    for route in (route_of(), beginning(route_of())):
        assert b"\r\n".join(trace_lines(letter(route, sent(*lines)))) == b"\r\n".join(lines)


def test_a_letter_of_an_event_that_began_a_trace_has_that() -> None:
    route = beginning(route_of())
    made = letter(route, sent(b"X: 1"))
    begun = trace_of(route, MessageIds(route, CREATED), sent(b"X: 1"))
    assert begun is not None
    assert parent(made) == f"00-{begun.trace_id}-{span_of_message(made.message_id)}-03"
    assert trace_lines(letter(route_of(), sent(b"X: 1"))) == []


@pytest.mark.parametrize("lines", [[VALID], [], [b"X: 1"]])
def test_a_redrive_goes_on_below_the_letter_in_the_trace_of_the_first_way(lines: list[bytes]) -> None:
    route = beginning(route_of())
    first = trace_of(route, MessageIds(route, CREATED), sent(*lines))
    made = letter(route, sent(*lines))
    again, event = redriving(route, made)
    trace = trace_of(again, again.ids(CREATED), event)
    assert first is not None
    assert trace is not None
    assert trace.trace_id == first.trace_id
    assert parent_of(again, trace, 7) == span_of_message(made.message_id)
    assert again.ids(CREATED).span(7) != route.ids(CREATED).span(7)
    [copy] = copies_of(again, event)
    assert re.fullmatch(f"00-{first.trace_id}-{span_of_message(copy.message_id)}-0[13]", parent(copy))


def test_a_redrive_of_a_broken_trace_begins_another_one() -> None:
    """Its letter does not name the one that began, so it is in none of the first way's spans."""
    route = beginning(route_of())
    again, event = redriving(route, letter(route, sent(BROKEN[0])))
    first, second = (trace_of(one, one.ids(CREATED), event) for one in (route, again))
    assert first is not None
    assert second is not None
    assert first.trace_id != second.trace_id
    assert parent_of(again, second, 7) == ""
    next_letter, _ = redriving(route, letter(route, sent(BROKEN[0])), 18)
    assert trace_of(next_letter, next_letter.ids(CREATED), event) != second
