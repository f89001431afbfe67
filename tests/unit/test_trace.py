"""A traceparent goes on as a child of itself, or not at all."""

from __future__ import annotations

import re

import pytest

from gateway.trace import child_of, trace_id_of

TRACE = "0af7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"
VALID = f"00-{TRACE}-{SPAN}-01"


def test_a_child_has_the_same_trace_and_flags_under_a_new_span() -> None:
    first, second = child_of(VALID), child_of(VALID)
    assert first is not None
    assert re.fullmatch(rf"00-{TRACE}-[0-9a-f]{{16}}-01", first)
    assert SPAN not in first
    assert first != second
    assert trace_id_of(VALID) == TRACE


def test_an_unsampled_trace_stays_unsampled() -> None:
    child = child_of(f"00-{TRACE}-{SPAN}-00")
    assert child is not None
    assert child.endswith("-00")


@pytest.mark.parametrize("parent", [f"01-{TRACE}-{SPAN}-01", f"cc-{TRACE}-{SPAN}-01-what-the-future-has"])
def test_a_later_version_is_continued_as_ours(parent: str) -> None:
    child = child_of(parent)
    assert child is not None
    assert child.startswith(f"00-{TRACE}-")
    assert len(child) == 55


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
    assert child_of(parent) is None
    assert trace_id_of(parent) == ""
