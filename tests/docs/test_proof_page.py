"""docs/proof.md: every fault and every word of the ledger, and commands that are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.chaos.ledger import Ledger
from tests.chaos.schedule import Kind
from tests.chaos.soak import TOLERANCE

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "proof.md").read_text(encoding="utf-8")
WORDS = [name for name, value in vars(Ledger()).items() if isinstance(value, list)]


@pytest.mark.parametrize("kind", Kind)
def test_a_fault_is_on_the_page(kind: Kind) -> None:
    """With what it is, and in the table of a real run."""
    _, _, after = PAGE.partition("## What happens to it")
    told, _, run = after.partition("## A run")
    assert f"`{kind}`" in told
    assert f"| {kind} |" in run


@pytest.mark.parametrize("word", WORDS)
def test_a_word_of_the_ledger_is_on_the_page(word: str) -> None:
    """And its number in the table of a real run, which is zero."""
    name = word.replace("_", " ")
    assert re.search(rf"^\| ([a-z ]+, )?{name}(, [a-z ]+)? \|", PAGE, re.MULTILINE)
    assert f"| {name} | 0 |" in PAGE


def test_commands_are_those_of_the_makefile() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in set(re.findall(r"make (chaos|soak)", PAGE)):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE)
    for variable in set(re.findall(r"\b([A-Z]+)=", PAGE)):
        assert f"$({variable})" in makefile
    assert {"chaos", "soak"} == set(re.findall(r"make (chaos|soak)", PAGE))


def test_the_soak_tells_what_may_grow() -> None:
    text = "be 8 MiB, 4 descriptors, 2 threads and 6 tasks"
    assert text in PAGE
    assert [int(number) for number in re.findall(r"\d+", text)] == list(TOLERANCE.values())
