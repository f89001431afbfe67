"""The code keeps to its floors and its shape; each law is proven to catch what it forbids."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.architecture import laws
from tests.architecture.floors import FLOORS, IO_ALLOWED, LAZY_ALLOWED
from tests.architecture.imports import imports, modules
from tests.architecture.laws import Tree

LAWS = [
    laws.without_floor,
    laws.upward,
    laws.cycles,
    laws.hidden,
    laws.for_checkers_only,
    laws.not_owners,
    laws.impure,
    laws.too_long,
    laws.undocumented,
]

BROKEN: list[tuple[Callable[[Tree], Iterator[str]], dict[str, str], str]] = [
    (laws.without_floor, {"helpers.py": ""}, "gateway.helpers has no floor"),
    (laws.upward, {"event.py": "from .plugin import Filter", "plugin.py": ""}, "floor 1 from floor 0"),
    (laws.upward, {"config/a.py": "from .. import app", "app.py": ""}, "floor 7 from floor 3"),
    (laws.upward, {"registry.py": "import gateway.config.a", "config/a.py": ""}, "floor 3 from floor 3"),
    (laws.upward, {"web/a.py": "from ..jetstream.b import c", "jetstream/b.py": ""}, "floor 6 from floor 6"),
    (laws.upward, {"errors.py": "def f():\n    from .ports import x", "ports.py": ""}, "floor 1 from floor 0"),
    (laws.upward, {"app.py": "from .demo import run", "demo/run.py": ""}, "floor 7 from floor 7"),
    (laws.cycles, {"web/a.py": "from . import b", "web/b.py": "from .a import x"}, "gateway.web.a -> gateway.web.b"),
    (laws.cycles, {"web/__init__.py": "from .a import x", "web/a.py": "from . import y"}, "gateway.web"),
    (laws.hidden, {"web/a.py": "def f():\n    import json"}, "imports json inside a function"),
    (laws.hidden, {"web/a.py": "import importlib\nimportlib.import_module('nats')"}, "imports by a call"),
    (laws.for_checkers_only, {"web/a.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING: ..."}, "line 2"),
    (laws.not_owners, {"runtime/a.py": "from nats.js import api"}, "only gateway.jetstream may"),
    (laws.not_owners, {"cli/a.py": "def f():\n    import aiohttp"}, "only gateway.web may"),
    (laws.not_owners, {"jetstream/server.py": "import nats"}, "without a client"),
    (laws.impure, {"routing/a.py": "from asyncio import sleep"}, "floor 4 does no I/O"),
    (laws.impure, {"event.py": "x = open('y')"}, "open() on floor 0"),
    (laws.too_long, {"event.py": "x = 1\n" * 351}, "gateway.event has 351 lines"),
    (laws.undocumented, {"event.py": '"""Doc."""\ndef f(): ...'}, "f has no docstring"),
    (laws.undocumented, {"event.py": "x = 1"}, "gateway.event has no docstring"),
]


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
def test_the_code_keeps_the_law(law: Callable[[Tree], Iterator[str]]) -> None:
    assert list(law(modules())) == []


@pytest.mark.parametrize(("law", "files", "expected"), BROKEN)
def test_a_breach_is_found(
    law: Callable[[Tree], Iterator[str]], files: dict[str, str], expected: str, tmp_path: Path
) -> None:
    for name, text in files.items():
        file = tmp_path / "gateway" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        for package in {tmp_path / "gateway", file.parent}:
            if not (package / "__init__.py").exists():
                (package / "__init__.py").touch()
        file.write_text(text)
    assert any(expected in breach for breach in law(modules(tmp_path)))


def test_the_package_reexports_floors_0_and_1_only() -> None:
    tree = modules()
    floors = {FLOORS[laws.unit_of(found.what) or ""] for found in imports(tree["gateway"], tree) if found.what in tree}
    assert floors <= {0, 1}


def test_every_allowance_is_used() -> None:
    """An exception nobody needs any more is taken back."""
    tree = modules()
    used = {(name, found.what.partition(".")[0]) for name, module in tree.items() for found in imports(module, tree)}
    assert set(IO_ALLOWED) <= used
    lazy = {
        laws.unit_of(name)
        for name, module in tree.items()
        if laws.import_calls(module) or any(found.hidden for found in imports(module, tree))
    }
    assert set(LAZY_ALLOWED) <= lazy
