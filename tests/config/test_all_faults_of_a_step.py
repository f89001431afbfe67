"""One fault in a step's settings hides no other, although a component raises the first it meets."""

from __future__ import annotations

import pytest

from gateway import ConfigProblem, Event, Filter, hookimpl
from gateway.config.loader import examine_text
from gateway.registry import load_plugins
from gateway.routing.compile import compile_config

from .samples import ROUTE, Point, acme

STEPS = [
    ("transforms", "set: {$id: 1, a: '{', b: 2, $x: 3}", ["$id", "a", "$x"]),
    ("transforms", "set: {a: {b: '{', c: '{', d: 1}}", ["a.b", "a.c"]),
    ("transforms", "set: {a: ['{', x, '{'], b: '{'}", ["a[0]", "b"]),
    ("transforms", "set: {'a[0]': x, a.*: x, b: '{c[0]}'}", ['"a[0]"', '"a.*"', "b"]),
    ("transforms", "rename: {$id: a, b: $type, c: d}", ["$id", "b"]),
    ("transforms", "remove: [$id, a, $type]", ["[0]", "[2]"]),
    ("transforms", "pick: [$id, $type]", ["[0]", "[1]"]),
    ("filters", "meta: {a: [1], $attempt: [1], $subject: [], $type: [x]}", ["a", "$attempt", "$subject"]),
    ("filters", "pattern: {a: [], b: [1], c: {d: x, e: [{numerik: 1}], f: [1]}}", ["a", "c.d", "c.e[0].numerik"]),
    ("filters", "pattern: {a: []}", ["a"]),
    ("filters", "pattern: {a: [{prefix: 1}, {suffix: 1}]}", ["a[0].prefix"]),
]


@pytest.mark.parametrize(("field", "step", "paths"), STEPS)
def test_every_field_at_fault_is_reported_once(field: str, step: str, paths: list[str]) -> None:
    """Field by field; within one field's list the first fault is enough."""
    loaded = examine_text(ROUTE + f"    {field}:\n      - {step}\n", registry=acme())
    _, found = compile_config(loaded.draft, loaded.registry)
    name = step.partition(":")[0]
    inner = [problem.path.removeprefix(f"routes[0].{field}[0].{name}").removeprefix(".") for problem in found]

    assert sorted(inner) == sorted(paths)
    assert len({(problem.line, problem.column) for problem in found}) == len(found)


def test_what_was_taken_out_is_not_reported_as_missing() -> None:
    """The rest is tried without it only to find more."""

    class Both(Filter, name="both"):
        Config = dict[str, int]
        config: dict[str, int]

        def prepare(self) -> None:
            for name in ("low", "high"):
                if name not in self.config:
                    raise ConfigProblem((), f"{name} is missing")
                if self.config[name] < 0:
                    raise ConfigProblem((name,), "negative")

        def accepts(self, event: Event) -> bool:
            return True

    class Plugin:
        @hookimpl
        def gateway_filters(self) -> list[type[Filter]]:
            return [Both]

    registry = load_plugins(entry_points=[Point("p", Plugin)])
    loaded = examine_text(ROUTE + "    filters:\n      - both: {low: -1, high: -1}\n", registry=registry)
    _, found = compile_config(loaded.draft, loaded.registry)
    assert [(problem.path, problem.text) for problem in found] == [("routes[0].filters[0].both.low", "negative")]
