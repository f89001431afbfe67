"""What libraries and plugins log, however odd it is, hurts nobody: neither them, nor the lines of others."""

from __future__ import annotations

import io
import json
import logging
import os
import socket
import threading
from pathlib import Path
from typing import Any, NoReturn

import pytest

from gateway.observe import journal, logs

log = logging.getLogger("library")
LAYOUTS: list[logs.Layout] = ["json", "text"]

pytestmark = pytest.mark.usefixtures("root_log")


class Hostile:
    """Raises whatever it is asked."""

    def __str__(self) -> str:
        raise RuntimeError("no")

    __repr__ = __bool__ = __hash__ = __str__  # type: ignore[assignment]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("event", [{"id": 1}, ["a"], 7, Hostile()])
def test_an_event_that_is_an_object_of_theirs_is_a_field(
    event: object, layout: logs.Layout, stream: io.StringIO
) -> None:
    """A plugin that says `extra={"event": its_event}` would else fail over its own log call."""
    logs.setup("info", layout, {}, stream)
    for _ in range(2):
        log.warning("odd", extra={"event": event})
    logs.tell_repeats()
    first, second = stream.getvalue().splitlines()
    if layout == "json":
        assert json.loads(first)["code"] == "foreign"
        assert "event_" in json.loads(first)
        assert json.loads(second)["repeated"] == 1, "a number beside a field that is none"
    else:
        assert " odd code=foreign event=" in first
        assert "(repeated 1 times)" in second


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_field_called_repeated_loses_no_line(layout: logs.Layout, stream: io.StringIO) -> None:
    logs.setup("info", layout, {}, stream)
    log.warning("played", extra={"repeated": "often"})
    assert "often" in stream.getvalue()


@pytest.mark.parametrize(
    "fields", [{"code": "bad\n12:00:00.000 ERROR forged"}, {"a\n12:00:00.000 ERROR forged": 1}, {"\ud800": 1}]
)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_neither_codes_nor_names_of_fields_can_forge_or_lose_a_line(
    fields: dict[str, Any], layout: logs.Layout, stream: io.StringIO
) -> None:
    """A plugin may make a code of its event's data, and a field of a header."""
    logs.setup("info", layout, {}, stream)
    logging.getLogger("lib\n12:00:00.000 ERROR forged").warning("here", extra=fields)
    assert len(stream.getvalue().splitlines()) == 1


@pytest.mark.parametrize("secret", ["12345678", "true", "null", '":"b', "0000"])
def test_a_secret_that_looks_like_json_breaks_no_line(secret: str, stream: io.StringIO) -> None:
    """What is no text is no secret: `***` in its place would be no JSON."""
    logs.setup("info", "json", {}, stream)
    logs.hide([secret])
    told = {"list": [12345678, True, None], "deep": {"a": "b", "n": 100000}, "says": [f"<{secret}>"], secret: 1}
    log.info("x", extra=told)
    line = json.loads(stream.getvalue())
    assert (line["list"], line["deep"], line["says"]) == (told["list"], told["deep"], ["<***>"])


def test_in_text_a_number_is_no_secret_either(stream: io.StringIO) -> None:
    logs.setup("info", "text", {}, stream)
    logs.hide(["12345678"])
    log.info("x", extra={"sequence": 12345678, "said": "12345678"})
    assert "sequence=12345678 said=***" in stream.getvalue()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_secret_within_a_text_that_is_json_is_found(layout: logs.Layout, stream: io.StringIO) -> None:
    """A plugin logs the body of a request it made."""
    secret = 'gr\u00fc"\u00df'
    logs.setup("info", layout, {}, stream)
    logs.hide([secret])
    for ascii_only in (True, False):
        log.info("sent %s", json.dumps({"password": secret}, ensure_ascii=ascii_only))
    assert stream.getvalue().count("***") == 2


def test_the_error_of_an_exception_is_what_it_says_not_what_was_noted_beside_it(stream: io.StringIO) -> None:
    """Also in the line that counts the ones held back."""
    logs.setup("info", "json", {}, stream)
    for _ in range(2):
        error = ValueError("why")
        error.add_note("in some\nplace")
        log.error("failed", exc_info=error)
    logs.tell_repeats()
    first, counted = map(json.loads, stream.getvalue().splitlines())
    assert (first["error"], counted["error"]) == ("ValueError: why", "ValueError: why")
    assert "in some\nplace" in first["trace"]


def test_without_a_thread_to_be_had_every_line_is_written(stream: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the limit of tasks, or while the interpreter ends: nobody would tell what was held back."""

    def full(thread: threading.Thread) -> NoReturn:
        raise RuntimeError("can't start new thread")

    def written() -> int:
        log.warning("again")
        return len(stream.getvalue().splitlines())

    logs.setup("info", "json", {}, stream)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", full)
        assert [written() for _ in range(3)] == [1, 2, 3]
    assert written() == 3, "there is one, so it is held back"


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_child_of_a_fork_tells_what_it_holds_back(stream: io.StringIO) -> None:
    """The parent's thread is not in it."""
    others = threading.enumerate()

    def tellers() -> bytes:
        log.warning("again")
        names = [thread.name for thread in threading.enumerate() if thread not in others]
        return b"%d" % names.count("gateway-log-repeats")

    logs.setup("info", "json", {}, stream)
    assert [tellers(), tellers()] == [b"0", b"1"]
    mine, childs = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(childs, tellers())
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(mine, 10) == b"1"
    os.close(mine)
    os.close(childs)


def test_a_very_long_line_is_one_entry_of_the_journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its stream would cut it after 48 KiB, and the rest would be no JSON."""
    path = str(tmp_path / "socket")
    monkeypatch.setattr(journal, "SOCKET", path)
    with (tmp_path / "journal").open("w+") as stream, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(path)
        stat = os.fstat(stream.fileno())
        monkeypatch.setenv("JOURNAL_STREAM", f"{stat.st_dev}:{stat.st_ino}")
        logs.setup("info", "json", {}, stream)
        log.warning("\u20ac" * 20_000)
        stream.seek(0)
        assert stream.read() == ""
        assert b'"message":"\xe2\x82\xac' in server.recv(1 << 17)
