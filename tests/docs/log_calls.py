"""Finds, in the sources, every call that logs a warning or worse, and the names of the event it may log.

What cannot be read from the source is an offence of its own: an event that nobody finds is one nobody can look up.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
LOUD = frozenset({"warning", "warn", "error", "critical", "fatal", "exception"})
QUIET = frozenset({"DEBUG", "INFO"})
_FOUND_BY_CODE = "remark.code.replace('-', '.', 1)"
"""How the events of remarks are made; the codes of remarks are in the sources."""


@dataclass(frozen=True)
class Call:
    """One call that may log a warning."""

    place: str
    events: frozenset[str]
    """Empty: it cannot be read from the source, or there is none."""


class Module:
    """One source file."""

    def __init__(self, path: Path) -> None:
        self.name = str(path.relative_to(ROOT))
        self.tree = ast.parse(path.read_text())
        self._functions: dict[ast.AST, list[ast.AST]] = {}
        self._note(self.tree, [])

    def _note(self, node: ast.AST, around: list[ast.AST]) -> None:
        self._functions[node] = around
        inner = [*around, node] if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) else around
        for child in ast.iter_child_nodes(node):
            self._note(child, inner)

    def calls(self) -> Iterator[Call]:
        """Those that log, or may."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and _is_loud(node, node.func):
                extra = next((word.value for word in node.keywords if word.arg == "extra"), None)
                events = frozenset() if extra is None else frozenset(self._events(extra, node))
                yield Call(f"{self.name}:{node.lineno}", events)

    def _events(self, fields: ast.expr, at: ast.AST) -> set[str]:
        """The values of `event` in what is given as `extra`."""
        if isinstance(fields, ast.Dict):
            found: set[str] = set()
            for key, value in zip(fields.keys, fields.values, strict=True):
                if key is None:
                    found |= self._events(value, at)
                elif isinstance(key, ast.Constant) and key.value == "event":
                    found |= self._names(value, at)
            return found
        if isinstance(fields, ast.IfExp):
            return self._events(fields.body, at) | self._events(fields.orelse, at)
        if isinstance(fields, ast.Call) and ast.unparse(fields.func) == "log_fields":
            return self._names(fields.args[1], at)
        if isinstance(fields, ast.Name):
            return {event for value, place in self._values(fields.id, at) for event in self._events(value, place)}
        return set()

    def _names(self, value: ast.expr, at: ast.AST) -> set[str]:
        if isinstance(value, ast.Constant) and isinstance(value.value, str):
            return {value.value}
        if isinstance(value, ast.IfExp):
            return self._names(value.body, at) | self._names(value.orelse, at)
        if isinstance(value, ast.Name):
            return {name for found, place in self._values(value.id, at) for name in self._names(found, place)}
        if ast.unparse(value) == _FOUND_BY_CODE:
            return {code.replace("-", ".", 1) for code in first_arguments("Remark")}
        return set()

    def _values(self, name: str, at: ast.AST) -> Iterator[tuple[ast.expr, ast.AST]]:
        """What a name may stand for: what is assigned to it in the function around, or what callers give for it."""
        for function in reversed(self._functions[at]):
            if isinstance(function, ast.Lambda):
                continue
            assigned = [
                node
                for node in ast.walk(function)
                if isinstance(node, ast.Assign) and any(ast.unparse(target) == name for target in node.targets)
            ]
            if assigned:
                yield from ((node.value, node) for node in assigned)
                return
            assert isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
            names = [argument.arg for argument in function.args.args if argument.arg != "self"]
            if name in names:
                yield from self._given(function.name, names.index(name))
                return

    def _given(self, function: str, position: int) -> Iterator[tuple[ast.expr, ast.AST]]:
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in (function, f"self.{function}"):
                yield node.args[position], node


def called(call: ast.Call) -> str:
    """The last name of what is called."""
    return str(getattr(call.func, "attr", getattr(call.func, "id", "")))


def _is_loud(call: ast.Call, function: ast.Attribute) -> bool:
    if function.attr not in LOUD and function.attr != "log":
        return False
    of = ast.unparse(function.value)
    if not (
        of == "logging" or of.startswith("logging.getLogger") or of.rpartition(".")[2] in ("log", "_log", "logger")
    ):
        return False
    if function.attr == "log":
        levels = {node.attr for node in ast.walk(call.args[0]) if isinstance(node, ast.Attribute)}
        return not levels or not levels <= QUIET
    return function.attr in LOUD


@cache
def modules() -> tuple[Module, ...]:
    """Every source file of the gateway and of the plugins beside it."""
    paths = [*(ROOT / "gateway").rglob("*.py"), *(ROOT / "plugins").glob("*/src/**/*.py")]
    return tuple(Module(path) for path in sorted(paths))


@cache
def calls() -> tuple[Call, ...]:
    """Every call that may log a warning or worse."""
    return tuple(call for module in modules() for call in module.calls())


@cache
def first_arguments(*functions: str) -> frozenset[str]:
    """The texts that are given first to functions of these names, as codes are."""
    return frozenset(
        node.args[0].value
        for node in nodes()
        if isinstance(node, ast.Call)
        and called(node) in functions
        and node.args
        and isinstance(node.args[0], ast.Constant)
        and isinstance(node.args[0].value, str)
    )


@cache
def nodes() -> tuple[ast.AST, ...]:
    """Every node of the sources."""
    return tuple(node for module in modules() for node in ast.walk(module.tree))
