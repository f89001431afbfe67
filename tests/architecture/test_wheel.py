"""What users install has what it needs, and nothing of ours beside."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.architecture.imports import ROOT


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The built distribution."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return zipfile.ZipFile(next(folder.glob("*.whl")))


def test_the_demo_runs_from_an_installed_wheel(wheel: zipfile.ZipFile) -> None:
    example = (ROOT / "config" / "examples" / "orders.yaml").read_bytes()
    assert wheel.read("gateway/demo/orders.yaml") == example


def test_the_types_are_for_everybody(wheel: zipfile.ZipFile) -> None:
    assert "gateway/py.typed" in wheel.namelist()


def test_the_licence_is_in_it_and_the_tests_are_not(wheel: zipfile.ZipFile) -> None:
    names = wheel.namelist()
    assert any(name.endswith("/licenses/LICENSE") for name in names)
    assert {Path(name).parts[0].partition("-")[0] for name in names} == {"gateway", "nats_event_gateway"}
