"""The page about the config file names every problem code, `$`-name and reserved word, and its examples load."""

from __future__ import annotations

import ast
import inspect
import re
from itertools import pairwise
from pathlib import Path

import pytest

from gateway.config.loader import examine_text
from gateway.paths import ATTRIBUTE_NAMES
from gateway.problems import Code
from gateway.registry import RESERVED, load_plugins

TEXT = (Path(__file__).parents[2] / "docs" / "config.md").read_text(encoding="utf-8")


def meanings() -> dict[str, str]:
    """What the string under each code says."""
    [tree] = ast.parse(inspect.getsource(Code)).body
    assert isinstance(tree, ast.ClassDef)
    found = {}
    for statement, after in pairwise(tree.body):
        if isinstance(statement, ast.Assign) and isinstance(after, ast.Expr):
            found[ast.literal_eval(statement.value)] = ast.literal_eval(after.value)
    return found


@pytest.mark.parametrize("code", list(Code))
def test_every_problem_code_is_explained_in_its_own_words(code: Code) -> None:
    assert f"| `{code}` | {meanings()[code]} |" in TEXT


def test_every_name_with_a_dollar_is_there() -> None:
    for name in ATTRIBUTE_NAMES:
        assert f"`{name.replace('$subject.N', '$subject.2')}`" in TEXT


def test_every_reserved_word_is_there() -> None:
    assert all(f"`{word}`" in TEXT for word in RESERVED)


@pytest.mark.parametrize(
    "example", [text for text in re.findall(r"```yaml\n(.*?)```", TEXT, re.S) if "routes:\n" in text]
)
def test_the_examples_are_good_configs(example: str) -> None:
    assert examine_text(example, env={}, registry=load_plugins(entry_points=[])).problems == []
