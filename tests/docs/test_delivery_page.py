"""docs/delivery.md: what published events carry."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gateway.routing import outputs

PAGE = Path(__file__).parents[2] / "docs" / "delivery.md"
HEADERS = sorted(set(re.findall(r"\b(?:Nats|Gateway)-[A-Z][A-Za-z-]+[a-z]", Path(outputs.__file__).read_text())))


@pytest.mark.parametrize("header", HEADERS)
def test_a_header_that_published_events_carry_is_on_the_page(header: str) -> None:
    """Whoever reads the events of a target should know each of them."""
    assert f"`{header}`" in PAGE.read_text().partition("## Headers on published events")[2]


def test_the_headers_are_found() -> None:
    assert {"Nats-Expected-Stream", "Gateway-Hops"} <= set(HEADERS)
