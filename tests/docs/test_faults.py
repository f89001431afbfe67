"""docs/faults.md and the tests name the same faults: each row is proved, and each proof has its row."""

from __future__ import annotations

import ast
import re
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "faults.md"

_ROW = re.compile(r'^\| <a id="([a-z0-9-]+)"></a>`([a-z0-9-]+)`', re.MULTILINE)
COLUMNS = 4


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


def test_every_fault_on_the_page_has_a_test() -> None:
    """A row without a test is a promise nobody keeps."""
    assert set(rows()) - marks() == set()


def test_every_fault_under_test_has_a_row() -> None:
    """An operator looks on the page, not into the tests."""
    assert marks() - set(rows()) == set()


def test_every_row_is_whole() -> None:
    """Four columns with words in each, an anchor that is its name, and no fault twice."""
    lines = [line for line in PAGE.read_text().splitlines() if line.startswith("| <a")]
    assert len(lines) == len(rows())
    assert [anchor for anchor, name in _ROW.findall(PAGE.read_text()) if anchor != name] == []
    assert [name for name, count in Counter(rows()).items() if count > 1] == []
    cells = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    assert [row[0] for row in cells if len(row) != COLUMNS or not all(row)] == []
