"""The words in which a redrive says what became of letters."""

from __future__ import annotations

import json

import pytest

from gateway.cli.dlq_report import JsonReporter, TextReporter
from gateway.dlq.engine import Redriven
from gateway.dlq.tally import Tally
from gateway.errors import Retry


@pytest.mark.parametrize(
    ("failed", "words"), [(1, "1 dead letter again"), (2000, "2,000 dead letters again")], ids=["one", "many"]
)
def test_events_that_fail_again_are_counted_in_good_words(
    capsys: pytest.CaptureFixture[str], failed: int, words: str
) -> None:
    tally = Tally(failed)
    tally.dead_lettered = failed
    TextReporter(terminal=False).ended(Redriven([], tally))
    assert f"done: 0 published, {words}\n" in capsys.readouterr().out


def test_a_dry_run_is_ok_where_nothing_would_stay(capsys: pytest.CaptureFixture[str]) -> None:
    """As its exit code has it: there is nothing more that it could have done."""
    redriven = Redriven([], Tally(3), dry_run=True)
    JsonReporter().ended(redriven)
    ended = json.loads(capsys.readouterr().out)
    assert (ended["ok"], ended["dry_run"], ended["done"]) == (True, True, 0)


def test_letters_that_could_not_be_removed_are_not_ok(capsys: pytest.CaptureFixture[str]) -> None:
    """Every event may be where it belongs: its letter is there, too, and the exit code says so."""
    tally = Tally(1)
    tally.published = 1
    redriven = Redriven([], tally)
    redriven.fault = Retry("not allowed", code="no-permission")
    JsonReporter().ended(redriven)
    assert json.loads(capsys.readouterr().out)["ok"] is False
