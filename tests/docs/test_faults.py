"""docs/faults.md and the tests name the same faults: each row is proved, and each proof has its row."""

from __future__ import annotations

import ast
import re
from collections import Counter
from functools import cache
from pathlib import Path

from gateway.observe.catalog import PROCESS_METRICS, ROUTE_METRICS

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "faults.md"

_ROW = re.compile(r'^\| <a id="([a-z0-9-]+)"></a>`([a-z0-9-]+)`', re.MULTILINE)
COLUMNS = 4
SEEN = 2
"""The column that says what is seen: log events, codes of /readyz, metrics with their labels."""
_WORD = re.compile(r"`([a-z0-9_.-]+)(?:\{[a-z]+=\"([a-z0-9_-]+)\"\})?`")


def rows() -> list[str]:
    """The ids of the faults on the page, in its order."""
    return [anchor for anchor, _ in _ROW.findall(PAGE.read_text())]


def marks() -> set[str]:
    """The ids in `@pytest.mark.fault("id", ...)` of all tests."""
    return {
        argument.value
        for folder in ("tests", "plugins")
        for path in sorted((ROOT / folder).rglob("test_*.py"))
        if "pytest.mark.fault" in path.read_text()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.fault"
        for argument in node.args
        if isinstance(argument, ast.Constant) and isinstance(argument.value, str)
    }


def cells() -> list[list[str]]:
    """The columns of each row."""
    lines = [line for line in PAGE.read_text().splitlines() if line.startswith("| <a")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


@cache
def sources() -> tuple[frozenset[str], frozenset[str]]:
    """Every text that stands alone in the gateway's sources; and the codes of remarks."""
    nodes = [node for path in (ROOT / "gateway").rglob("*.py") for node in ast.walk(ast.parse(path.read_text()))]
    texts = {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    calls = [node for node in nodes if isinstance(node, ast.Call) and ast.unparse(node.func) == "Remark"]
    return frozenset(texts), frozenset(ast.literal_eval(call.args[0]) for call in calls)


def seen(column: int = SEEN) -> list[tuple[str, str, str]]:
    """Fault, word and label value of each word in code type that the column has."""
    return [
        (name, word, label)
        for name, row in zip(rows(), cells(), strict=True)
        for word, label in _WORD.findall(row[column])
    ]


def test_every_fault_on_the_page_has_a_test() -> None:
    """A row without a test is a promise nobody keeps."""
    assert set(rows()) - marks() == set()


def test_every_fault_under_test_has_a_row() -> None:
    """An operator looks on the page, not into the tests."""
    assert marks() - set(rows()) == set()


def test_every_row_is_whole() -> None:
    """Four columns with words in each, an anchor that is its name, and no fault twice."""
    assert len(cells()) == len(rows())
    assert [anchor for anchor, name in _ROW.findall(PAGE.read_text()) if anchor != name] == []
    assert [name for name, count in Counter(rows()).items() if count > 1] == []
    assert [row[0] for row in cells() if len(row) != COLUMNS or not all(row)] == []


def test_every_log_event_that_can_be_seen_is_logged_somewhere() -> None:
    """A remark is logged under its code, with a dot for the first dash."""
    texts, remarks = sources()
    events = texts | {code.replace("-", ".", 1) for code in remarks}
    assert [(name, word) for name, word, _ in seen() if "." in word and word not in events] == []


def test_every_metric_that_can_be_seen_is_in_the_catalog() -> None:
    """By the name without its prefix."""
    metrics = {metric.name for metric in (*ROUTE_METRICS, *PROCESS_METRICS)}
    assert [(name, word) for name, word, _ in seen() if "_" in word and word not in metrics] == []


def test_every_code_that_can_be_seen_is_given_somewhere() -> None:
    """Codes of /readyz, and values of labels."""
    texts, _ = sources()
    codes = [(name, word) for name, word, _ in seen() if "." not in word and "_" not in word]
    codes += [(name, label) for name, _, label in seen() if label]
    assert codes
    assert [(name, code) for name, code in codes if code not in texts] == []
