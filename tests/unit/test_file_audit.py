"""The audit `file`: a chain in a file that survives crashes, full disks and rotation. Real files, no server."""

from __future__ import annotations

import os
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.audit_files import AuditFiles
from gateway.chain.report import Report
from gateway.components.audits.file import FileAudit
from gateway.errors import ConfigProblem, RouteFault
from gateway.proof import prove_file
from tests.support.chains import codes, record
from tests.support.eventually import eventually
from tests.support.running import read_config, registry_with

Make = Callable[..., FileAudit]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "audit.jsonl"


@pytest.fixture
def make(path: Path) -> Iterator[Make]:
    """`make(fsync="never")` is the audit as a config with these fields makes it; all are closed in the end."""
    made: list[FileAudit] = []

    def build(**fields: Any) -> FileAudit:
        registry = registry_with(())
        step = {"file": {"path": str(path), **fields}}
        route = {"name": "r", "source": {"stream": "IN", "subjects": ["in"]}, "targets": [{"subject": "out"}]}
        config = read_config({"routes": [{**route, "audits": [step]}]}, registry)
        audit = FileAudit(config.routes[0].audits[0].config, None)  # type: ignore[arg-type]  # it never asks for one
        audit.prepare()
        made.append(audit)
        return audit

    yield build
    for audit in made:
        audit.close()


def found(path: Path) -> Report:
    return prove_file(str(path)).report


def lines(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines()


@contextmanager
def files_no_larger_than(size: int) -> Iterator[None]:
    """The system refuses to write beyond this size, in the middle of a write if need be, like a disk that is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_records_are_on_the_disk_when_record_returns_and_chained(path: Path, make: Make) -> None:
    audit = make()
    audit.record([record(1), record(2)])
    assert len(lines(path)) == 3
    audit.record([record(3)])
    audit.close()
    report = found(path)
    assert report.good
    (chain,) = report.chains
    assert (chain.records, chain.ending) == (5, "closed")
    assert str(chain.last_place) == f"{path}:5"


def test_a_restart_appends_and_follows(path: Path, make: Make) -> None:
    """Whether the one before ended in good order or not, and under whatever instance name."""
    for number in range(4):
        audit = make()
        audit.record([record(number, instance=f"host-{number}")])
        if number % 2:
            audit.close()
        else:
            audit._let_go()
    report = found(path)
    assert report.good, report.findings
    assert [chain.follows for chain in report.chains] == ["", *(chain.chain for chain in report.chains[:-1])]


def test_a_record_told_again_is_not_written_twice(path: Path, make: Make) -> None:
    audit = make()
    audit.record([record(1), record(2)])
    audit.record([record(1), record(2), record(3)])
    audit.record([record(1, outcome="dead_lettered")])
    assert len(lines(path)) == 5, "but what fared otherwise is"


@pytest.mark.parametrize("rest", [1, 20, 300])
def test_a_line_torn_by_a_crash_is_set_aside(path: Path, make: Make, rest: int) -> None:
    audit = make()
    audit.record([record(1), record(2)])
    audit._let_go()
    os.truncate(path, path.stat().st_size - rest)
    proof = found(path)
    assert proof.good
    assert "a crash left it" in proof.notes[0]
    again = make()
    again.record([record(3)])
    again.close()
    report = found(path)
    assert report.good, report.findings
    assert len(report.chains) == 2
    if rest > 1:
        assert "left by a crash, as the next one says" in report.notes[0]
    else:
        assert len(lines(path)) == 6, "a record that lacks only its line end is whole"
        assert report.chains[0].records == 3


def test_a_torn_line_that_is_changed_afterwards_is_found(path: Path, make: Make) -> None:
    audit = make()
    audit.record([record(1)])
    audit._let_go()
    os.truncate(path, path.stat().st_size - 20)
    make().record([record(2)])
    torn = lines(path)[1]
    path.write_bytes(path.read_bytes().replace(torn, torn[:-1] + b"?"))
    assert codes(found(path)) == {"foreign": 1}


@pytest.mark.parametrize("room", [0, 10, 700, 2500])
def test_a_full_disk_is_an_error_and_heals(path: Path, make: Make, room: int) -> None:
    audit = make()
    audit.record([record(1)])
    with files_no_larger_than(path.stat().st_size + room):
        for _ in range(3):
            with pytest.raises(RouteFault, match=r"audit\.jsonl: File too large") as caught:
                audit.record([record(number) for number in range(2, 12)])
            assert caught.value.hint == "see to space and permissions"
        assert found(path).good
    audit.record([record(number) for number in range(2, 12)])
    audit.close()
    report = found(path)
    assert report.good, report.findings
    assert sum(b'"outcome"' in line for line in lines(path)) == 11, "none lost, none twice"


def test_a_folder_that_is_not_there_is_an_error_that_heals(path: Path, make: Make, tmp_path: Path) -> None:
    audit = make(path=str(tmp_path / "sub" / "{$route}.jsonl"))
    with pytest.raises(RouteFault, match="No such file or directory"):
        audit.record([record(1)])
    (tmp_path / "sub").mkdir()
    audit.record([record(1)])
    assert found(tmp_path / "sub" / "r.jsonl").good


def test_two_writers_of_one_file_are_refused(path: Path, make: Make) -> None:
    one, two = make(), make()
    one.record([record(1)])
    with pytest.raises(RouteFault, match="is being written by another process or route"):
        two.record([record(2)])
    one.close()
    two.record([record(2)])
    assert found(path).good


def test_rotation_keeps_the_chain_over_all_parts(path: Path, make: Make) -> None:
    audit = make(rotate={"size": "2KiB", "keep": 1000})
    for number in range(60):
        audit.record([record(number)])
    audit.close()
    names = sorted(name for name in os.listdir(path.parent) if name[-1].isdigit())
    assert names[0] == "audit.jsonl.000001"
    assert len(names) > 10
    assert all(os.path.getsize(path.parent / name) <= 2048 for name in names)
    proof = prove_file(str(path))
    assert proof.report.good
    assert proof.report.records == 62
    assert f"{len(names)} older parts" in proof.what
    assert prove_file(f"{path}.000003").report.records == 62, "any part stands for all of them"


@pytest.mark.parametrize("batch", [7, 500])
def test_a_batch_is_spread_over_as_many_parts_as_it_fills(path: Path, make: Make, batch: int) -> None:
    """`rotate.size` is a limit whatever arrives at once; only a record that is larger by itself is over it."""
    audit = make(rotate={"size": "2KiB", "keep": 1000})
    for start in range(0, 500, batch):
        audit.record([record(number) for number in range(start, min(start + batch, 500))])
    audit.record([record(500, reason="x" * 5000), record(501)])
    audit.close()
    sizes = [os.path.getsize(path.parent / name) for name in os.listdir(path.parent)]
    assert len([size for size in sizes if size > 2048]) == 1
    report = found(path)
    assert report.good, report.findings
    assert report.records == 504


def test_what_was_written_before_a_disk_was_full_is_not_written_again(path: Path, make: Make) -> None:
    """Else a batch that begins well would fill the disk with every new try."""
    audit = make(rotate={"size": "2KiB", "keep": 1000})
    audit.record([record(1)])
    batch = [record(number) for number in range(2, 20)]
    with files_no_larger_than(path.stat().st_size + 1200):
        batch.insert(12, record(100, reason="x" * 4000))
        for _ in range(3):
            with pytest.raises(RouteFault, match="File too large"):
                audit.record(batch)
    audit.record(batch)
    audit.close()
    report = found(path)
    assert report.good, report.findings
    said = [line for _, line in AuditFiles(str(path)).lines() if b'"outcome"' in line]
    assert len(said) == 20


def test_what_rotation_deleted_is_cut_and_what_somebody_deleted_is_missing(path: Path, make: Make) -> None:
    audit = make(rotate={"size": "2KiB", "keep": 5})
    for number in range(60):
        audit.record([record(number)])
    audit.close()
    proof = prove_file(str(path))
    assert proof.report.good
    (chain,) = proof.report.chains
    assert chain.cut > 20
    assert proof.cut.startswith("rotation has deleted ")
    names = sorted(name for name in os.listdir(path.parent) if name[-1].isdigit())
    assert len(names) == 5
    os.unlink(path.parent / names[2])
    assert codes(found(path)) == {"missing": 1}


def test_a_restart_after_a_rotation_follows_the_older_part(path: Path, make: Make) -> None:
    audit = make()
    audit.record([record(1)])
    audit._let_go()
    path.rename(f"{path}.000001")
    make().record([record(2)])
    report = found(path)
    assert report.good
    assert report.chains[1].follows == report.chains[0].chain


def test_lines_removed_from_the_front_of_a_file_that_never_rotated_are_missing(path: Path, make: Make) -> None:
    make().record([record(number) for number in range(5)])
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[2:]))
    assert codes(found(path)) == {"missing": 1}


@pytest.mark.parametrize(
    ("tamper", "code"),
    [
        (lambda all_: all_[:3] + all_[4:], "missing"),
        (lambda all_: [*all_[:3], all_[4], all_[3], *all_[5:]], "out-of-order"),
        (lambda all_: [*all_[:3], all_[3].replace(b"published", b"dropped"), *all_[4:]], "changed"),
        (lambda all_: [*all_[:3], b"{}\n", *all_[3:]], "foreign"),
        (lambda all_: [*all_[:3], all_[2], *all_[3:]], "duplicate"),
    ],
    ids=["removed", "swapped", "changed", "inserted", "repeated"],
)
def test_an_edited_file_is_found(
    path: Path, make: Make, tamper: Callable[[list[bytes]], list[bytes]], code: str
) -> None:
    make().record([record(number) for number in range(8)])
    path.write_bytes(b"".join(tamper(path.read_bytes().splitlines(keepends=True))))
    report = found(path)
    assert codes(report) == {code: 1}
    assert str(report.findings[0].place).startswith(f"{path}:")


async def test_fsync_is_called_as_often_as_asked(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    monkeypatch.setattr("os.fdatasync", calls.append)
    monkeypatch.setattr("gateway.components.audits.file.SYNC_EVERY", 0.02)
    for fsync, expected in (("always", 3), ("never", 0)):
        calls.clear()
        audit = make(fsync=fsync)
        for number in range(3):
            audit.record([record(number)])
        assert len(calls) == expected
        audit.close()
    calls.clear()
    audit = make(fsync="interval")
    for number in range(3):
        audit.record([record(number)])
    await eventually(lambda: len(calls) == 1)


def test_an_fsync_that_fails_is_an_error_and_what_it_leaves_is_read_again(
    path: Path, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After it nobody knows what the disk has: the file is opened anew, and a new chain follows what is there."""
    audit = make()
    audit.record([record(1)])

    def fail(fd: int) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as broken:
        broken.setattr("os.fdatasync", fail)
        with pytest.raises(RouteFault, match="Input/output error"):
            audit.record([record(2)])
    audit.record([record(2)])
    report = found(path)
    assert report.good
    assert len(report.chains) == 2


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"path": "a-{$subject}"}, "may not stand here"),
        ({"path": ""}, "names no file"),
        ({"rotate": {"keep": 0}}, "at least 1"),
        ({"rotate": {"size": "0B"}}, "at least 1"),
    ],
)
def test_what_makes_no_sense_is_a_config_problem(make: Make, fields: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigProblem, match=text):
        make(**fields)
