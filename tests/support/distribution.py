"""Distributions as pip leaves them, without pip: modules and a dist-info in a folder that goes on PYTHONPATH."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path


def install(
    folder: Path, name: str, version: str, modules: Mapping[str, str], plugins: Mapping[str, str] | None = None
) -> None:
    """Write `modules` (name: source), and make them a distribution that is found with its entry points.

    `plugins` are names of plugins and what each loads; without, every module is one, its underscores dashes. An older
    version of the same distribution goes.
    """
    folder.mkdir(parents=True, exist_ok=True)
    uninstall(folder, name)
    for module, source in modules.items():
        (folder / f"{module}.py").write_text(source, encoding="utf-8")
    info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n", encoding="utf-8")
    found = plugins or {module.replace("_", "-"): module for module in modules}
    lines = [f"{plugin} = {value}" for plugin, value in found.items()]
    (info / "entry_points.txt").write_text("\n".join(["[gateway.plugins]", *lines, ""]), encoding="utf-8")
    # Written twice within a second, a module may look unchanged to the cache of its bytecode.
    shutil.rmtree(folder / "__pycache__", ignore_errors=True)


def uninstall(folder: Path, name: str) -> None:
    """Take the distribution's dist-info away, in any version: it is not installed any more."""
    for info in folder.glob(f"{name.replace('-', '_')}-*.dist-info"):
        shutil.rmtree(info)
