"""What makes a reload replace a route: any change in its config, secrets included, and nothing else."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from gateway import Path, Secret, Settings, Template
from gateway.routing.route import fingerprint_of


@dataclasses.dataclass(frozen=True)
class Plain:
    """A config that is a dataclass."""

    key: Secret


class Struct(Settings, frozen=True):
    """A config that is a Struct."""

    key: Secret


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Secret("a"), Secret("b")),
        (Plain(Secret("a")), Plain(Secret("b"))),
        (Struct(key=Secret("a")), Struct(key=Secret("b"))),
        ([Secret("a")], [Secret("b")]),
        ({"x": Secret("a")}, {"x": Secret("b")}),
        (frozenset([Secret("a")]), frozenset([Secret("b")])),
        (Template("x {a}"), Template("y {a}")),
        (Path("a"), Path("b")),
        (1, "1"),
    ],
)
def test_every_difference_counts(one: Any, other: Any) -> None:
    """Also where a repr hides it."""
    assert fingerprint_of(one) != fingerprint_of(other)


def test_the_order_of_a_set_does_not() -> None:
    """Equal sets may be listed in different orders."""
    assert fingerprint_of(set("abcdefgh")) == fingerprint_of(set("hgfedcba"))
