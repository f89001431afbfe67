"""The page of built-ins is what the components say of themselves."""

from __future__ import annotations

from .components_page import PAGE, page


def test_the_page_of_components_is_up_to_date() -> None:
    """When this fails: python -m tests.docs.components_page"""
    assert PAGE.read_text(encoding="utf-8") == page()
