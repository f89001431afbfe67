"""What a log line looks like, and that no log call ever hurts its caller."""

from __future__ import annotations

import io
import json
import logging
import os
import re
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.observe import logs
from gateway.values import Secret

log = logging.getLogger("gateway.test")


@pytest.fixture(autouse=True)
def _levels_restored(root_log: None) -> Iterator[None]:
    yield
    for name in ("noisy", "noisy.part"):
        logging.getLogger(name).setLevel(logging.NOTSET)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_json_line_has_time_level_logger_event_message_and_every_extra_field(stream: io.StringIO) -> None:
    logs.setup("info", "json", {}, stream)
    log.info("route %s is up", "eu", extra={"event": "route.up", "route": "eu", "tries": 3, "after": 0.5})
    (line,) = lines(stream)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line.pop("time"))
    assert line == {
        "level": "info",
        "logger": "gateway.test",
        "event": "route.up",
        "message": "route eu is up",
        "route": "eu",
        "tries": 3,
        "after": 0.5,
    }


def test_the_time_is_utc_in_milliseconds() -> None:
    record = logging.makeLogRecord({"created": 1700000000.0015, "msg": "x", "levelno": logging.INFO})
    assert json.loads(logs.JsonFormatter().format(record))["time"] == "2023-11-14T22:13:20.001Z"


@pytest.mark.parametrize("layout", ["json", "text"])
@pytest.mark.parametrize(
    ("level", "fields", "code"),
    [
        (logging.WARNING, {"event": "durable.not-stored"}, "durable-not-stored"),
        (logging.ERROR, {"event": "route.down", "code": "no-stream"}, "no-stream"),
        (logging.ERROR, {}, "foreign"),
        (logging.INFO, {"event": "source.lost", "code": "consumer-lost"}, "consumer-lost"),
        (logging.INFO, {"event": "route.up"}, None),
    ],
)
def test_every_warning_has_a_code_its_own_or_its_event_s(
    layout: logs.Layout, level: int, fields: dict[str, str], code: str | None, stream: io.StringIO
) -> None:
    """What an operator looks up in docs/troubleshooting.md."""
    logs.setup("info", layout, {}, stream)
    log.log(level, "x", extra=fields)
    if layout == "json":
        assert lines(stream)[0].get("code") == code
    else:
        assert re.findall(r" code=(\S+)", stream.getvalue()) == ([] if code is None else [code])


def test_a_readable_line_names_its_event_where_the_code_is_another_one(stream: io.StringIO) -> None:
    """Docs and alerts call a line by its event: `nats.deaf` is read off its code, `target.held` is not."""
    logs.setup("info", "text", {}, stream)
    log.warning("held", extra={"event": "target.held", "code": "stream-full"})
    log.warning("deaf", extra={"event": "nats.deaf"})
    log.info("up", extra={"event": "route.up"})
    log.warning("odd", extra={"event": 'a "b', "code": "c"})
    said = [line.split(" ", 2)[2].strip() for line in stream.getvalue().splitlines()]
    assert said == ["held event=target.held code=stream-full", "deaf code=nats-deaf", "up", r'odd event="a \"b" code=c']


def test_an_exception_is_one_line_of_error_and_a_trace(stream: io.StringIO) -> None:
    logs.setup("info", "json", {}, stream)
    try:
        raise ValueError("two\nlines")
    except ValueError:
        log.exception("failed", extra={"error": "the caller's own"})
    (line,) = lines(stream)
    assert line["error"] == r"ValueError: two\nlines"
    assert line["error_"] == "the caller's own"
    assert "test_logs.py" in line["trace"]


@pytest.mark.parametrize("layout", ["json", "text"])
def test_a_secret_is_never_written_however_deep_it_is(layout: logs.Layout, stream: io.StringIO) -> None:
    class Login(msgspec.Struct):
        password: Secret

    secret = Secret("hunter2")
    logs.setup("info", layout, {}, stream)
    log.info("login %s", secret, extra={"plain": secret, "deep": {"list": [secret]}, "struct": Login(secret)})
    log.info("odd", extra={"plain": secret, "fallback": {"x": secret, "big": 1 << 70}})
    assert "hunter2" not in stream.getvalue()
    assert stream.getvalue().count("***") >= 4


@pytest.mark.parametrize("layout", ["json", "text"])
@pytest.mark.parametrize("secret", ["hunter2", 'a"b\\c d', "two\nlines", "gr\u00fc\u00df"])
def test_what_a_plugin_says_is_written_without_the_secrets_of_the_config(
    layout: logs.Layout, secret: str, stream: io.StringIO
) -> None:
    """In a message, a field however deep, or the words of an exception with its trace."""
    logs.setup("info", layout, {}, stream)
    logs.hide([secret, "hunt", "no"])
    log.info("with %s", secret, extra={"plain": secret, "deep": {"list": [f"x{secret}y"]}, "number": 7})
    try:
        raise OSError(f"no {secret} here")
    except OSError:
        log.exception("failed")
    written = stream.getvalue()
    assert secret not in written
    assert json.dumps(secret)[1:-1] not in written
    assert repr(secret)[1:-1] not in written
    assert "no *** here" in written, "one of two letters is not looked for"
    if layout == "json":
        first, second = lines(stream)
        assert (first["plain"], first["deep"], first["number"]) == ("***", {"list": ["x***y"]}, 7)
        assert second["error"] == "OSError: no *** here"


def test_a_secret_that_is_a_word_of_the_log_breaks_no_line(stream: io.StringIO) -> None:
    """Somebody's password is `level`, or `gateway`: names of fields, events and loggers stay."""
    logs.setup("info", "json", {}, stream)
    logs.hide(["level", "gateway", "route.up"])
    log.info("level", extra={"event": "route.up", "route": "eu"})
    (line,) = lines(stream)
    assert (line["level"], line["logger"], line["event"], line["message"]) == (
        "info",
        "gateway.test",
        "route.up",
        "***",
    )


def test_the_secrets_of_the_config_before_stay_hidden_over_one_reload(stream: io.StringIO) -> None:
    """Its routes may still drain; the one before that is over."""
    logs.setup("info", "json", {}, stream)
    for words in (["first-one"], ["second-one"]):
        logs.hide(words)
    logs.setup("info", "json", {}, stream)
    log.info("first-one second-one")
    logs.hide(["third-one"])
    log.info("first-one second-one third-one")
    assert [line["message"] for line in lines(stream)] == ["*** ***", "first-one *** ***"]


class Hostile:
    def __str__(self) -> str:
        raise RuntimeError("no")

    __repr__ = __str__


def circle() -> list[Any]:
    items: list[Any] = []
    items.append(items)
    return items


@pytest.mark.parametrize("layout", ["json", "text"])
@pytest.mark.parametrize(
    "value", [Hostile(), 1 << 70, "\ud800", circle(), {1, "a"}, b"\xff", {(1, 2): 3}, float("nan"), object()]
)
def test_no_field_is_too_odd_for_a_line(value: object, layout: logs.Layout, stream: io.StringIO) -> None:
    logs.setup("info", layout, {}, stream)
    log.info("still here", extra={"odd": value})
    assert len(stream.getvalue().splitlines()) == 1
    assert "still here" in stream.getvalue()
    assert "odd" in stream.getvalue()


@pytest.mark.parametrize("layout", ["json", "text"])
def test_arguments_that_do_not_fit_lose_no_line(
    layout: logs.Layout, stream: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A handler of pytest's own would raise for them.
    monkeypatch.setattr(log, "propagate", False)
    logs.setup("info", layout, {}, stream)
    monkeypatch.setattr(log, "handlers", [logging.getLogger().handlers[-1]])
    log.warning("%d events", "many")
    assert "%d events (its arguments do not fit)" in stream.getvalue()


def test_a_stream_that_is_closed_hurts_nobody(capsys: pytest.CaptureFixture[str]) -> None:
    stream = io.StringIO()
    logs.setup("info", "json", {}, stream)
    stream.close()
    log.info("into the void")
    assert capsys.readouterr().err == ""


def test_an_extra_field_cannot_take_the_place_of_our_own(stream: io.StringIO) -> None:
    logs.setup("info", "json", {}, stream)
    log.info("x", extra={"level": "fatal", "time": "never", "error": "the caller's own"})
    (line,) = lines(stream)
    assert (line["level"], line["level_"], line["time_"], line["error"]) == (
        "info",
        "fatal",
        "never",
        "the caller's own",
    )


def test_text_is_one_readable_line(stream: io.StringIO) -> None:
    logs.setup("info", "text", {}, stream)
    log.warning(
        "route down: %s",
        "no stream",
        extra={"event": "route.down", "code": "no-stream", "route": "eu", "why": "not there", "s": 0.5},
    )
    logging.getLogger("asyncio").error("oh")
    first, second = stream.getvalue().splitlines()
    assert re.fullmatch(
        r"\d\d:\d\d:\d\d\.\d{3} WARN  route down: no stream"
        r' event=route\.down code=no-stream route=eu why="not there" s=0\.5',
        first,
    )
    assert second.endswith(" ERROR oh code=foreign logger=asyncio")


def test_text_cannot_be_forged_by_what_is_logged(stream: io.StringIO) -> None:
    logs.setup("info", "text", {}, stream)
    log.info("subject %s", "a\n12:00:00.000 ERROR forged\x1b[31m", extra={"name_": "b\r\nc"})
    assert len(stream.getvalue().splitlines()) == 1
    assert "\x1b" not in stream.getvalue()
    assert r"a\n12:00" in stream.getvalue()


def test_text_shows_a_trace_below_the_line(stream: io.StringIO) -> None:
    logs.setup("info", "text", {}, stream)
    try:
        raise KeyError("url")
    except KeyError:
        log.exception("step failed")
    assert stream.getvalue().splitlines()[1] == "Traceback (most recent call last):"
    assert stream.getvalue().splitlines()[-1] == "KeyError: 'url'"


def test_auto_is_text_on_a_terminal_and_json_elsewhere(stream: io.StringIO) -> None:
    terminal = Terminal()
    logs.setup(stream=terminal)
    log.info("x")
    logs.setup(stream=stream)
    log.info("x")
    assert terminal.getvalue().endswith("INFO  x\n")
    assert lines(stream)[0]["message"] == "x"


def test_a_second_setup_replaces_the_first(stream: io.StringIO) -> None:
    before = io.StringIO()
    logs.setup("info", "json", {"noisy": "error"}, before)
    logs.setup("debug", "json", {}, stream)
    log.debug("once")
    logging.getLogger("noisy").info("again")
    assert before.getvalue() == ""
    assert [line["message"] for line in lines(stream)] == ["once", "again"]


def test_levels_are_kept_per_logger(stream: io.StringIO) -> None:
    logs.setup("warning", "json", {"noisy.part": "debug"}, stream)
    log.info("no")
    logging.getLogger("noisy.part").debug("yes")
    logging.getLogger("noisy").info("no")
    assert [line["message"] for line in lines(stream)] == ["yes"]


def test_the_nats_client_is_silent_unless_the_config_opens_it(stream: io.StringIO) -> None:
    client = logging.getLogger("nats.aio.client")
    logs.setup("debug", "json", {}, stream)
    client.error("encountered error")
    assert stream.getvalue() == ""
    logs.setup("debug", "json", {"nats": "error"}, stream)
    client.error("encountered error")
    assert len(lines(stream)) == 1


@pytest.mark.parametrize(("layout", "start"), [("json", "{"), ("text", "")])
def test_lines_for_the_journal_carry_their_priority(
    layout: logs.Layout, start: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (tmp_path / "journal").open("w+") as journal:
        stat = os.fstat(journal.fileno())
        monkeypatch.setenv("JOURNAL_STREAM", f"{stat.st_dev}:{stat.st_ino}")
        logs.setup("debug", layout, {}, journal)
        for level in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR, logging.CRITICAL):
            log.log(level, "x")
        log.info("trace", stack_info=True)
        journal.seek(0)
        written = journal.read().splitlines()
    assert [line[:3] for line in written[:5]] == ["<7>", "<6>", "<4>", "<3>", "<2>"]
    assert all(line.startswith("<6>") for line in written[5:])
    assert written[0][3:].startswith(start)


def test_a_traceback_is_one_entry_of_the_journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the journal's own socket; where that takes nothing, it goes as lines that have their priority each."""
    path = str(tmp_path / "socket")
    monkeypatch.setattr(logs.journal, "SOCKET", path)
    with (tmp_path / "journal").open("w+") as stream:
        stat = os.fstat(stream.fileno())
        monkeypatch.setenv("JOURNAL_STREAM", f"{stat.st_dev}:{stat.st_ino}")
        logs.setup("info", "text", {}, stream)

        def fail(event: str) -> str:
            try:
                raise KeyError("url")
            except KeyError:
                log.exception("step failed", extra={"event": event})
            stream.seek(0)
            return stream.read()

        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
            server.bind(path)
            assert fail("a.b") == "", "nothing is left for the stream"
            fields = server.recv(1 << 16)
        Path(path).unlink()
        lines = fail("a.c").splitlines()
    assert fields.startswith(b"PRIORITY=3\n")
    head, _, rest = fields.partition(b"\nMESSAGE\n")
    assert b"SYSLOG_IDENTIFIER=" in head
    length = int.from_bytes(rest[:8], "little")
    text = rest[8 : 8 + length].decode()
    assert rest[8 + length :] == b"\n"
    assert text.splitlines()[0].endswith("ERROR step failed code=a-b")
    assert text.splitlines()[-1] == "KeyError: 'url'"
    assert len(lines) == len(text.splitlines())
    assert all(line.startswith("<3>") for line in lines)


def test_another_stream_than_the_journal_carries_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOURNAL_STREAM", "1:2")
    with (tmp_path / "log").open("w+") as file:
        logs.setup("info", "json", {}, file)
        log.info("x")
        file.seek(0)
        assert file.read().startswith("{")


def test_a_terminal_that_cannot_show_a_letter_shows_its_number() -> None:
    narrow = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    logs.setup("info", "text", {}, narrow)
    log.info("gr\u00fc\u00df")
    narrow.seek(0)
    assert r"gr\xfc\xdf" in narrow.read()


def test_without_a_stream_it_is_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    logs.setup("info", "json")
    log.info("x")
    assert sys.stderr is not None
    assert json.loads(capsys.readouterr().err)["message"] == "x"
