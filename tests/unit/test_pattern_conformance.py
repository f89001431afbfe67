"""The content filter beside AWS's event-ruler, case by case."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

from gateway.components.filters.pattern import compile_pattern, explain, pattern_keys
from gateway.errors import PatternError

CASES: list[dict[str, Any]] = [
    json.loads(line)
    for line in (Path(__file__).parent / "eventbridge-pattern-cases.jsonl").read_text("utf-8").splitlines()
]


def verdict(pattern: dict[str, Any], event: Any) -> str:
    """In the words of the file: match, no, invalid."""
    try:
        return "match" if compile_pattern(pattern)(event) else "no"
    except PatternError:
        return "invalid"


def test_every_verdict_is_event_rulers() -> None:
    """645 cases with the verdicts of event-ruler, AWS's accidents taken out."""
    wrong = [case for case in CASES if verdict(case["pattern"], case["event"]) != case["verdict"]]
    assert not wrong, "\n".join(map(json.dumps, wrong))
    assert Counter(case["verdict"] for case in CASES) == {"match": 142, "no": 477, "invalid": 26}


def test_the_declared_keys_decide_every_case() -> None:
    """An event reduced to what `pattern_keys` names gets the same verdict."""
    for case in CASES:
        if case["verdict"] != "invalid":
            keys = pattern_keys(case["pattern"])
            reduced = {key: value for key, value in case["event"].items() if key in keys}
            assert verdict(case["pattern"], reduced) == case["verdict"], case


def test_every_case_has_an_explanation_that_agrees() -> None:
    """`explain` says "matches" exactly when the event does."""
    for case in CASES:
        if case["verdict"] != "invalid":
            text = explain(case["pattern"], case["event"])
            assert (text == "the pattern matches") == (case["verdict"] == "match"), (text, case)
