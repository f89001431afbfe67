"""The name of a process: kept over restarts where there is a state folder, and never shared."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from gateway.instance import Slot


def test_a_restart_has_its_name_back(tmp_path: Path) -> None:
    first = Slot("g", str(tmp_path))
    first.give_back()
    again = Slot("g", str(tmp_path))
    assert again.instance == first.instance
    again.give_back()


def test_processes_that_run_together_have_names_of_their_own_and_keep_them(tmp_path: Path) -> None:
    slots = [Slot("g", str(tmp_path)) for _ in range(3)]
    names = [slot.instance for slot in slots]
    assert len(set(names)) == 3
    slots[1].give_back()
    back = Slot("g", str(tmp_path))
    assert back.instance == names[1]
    for slot in (slots[0], slots[2], back):
        slot.give_back()


def test_gateways_of_other_names_have_other_instances(tmp_path: Path) -> None:
    one, other = Slot("g", str(tmp_path)), Slot("h", str(tmp_path))
    assert one.instance != other.instance
    for slot in (one, other):
        slot.give_back()
    again = Slot("h", str(tmp_path))
    assert again.instance == other.instance
    again.give_back()


def test_a_folder_copied_to_another_host_makes_another_instance(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = Slot("g", str(tmp_path))
    first.give_back()
    monkeypatch.setattr("socket.gethostname", lambda: "elsewhere")
    moved = Slot("g", str(tmp_path))
    assert moved.instance.startswith("elsewhere-")
    moved.give_back()


def test_without_a_folder_every_start_makes_a_new_name() -> None:
    assert Slot("g", "").instance != Slot("g", "").instance


def test_the_first_of_several_folders_counts(tmp_path: Path) -> None:
    slot = Slot("g", f"{tmp_path}:/nowhere")
    assert (tmp_path / "instance-g-0").read_text().strip() == slot.instance
    slot.give_back()


@pytest.mark.fault("state-folder-unusable")
def test_a_folder_that_cannot_be_used_is_told_and_does_no_harm(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        slot = Slot("g", str(tmp_path / "missing"))
    assert slot.instance
    assert "no name is kept over restarts" in caplog.text
