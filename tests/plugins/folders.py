"""The first-party plugins as folders, and what their `pyproject.toml` says."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from gateway.hookspecs import GROUP
from gateway.plugin import Component
from gateway.registry import BASES, PluginHealth, Registry, load_plugins

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Folder:
    """One folder of plugins/."""

    path: Path

    @property
    def name(self) -> str:
        """Its name, which is the distribution's."""
        return self.path.name

    @property
    def package(self) -> Path:
        """The import package."""
        return self.path / "src" / self.name.replace("-", "_")

    @cached_property
    def project(self) -> dict[str, Any]:
        """The table `[project]`."""
        document = tomllib.loads((self.path / "pyproject.toml").read_text(encoding="utf-8"))
        project: dict[str, Any] = document["project"]
        return project

    @cached_property
    def readme(self) -> str:
        """The manual."""
        return (self.path / "README.md").read_text(encoding="utf-8")

    @property
    def plugin(self) -> str:
        """The plugin's name: that of its entry point."""
        (name,) = self.project["entry-points"][GROUP]
        return str(name)

    @cached_property
    def registry(self) -> Registry:
        """The built-ins and this plugin alone, as it is installed."""
        return load_plugins(only=[self.plugin])

    @property
    def health(self) -> PluginHealth:
        """What the gateway found when it loaded it."""
        found = self.registry.status_of(self.plugin)
        assert found is not None, f"{self.name} is not installed: make test does it"
        return found

    @property
    def components(self) -> list[tuple[str, type[Component]]]:
        """Kind and class of all it offers."""
        return [
            (kind, component)
            for kind in BASES
            for plugin, component in self.registry.components(kind)
            if plugin == self.plugin
        ]


FOLDERS = [Folder(file.parent) for file in sorted((ROOT / "plugins").glob("*/pyproject.toml"))]
