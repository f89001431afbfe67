"""`gateway plugins new`: a plugin that can be installed, tested and shipped, to be filled with one's own code."""

from __future__ import annotations

import re
from importlib import metadata, resources
from pathlib import Path
from string import Template

import click

from .. import __all__ as public
from ..registry import BASES, BUILTIN, RESERVED, load_plugins

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_IMPORTED = {*public, "Any", "Mapping", "Sequence"}
"""Names that a package or its tests import."""
_TEMPLATES = "scaffold"
_COMMON = {"pyproject.toml": "pyproject.toml", "README.md": "README.md", ".gitignore": "gitignore"}


@click.command()
@click.argument("name")
@click.option("--kind", type=click.Choice(list(BASES)), default="filter", show_default=True, help="What it offers.")
@click.option(
    "--dir",
    "parent",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=".",
    show_default=True,
    help="Where its folder is made.",
)
def new(name: str, kind: str, parent: Path) -> None:
    """Begin a plugin: a package with one component, its typed config, tests and a README.

    NAME is a word in kebab-case, such as acme: the plugin and its component are called that, the package gateway-acme.
    Its tests pass as they are. Exit codes: 0 made, 2 the name cannot be used or the folder is there already.
    """
    name = name.removeprefix("gateway-")
    _check_name(name, kind)
    folder = parent / f"gateway-{name}"
    if folder.exists():
        raise click.UsageError(f"{folder} is there already")
    module = f"gateway_{name.replace('-', '_')}"
    words = {
        "name": name,
        "module": module,
        "kind": kind,
        "component": _class_name(name, kind),
        "version": _minor(metadata.version("nats-event-gateway")),
    }
    files = {
        **_COMMON,
        f"src/{module}/__init__.py": f"{kind}.py",
        f"src/{module}/py.typed": None,
        f"tests/test_{name.replace('-', '_')}.py": f"test_{kind}.py",
    }
    for target, template in files.items():
        path = folder / target
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("" if template is None else _filled(template, words), encoding="utf-8")
    click.echo(f"made {folder}; now, in the environment the gateway is installed in:\n")
    click.echo(f"  pip install -e '{folder if folder.is_absolute() else f'./{folder}'}[test]'")
    click.echo(f"  pytest {folder}")
    click.echo(f"\nThe component is in {folder / 'src' / module / '__init__.py'}; README.md says how a route uses it.")


def _check_name(name: str, kind: str) -> None:
    if not _NAME.fullmatch(name):
        raise click.UsageError(f"{name!r} is no name for a plugin: small letters, digits and single dashes, like acme")
    if name in RESERVED or name == BUILTIN:
        raise click.UsageError(f"{name!r} is reserved; choose another name")
    found = load_plugins().find(kind, name)
    if found.component is not None:
        raise click.UsageError(f"there is a {kind} called {name!r} already, of the plugin {found.plugin}")


def _class_name(name: str, kind: str) -> str:
    """my-own -> MyOwn; path -> PathFilter, because the package imports a Path."""
    plain = "".join(part.capitalize() for part in name.split("-"))
    return f"{plain}{kind.capitalize()}" if plain in _IMPORTED else plain


def _filled(template: str, words: dict[str, str]) -> str:
    text = resources.files(__package__).joinpath(_TEMPLATES, f"{template}.tmpl").read_text(encoding="utf-8")
    return Template(text).substitute(words)


def _minor(version: str) -> str:
    """0.1.7 -> 0.1: what the plugin is written for, or later."""
    return ".".join(version.split(".")[:2])
