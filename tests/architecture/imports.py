"""What a source tree imports, by its syntax alone."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Import:
    """One import of one module: `what` is the absolute dotted name, of `gateway` modules the module itself."""

    module: str
    line: int
    what: str
    hidden: bool
    """Inside a function."""

    def __str__(self) -> str:
        return f"{self.module} line {self.line}: imports {self.what}"


@dataclass(frozen=True)
class Module:
    """One source file."""

    name: str
    file: Path
    text: str
    tree: ast.Module


def modules(root: Path = ROOT) -> dict[str, Module]:
    """Every module of the package `gateway` below `root`, by dotted name."""
    found: dict[str, Module] = {}
    for file in sorted((root / "gateway").rglob("*.py")):
        parts = file.relative_to(root).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        text = file.read_text()
        found[name] = Module(name, file, text, ast.parse(text))
    return found


def imports(module: Module, known: dict[str, Module]) -> Iterator[Import]:
    """All imports of a module: hidden ones and those for type checkers as well."""
    inside = _lines_in_functions(module.tree)
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(module.name, node.lineno, alias.name, node.lineno in inside)
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(module, node)
            for alias in node.names:
                whole = f"{base}.{alias.name}"
                yield Import(module.name, node.lineno, whole if whole in known else base, node.lineno in inside)


def _absolute(module: Module, node: ast.ImportFrom) -> str:
    if not node.level:
        return node.module or ""
    package = module.name.split(".")
    if module.file.name != "__init__.py":
        package = package[:-1]
    package = package[: len(package) - (node.level - 1)]
    return ".".join([*package, node.module] if node.module else package)


def _lines_in_functions(tree: ast.Module) -> set[int]:
    return {
        line
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)
    }
