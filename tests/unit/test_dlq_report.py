"""The words in which a redrive says what became of letters."""

from __future__ import annotations

import pytest

from gateway.cli.dlq_report import TextReporter
from gateway.dlq.engine import Redriven
from gateway.dlq.tally import Tally


@pytest.mark.parametrize(
    ("failed", "words"), [(1, "1 dead letter again"), (2000, "2,000 dead letters again")], ids=["one", "many"]
)
def test_events_that_fail_again_are_counted_in_good_words(
    capsys: pytest.CaptureFixture[str], failed: int, words: str
) -> None:
    tally = Tally(failed)
    tally.dead_lettered = failed
    TextReporter(terminal=False).ended(Redriven([], tally), dry_run=False)
    assert f"done: 0 published, {words}\n" in capsys.readouterr().out
