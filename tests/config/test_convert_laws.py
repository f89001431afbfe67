"""Whatever is wrong with a structure, each fault is told at its own token."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway import Duration, Settings
from gateway.config.leaves import INVALID

from .test_convert import converted

_GOOD = {"a": "1", "b": "x", "c": "[1]", "d": "{k: 1}", "e": "5s"}
_BAD = {"a": "[]", "b": "1", "c": "x", "d": "{k: x}", "e": "soon"}


class Five(Settings):
    a: int
    b: str
    c: list[int]
    d: dict[str, int]
    e: Duration


@given(bad=st.sets(st.sampled_from("abcde")), order=st.permutations("abcde"), indent=st.integers(0, 3))
def test_every_faulty_field_is_reported_at_its_own_line(bad: set[str], order: list[str], indent: int) -> None:
    """Whatever else is wrong, and in whatever order."""
    pad = " " * indent
    lines = [f"{pad}{name}: {(_BAD if name in bad else _GOOD)[name]}" for name in order]
    value, problems = converted("\n".join(lines), Five)
    assert (value is INVALID) == bool(bad)
    assert {problem.line for problem in problems} == {order.index(name) + 1 for name in bad}
    for problem in problems:
        name = order[problem.line - 1]
        assert problem.path.startswith(name)
        row = lines[problem.line - 1]
        assert row[problem.column - 1 :].startswith("x" if name == "d" else _BAD[name])
