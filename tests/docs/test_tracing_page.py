"""docs/tracing.md: what it shows is what is so."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gateway import AuditRecord
from gateway.records import TargetRecord
from gateway.trace import span_of_message
from tests.plugins.test_one_trace import TREE

PAGE = (Path(__file__).parents[2] / "docs" / "tracing.md").read_text()


def block(language: str) -> str:
    """The one block of the page in this language."""
    (found,) = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    return str(found)


def test_the_span_of_a_message_is_what_the_page_computes() -> None:
    """Whoever has a message and no gateway can rely on it."""
    known: dict[str, object] = {}
    exec(block("python"), known)
    span = known["span_id"]
    assert callable(span)
    assert span("877a78dc5165ee443bcbade4c94cb748.7.0") == span_of_message("877a78dc5165ee443bcbade4c94cb748.7.0")


def test_the_tree_is_the_one_that_the_test_compares() -> None:
    shown = [re.sub(r"(?<=\S) {2,}.*", "", line) for line in block("text").splitlines()]
    assert shown == TREE.splitlines()


OF_THE_EVENT = ("trace_id", "span_id", "parent_span_id", "sampled", "correlation_id", "causation_id")
OF_A_COPY = ("span_id", "after", "seconds", "tries")


@pytest.mark.parametrize(
    ("kind", "field"),
    [*((AuditRecord, name) for name in OF_THE_EVENT), *((TargetRecord, name) for name in OF_A_COPY)],
)
def test_a_field_that_the_page_names_is_in_the_records(kind: type, field: str) -> None:
    assert field in kind.__struct_fields__  # type: ignore[attr-defined]
    assert f"`{field}`" in PAGE
