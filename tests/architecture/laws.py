"""The laws, as functions from a source tree to what breaks them."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tests.architecture.floors import (
    FLOORS,
    IO_ALLOWED,
    IO_MODULES,
    LAZY_ALLOWED,
    MAX_LINES,
    NEIGHBOURS,
    OWNERS,
    PURE,
    TOGETHER,
)
from tests.architecture.imports import Import, Module, imports

Tree = dict[str, Module]


def unit_of(module: str) -> str | None:
    """The longest entry of the floor table a module belongs to; the bare package stands for its __init__ alone."""
    if module == "gateway":
        return module
    parts = module.split(".")
    return next((unit for end in range(len(parts), 1, -1) if (unit := ".".join(parts[:end])) in FLOORS), None)


def without_floor(tree: Tree) -> Iterator[str]:
    """Modules the table does not know."""
    for module in tree:
        if unit_of(module) is None:
            yield f"{module} has no floor: give it one in tests/architecture/floors.py"


def upward(tree: Tree) -> Iterator[str]:
    """Imports from a higher floor, or from another package of the same one."""
    for found in _internal(tree):
        here, there = unit_of(found.module), unit_of(found.what)
        if here is None or there is None or here == there or FLOORS[there] < FLOORS[here]:
            continue
        if (here, there) not in NEIGHBOURS and not any({here, there} <= together for together in TOGETHER):
            yield f"{found}: floor {FLOORS[there]} from floor {FLOORS[here]}"


def cycles(tree: Tree) -> Iterator[str]:
    """Modules that import each other in a circle, however long."""
    graph: dict[str, set[str]] = {name: set() for name in tree}
    for found in _internal(tree):
        if found.what != found.module:
            graph[found.module].add(found.what)
    done: set[str] = set()

    def walk(name: str, way: tuple[str, ...]) -> Iterator[str]:
        if name in way:
            yield " -> ".join([*way[way.index(name) :], name])
        elif name not in done:
            for target in sorted(graph.get(name, ())):
                yield from walk(target, (*way, name))
            done.add(name)

    for name in sorted(graph):
        yield from walk(name, ())


def hidden(tree: Tree) -> Iterator[str]:
    """Imports inside functions, by statement or by call."""
    for module in tree.values():
        if unit_of(module.name) in LAZY_ALLOWED:
            continue
        for found in imports(module, tree):
            if found.hidden:
                yield f"{found} inside a function"
        for line in import_calls(module):
            yield f"{module.name} line {line}: imports by a call"


def import_calls(module: Module) -> list[int]:
    """Lines that import by calling a function."""
    calls = [node for node in ast.walk(module.tree) if isinstance(node, ast.Call)]
    return [call.lineno for call in calls if _called(call) in ("__import__", "import_module")]


def for_checkers_only(tree: Tree) -> Iterator[str]:
    """TYPE_CHECKING blocks: an import that exists only for a type checker is a floor left by the window."""
    for module in tree.values():
        for node in ast.walk(module.tree):
            if (isinstance(node, ast.Name) and node.id == "TYPE_CHECKING") or (
                isinstance(node, ast.Attribute) and node.attr == "TYPE_CHECKING"
            ):
                yield f"{module.name} line {node.lineno}: TYPE_CHECKING"


def not_owners(tree: Tree) -> Iterator[str]:
    """Libraries imported outside the one place they belong to."""
    for module in tree.values():
        for found in imports(module, tree):
            owners = OWNERS.get(found.what.partition(".")[0])
            if owners is not None and unit_of(module.name) not in owners:
                yield f"{found}: only {' and '.join(owners)} may"
    server = tree.get("gateway.jetstream.server")
    if server is not None:
        for found in imports(server, tree):
            if found.what.partition(".")[0] == "nats":
                yield f"{found}: a server is started without a client"


def impure(tree: Tree) -> Iterator[str]:
    """I/O on the floors that do none."""
    for module in tree.values():
        unit = unit_of(module.name)
        if unit is None or FLOORS[unit] not in PURE:
            continue
        for found in imports(module, tree):
            library = found.what.partition(".")[0]
            if library in IO_MODULES and (module.name, library) not in IO_ALLOWED:
                yield f"{found}: floor {FLOORS[unit]} does no I/O"
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Call) and _called(node) in ("open", "input", "print"):
                yield f"{module.name} line {node.lineno}: {_called(node)}() on floor {FLOORS[unit]}"


def too_long(tree: Tree) -> Iterator[str]:
    """Files over the cap."""
    for module in tree.values():
        lines = module.text.count("\n")
        if lines > MAX_LINES:
            yield f"{module.name} has {lines} lines, more than {MAX_LINES}"


def undocumented(tree: Tree) -> Iterator[str]:
    """Public modules, classes and functions that do not say what they are."""
    for module in tree.values():
        if module.text.strip() and ast.get_docstring(module.tree) is None:
            yield f"{module.name} has no docstring"
        for node in module.tree.body:
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                continue
            if not node.name.startswith("_") and ast.get_docstring(node) is None:
                yield f"{module.name} line {node.lineno}: {node.name} has no docstring"


def _internal(tree: Tree) -> Iterator[Import]:
    for module in tree.values():
        for found in imports(module, tree):
            if found.what in tree:
                yield found


def _called(node: ast.Call) -> str:
    if isinstance(node.func, ast.Name):
        return node.func.id
    return node.func.attr if isinstance(node.func, ast.Attribute) and node.func.attr == "import_module" else ""
