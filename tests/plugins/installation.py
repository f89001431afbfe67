"""A virtual environment with the gateway and plugins from wheels, as users have it, without the source tree."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from collections.abc import Iterable
from pathlib import Path

from tests.support.process import ROOT

FIRST_PARTY = ("gateway-cel", "gateway-jsonschema")
"""The plugins a route goes through."""


class Installation:
    """One environment and its commands. Everything runs in `folder`, which is not the source tree."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._bin = folder / "venv" / "bin"
        self._wheels = folder / "wheels"

    @property
    def gateway(self) -> str:
        """The command."""
        return str(self._bin / "gateway")

    @property
    def env(self) -> dict[str, str]:
        """What its processes see: ours, without what points into the source tree or another environment."""
        ours = ("PYTHONPATH", "VIRTUAL_ENV", "GATEWAY_CONFIG")
        return {name: value for name, value in os.environ.items() if name not in ours}

    def make(self) -> None:
        """The environment, with pip; no package yet."""
        venv.create(self.folder / "venv", with_pip=True, symlinks=True)

    def build(self, source: Path) -> Path:
        """A wheel of the project in a folder, by its own build system."""
        place = self._wheels / source.name
        command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(place)]
        subprocess.run(command, cwd=source, check=True, capture_output=True)
        (wheel,) = place.glob("*.whl")
        return wheel

    def install(self, wheels: Iterable[Path], extra: str = "") -> None:
        """Install wheels and what they need."""
        wanted = [f"{wheel}{extra}" for wheel in wheels]
        done = self.run("python", "-m", "pip", "install", "-q", "--no-compile", "--disable-pip-version-check", *wanted)
        assert done.returncode == 0, done.stderr

    def run(self, command: str, *args: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        """Run one of its commands."""
        return subprocess.run(
            [str(self._bin / command), *args],
            cwd=cwd or self.folder,
            env=self.env,
            capture_output=True,
            text=True,
            timeout=120,
        )


def installed(folder: Path) -> Installation:
    """The gateway and the plugins of FIRST_PARTY, installed."""
    made = Installation(folder)
    made.make()
    made.install([made.build(ROOT), *(made.build(ROOT / "plugins" / name) for name in FIRST_PARTY)])
    return made
