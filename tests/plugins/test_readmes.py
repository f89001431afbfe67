"""Every YAML block of a plugin's README is a config, or fields of a route, that compiles with that plugin."""

from __future__ import annotations

import re

import pytest
import yaml

from tests.plugins.compiling import compiled
from tests.plugins.folders import FOLDERS, Folder

BLOCKS = [
    pytest.param(folder, block, id=f"{folder.name}-{number}")
    for folder in FOLDERS
    for number, block in enumerate(re.findall(r"```yaml\n(.*?)```", folder.readme, re.DOTALL))
]


@pytest.mark.parametrize(("folder", "block"), BLOCKS)
def test_it_compiles(folder: Folder, block: str) -> None:
    routes, problems = compiled(yaml.safe_load(block), folder.registry)
    assert problems == []
    assert all(route.fault is None for route in routes)


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_the_manual_is_whole(folder: Folder) -> None:
    """How to install it, how to set it up, where it ends, what it costs."""
    assert f"pip install ./plugins/{folder.name}\n" in folder.readme
    for title in ("## Settings", "## Limits", "## Cost"):
        assert title in folder.readme, title
    assert any(param.values[0] is folder for param in BLOCKS), "an example"
