"""docs/architecture.md names the modules there are, on the floors they are on."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

import pytest

from tests.architecture.floors import FLOORS

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
ALONE = frozenset({"gateway", "gateway.__main__"})
"""Re-exports, and the way in: no floor's duty."""


def test_the_table_of_floors_is_that_of_the_tests() -> None:
    """Every module, or package, on its floor."""
    wanted: dict[int, set[str]] = defaultdict(set)
    for unit, floor in FLOORS.items():
        if unit not in ALONE:
            wanted[floor].add(unit.removeprefix("gateway."))
    rows = re.findall(r"^\| (\d) \| (.*?) \|", TEXT, re.MULTILINE)
    found = {
        int(floor): {re.sub(r"^gateway/|/$|\.py$", "", name) for name in re.findall(r"`([^`]+)`", names)}
        for floor, names in rows
    }
    for names in found.values():
        names.discard("gateway")
    assert {floor: sorted(names) for floor, names in found.items()} == {
        floor: sorted(names) for floor, names in sorted(wanted.items())
    }


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`((?:[a-z]+/)*[a-z_]+\.py)(?::[\w.]+)?`", TEXT))))
def test_every_file_it_names_is_there(name: str) -> None:
    """Files are named without the package's own folder."""
    assert (ROOT / "gateway" / name.removeprefix("gateway/")).is_file() or list((ROOT / "gateway").rglob(name))
