"""A trace is read as W3C Trace Context says, levels 1 and 2, or it is none; its state is legal, or it is none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.trace import begin, parse, received, span_of_message, state_passes

TRACE = "0af7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"
VALID = f"00-{TRACE}-{SPAN}-01"


def test_a_traceparent_is_read_in_its_parts() -> None:
    assert parse(VALID) == (TRACE, SPAN, "01")


@pytest.mark.parametrize(
    ("flags", "sampled", "kept"),
    [
        ("00", False, "00"),
        ("01", True, "01"),
        ("02", False, "02"),
        ("03", True, "03"),
        ("ff", True, "03"),
        ("fc", False, "00"),
    ],
)
def test_sampled_and_random_are_kept_and_unknown_flags_are_zero(flags: str, sampled: bool, kept: str) -> None:
    """Whoever begins a trace decides whether it is recorded, and knows whether its id is random."""
    parent = parse(f"00-{TRACE}-{SPAN}-{flags}")
    assert parent is not None
    assert (parent.sampled, parent.flags) == (sampled, kept)


@pytest.mark.parametrize("parent", [f"01-{TRACE}-{SPAN}-01", f"cc-{TRACE}-{SPAN}-01-what-the-future-has"])
def test_a_later_version_is_read_as_ours(parent: str) -> None:
    assert parse(parent) == (TRACE, SPAN, "01")


@pytest.mark.parametrize(
    "parent",
    [
        "",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE}-{SPAN.upper()}-01",
        f"00-{TRACE}-{SPAN}-0A",
        f"00-{TRACE}-{SPAN}-01-",
        f"00-{TRACE}-{SPAN}-01-more",
        f"cc-{TRACE}-{SPAN}-01more",
        f"00-{TRACE[:-1]}-{SPAN}-01",
        f"00-{TRACE}0-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-1",
        f"0-{TRACE}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}",
        f" {VALID}",
        f"{VALID}\n",
        f"00-{TRACE[:-1]}\u0660-{SPAN}-01",
    ],
)
def test_what_is_not_valid_is_no_trace(parent: str) -> None:
    assert parse(parent) is None


def test_a_message_has_one_traceparent_or_none() -> None:
    """In any case, with spaces around it; of two, nobody knows which one is right."""
    line = b"TraceParent: \t" + VALID.encode() + b" \r\n"
    assert received(b"NATS/1.0\r\nX: 1\r\n" + line + b"\r\n") == (TRACE, SPAN, "01")
    assert received(b"NATS/1.0\r\n" + line + b"traceparent: x\r\n\r\n") is None
    assert received(b"NATS/1.0\r\n" + line + line + b"\r\n") is None
    assert received(b"NATS/1.0\r\ntraceparent: \xff\r\n\r\n") is None
    assert received(b"") is None


def members(number: int) -> bytes:
    """So many of them."""
    return b",".join(b"k%d=v" % index for index in range(number))


@pytest.mark.parametrize(
    "state",
    [
        b"",
        b" , ,",
        b"a=b",
        b"a=b , c=d\t,e=f",
        b"0tenant@vendor=opaque/1 2;3",
        b"a=" + b"v" * 256,
        b"k" * 256 + b"=v",
        b",".join(b"%c=" % letter + b"v" * 250 for letter in b"abcde"),
        members(32),
        members(32) + b",,",
    ],
)
def test_a_legal_state_passes(state: bytes) -> None:
    """All of it, which is more than the 512 characters that everybody has to pass on."""
    assert state_passes([b"tracestate: " + state])


@pytest.mark.parametrize(
    "state",
    [b"a", b"a=", b"=b", b"A=b", b"a =b", b"a=b=c", b"a=\xff", b"a=b;\x7f", b"@a=b", b"a=" + b"v" * 257,
     b"k" * 257 + b"=v", members(33)],
)  # fmt: skip
def test_a_state_that_is_not_legal_is_none(state: bytes) -> None:
    assert not state_passes([b"tracestate: " + state])


def test_the_lines_of_a_state_are_one_list() -> None:
    assert state_passes([b"tracestate:" + members(16)] * 2)
    assert not state_passes([b"tracestate:" + members(17)] * 2)


@given(st.binary(max_size=64))
def test_nothing_that_anybody_sends_raises(data: bytes) -> None:
    state_passes([data, b"tracestate:" + data])
    received(b"NATS/1.0\r\ntraceparent:" + data + b"\r\n\r\n")


def test_a_trace_that_begins_is_the_same_again_and_sampled_by_its_id() -> None:
    """So that a redelivery goes on with it, and whoever samples by the same ratio chooses the same traces."""
    begun = [begin(b"key", sequence, 1 << 63) for sequence in range(400)]
    assert begun == [begin(b"key", sequence, 1 << 63) for sequence in range(400)]
    assert len({trace.trace_id for trace in begun} | {begin(b"other", 0, 0).trace_id}) == 401
    for trace in begun:
        assert parse(f"00-{trace.trace_id}-{SPAN}-{trace.flags}") == (trace.trace_id, SPAN, trace.flags)
        assert trace.sampled is (int(trace.trace_id[16:], 16) < 1 << 63)
        assert int(trace.flags, 16) & 2, "a digest is as good as random"
    assert 130 <= sum(trace.sampled for trace in begun) <= 270
    assert begin(b"key", 1, 1 << 64).sampled
    assert not begin(b"key", 1, 0).sampled


def test_the_span_of_a_message_follows_from_its_id() -> None:
    """For ever: a redrive finds the span in which an older gateway published the letter."""
    assert span_of_message("877a78dc5165ee443bcbade4c94cb748.7.0") == "3f30d6587057bb5f"
