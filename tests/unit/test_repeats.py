"""Lines that would come for every event come once, then as a count."""

from __future__ import annotations

import logging

import pytest

from gateway.runtime.repeats import QUIET, Repeats


def test_the_first_line_comes_at_once_and_the_next_one_counts_what_was_kept_back(
    caplog: pytest.LogCaptureFixture,
) -> None:
    now = 1000.0
    repeats = Repeats(logging.getLogger("gateway.route"), lambda: now)
    for _ in range(1204):
        repeats.warn("decode-error", "a dead letter", {"event": "e"})
    repeats.warn("loop", "another one", {"event": "e"})
    now += QUIET
    repeats.warn("decode-error", "a dead letter", {"event": "e"})
    repeats.warn("loop", "another one", {"event": "e"})
    assert [record.getMessage() for record in caplog.records] == [
        "a dead letter",
        "another one",
        "a dead letter (1,203 more since the last such line)",
        "another one",
    ]
    assert [record.__dict__["repeated"] for record in caplog.records] == [0, 0, 1203, 0]
