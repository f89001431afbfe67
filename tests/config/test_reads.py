"""What a config was read from is known, and a change of it is seen however it is made; what is the same is none."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.config.include import load_tree
from gateway.config.reads import Look, Reads

OLD = 1_000_000_000
"""A time of long ago, in seconds: a file of then is not young."""


def aged(file: Path) -> Path:
    os.utime(file, (OLD, OLD))
    return file


def looking_at(*files: Path) -> Look:
    reads = Reads()
    for file in files:
        reads.note(str(file))
    look = Look(reads)
    assert look.changes() == {}
    return look


def in_place(file: Path, text: str) -> None:
    file.write_text(text)


def by_renaming(file: Path, text: str) -> None:
    new = file.with_name("new")
    new.write_text(text)
    new.rename(file)


def keeping_size_and_time(file: Path, text: str) -> None:
    before = file.stat()
    file.write_text(text)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


def by_removing_first(file: Path, text: str) -> None:
    file.unlink()
    file.write_text(text)


WAYS = [in_place, by_renaming, keeping_size_and_time, by_removing_first]


@pytest.mark.parametrize("write", WAYS)
def test_a_change_is_seen_however_it_is_written(tmp_path: Path, write: Callable[[Path, str], None]) -> None:
    file = tmp_path / "f"
    file.write_text("one")
    look = looking_at(file)
    write(file, "two")
    assert list(look.changes()) == [str(file)]
    write(file, "one")
    assert look.changes() == {}, "what is as it was has not changed"


def test_a_change_between_two_readings_of_one_load_is_seen(tmp_path: Path) -> None:
    """What was read first is in the config, too."""
    file = tmp_path / "f"
    reads = Reads()
    for text in ("one", "two"):
        file.write_text(text)
        assert reads.read_text(str(file)) == text
    assert list(Look(reads).changes()) == [str(file)]


@pytest.mark.parametrize("write", WAYS)
def test_what_is_written_anew_as_it_was_has_not_changed(tmp_path: Path, write: Callable[[Path, str], None]) -> None:
    """Whatever manages configs writes them again and again."""
    file = tmp_path / "f"
    file.write_text("one")
    look = looking_at(file)
    write(file, "one")
    assert look.changes() == {}


def test_a_folder_that_kubernetes_swaps_by_a_link_is_seen(tmp_path: Path) -> None:
    """The file is a link into ..data, itself a link that is renamed over."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        aged_file = tmp_path / name / "secret"
        aged_file.write_text(name)
        aged(aged_file)
    (tmp_path / "..data").symlink_to("one")
    (tmp_path / "secret").symlink_to("..data/secret")
    look = looking_at(tmp_path / "secret")
    (tmp_path / "..new").symlink_to("two")
    (tmp_path / "..new").rename(tmp_path / "..data")
    assert list(look.changes()) == [str(tmp_path / "secret")]


def test_a_file_that_goes_and_one_that_comes_are_changes_and_one_that_comes_back_is_none(tmp_path: Path) -> None:
    there, missing = tmp_path / "there", tmp_path / "missing"
    there.write_text("x")
    look = looking_at(there, missing)
    missing.write_text("x")
    there.unlink()
    assert sorted(look.changes()) == [str(missing), str(there)]
    there.write_text("x")
    missing.unlink()
    assert look.changes() == {}


def test_a_file_whose_stat_is_the_same_is_not_opened_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever guards secrets is told of every time they are opened."""
    file = tmp_path / "f"
    file.write_text("x")
    look = looking_at(file)
    # As if some seconds had passed since it was written: its ctime cannot be set.
    monkeypatch.setattr("gateway.config.reads.YOUNG", -1)
    assert look.changes() == {}
    monkeypatch.setattr("gateway.config.reads._held", lambda path: pytest.fail(f"{path} was opened"))
    for _ in range(3):
        assert look.changes() == {}


def test_everything_a_config_was_read_from_is_noted(tmp_path: Path) -> None:
    """The main file, what it includes, its secrets, those of included files, those that are not there."""
    (tmp_path / "routes").mkdir()
    main = tmp_path / "gateway.yaml"
    main.write_text('include: ["routes/*.yaml", "none/*"]\nnats: {token: "${file:token}", user: "${file:missing}"}\n')
    (tmp_path / "token").write_text("t")
    (tmp_path / "routes" / "a.yaml").write_text('routes: [{name: "${credential:n}", description: "${file:d}"}]')
    (tmp_path / "credentials").mkdir()
    (tmp_path / "credentials" / "n").write_text("n")
    reads = load_tree(main, {"CREDENTIALS_DIRECTORY": str(tmp_path / "credentials")}).reads
    names = ("gateway.yaml", "token", "missing", "routes/a.yaml", "credentials/n", "routes/d")
    assert set(reads.files) == {str(tmp_path / name) for name in names}
    look = Look(reads)
    assert look.changes() == {}
    (tmp_path / "routes" / "b.yaml").write_text("routes: []")
    (tmp_path / "none").mkdir()
    (tmp_path / "none" / "c.yaml").write_text("routes: []")
    assert set(look.changes()) == {str(tmp_path / "routes/b.yaml"), str(tmp_path / "none/c.yaml")}
    (tmp_path / "routes" / "a.yaml").unlink()
    assert str(tmp_path / "routes/a.yaml") in look.changes()


def test_an_unreadable_main_file_is_noted(tmp_path: Path) -> None:
    main = tmp_path / "gateway.yaml"
    look = Look(load_tree(main, {}).reads)
    assert look.changes() == {}
    main.write_text("routes: []")
    assert list(look.changes()) == [str(main)]


def test_no_content_is_kept(tmp_path: Path) -> None:
    """Nor shown by anything that shows what was read."""
    file = tmp_path / "secret"
    file.write_text("hunter2")
    look = looking_at(file)
    assert "hunter2" not in f"{look.reads.files} {look.__dict__}"
