"""docs/metrics.md lists the metrics there are."""

from __future__ import annotations

from pathlib import Path

from gateway.observe.catalog import markdown_table

PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"


def test_the_table_of_metrics_is_the_catalog() -> None:
    """Paste the right side of the difference between the two marks of the page."""
    start, _, rest = PAGE.read_text().partition("<!-- metrics: made from gateway/observe/catalog.py -->\n\n")
    table, end, _ = rest.partition("\n<!-- end of metrics -->")
    assert start
    assert end
    assert table == markdown_table()
