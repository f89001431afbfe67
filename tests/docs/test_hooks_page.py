"""A hook exists only with documentation, a test, and somebody of ours who uses it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import gateway

from .hooks_page import HOOKS, PAGE, ROOT, page, users_of

TEXT = PAGE.read_text(encoding="utf-8")


def test_the_page_is_what_the_contract_says_of_itself() -> None:
    """When this fails: python -m tests.docs.hooks_page"""
    assert page() == TEXT


@pytest.mark.parametrize("hook", HOOKS)
def test_a_hook_says_when_it_is_called_what_it_returns_and_shows_an_example(hook: str) -> None:
    section = TEXT.partition(f"### `{hook}(")[2].partition("\n### ")[0].partition("\n## ")[0]
    assert "Called " in section
    assert "raises" in section or "as for `gateway_codecs`" in section or "is as in" in section
    assert f"def {hook}(" in section.partition("```python")[2]


@pytest.mark.parametrize("hook", HOOKS)
def test_a_hook_has_a_user_of_ours(hook: str) -> None:
    assert users_of(hook), f"nobody of ours needs {hook}: take it away, or use it in a plugin"


@pytest.mark.parametrize("hook", HOOKS)
def test_a_hook_has_a_test(hook: str) -> None:
    tests = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests" / "jetstream").glob("*.py"))
    assert re.search(rf"def test_\w*{hook}(?![a-z])", tests), f"no test is named after {hook}"


def test_every_exported_name_is_on_the_page_of_plugins_or_of_hooks() -> None:
    words = TEXT + Path(PAGE.with_name("plugins.md")).read_text(encoding="utf-8")
    assert [name for name in gateway.__all__ if f"`{name}" not in words] == []
