"""A traceparent goes on as a child of itself, or not at all."""

from __future__ import annotations

import pytest

from gateway.trace import child_of, parse

TRACE = "0af7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"
OURS = "00f067aa0ba902b7"
VALID = f"00-{TRACE}-{SPAN}-01"


def test_a_child_has_the_same_trace_and_flags_under_our_span() -> None:
    assert child_of(VALID, OURS) == f"00-{TRACE}-{OURS}-01"
    assert parse(VALID) == (TRACE, SPAN, "01")


@pytest.mark.parametrize(("flags", "sampled"), [("00", False), ("01", True), ("02", False), ("ff", True)])
def test_the_sender_decides_whether_a_trace_is_sampled(flags: str, sampled: bool) -> None:
    """Bits we do not know pass on as they came."""
    sent = f"00-{TRACE}-{SPAN}-{flags}"
    parent = parse(sent)
    assert parent is not None
    assert parent.sampled is sampled
    assert child_of(sent, OURS) == f"00-{TRACE}-{OURS}-{flags}"


@pytest.mark.parametrize("parent", [f"01-{TRACE}-{SPAN}-01", f"cc-{TRACE}-{SPAN}-01-what-the-future-has"])
def test_a_later_version_is_continued_as_ours(parent: str) -> None:
    assert child_of(parent, OURS) == f"00-{TRACE}-{OURS}-01"


@pytest.mark.parametrize(
    "parent",
    [
        "",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01-more",
        f"cc-{TRACE}-{SPAN}-01more",
        f"00-{TRACE[:-1]}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-1",
        f"0-{TRACE}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}",
        f" {VALID}",
        f"{VALID}\n",
        f"00-{TRACE[:-1]}\u0660-{SPAN}-01",
    ],
)
def test_what_is_not_valid_has_no_child_and_no_trace(parent: str) -> None:
    assert child_of(parent, OURS) is None
    assert parse(parent) is None
