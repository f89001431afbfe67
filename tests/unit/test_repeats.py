"""Lines that come again and again come once, then as a number; the numbers add up."""

from __future__ import annotations

import io
import json
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from gateway.observe import logs, repeats
from tests.support.eventually import eventually

log = logging.getLogger("gateway.route")


@pytest.fixture
def stream(json_log: io.StringIO) -> io.StringIO:
    """Where the log goes."""
    return json_log


@contextmanager
def alone() -> Iterator[None]:
    """Without pytest's own handlers, which keep every record."""
    root = logging.getLogger()
    others = [handler for handler in root.handlers if type(handler).__module__ != logs.__name__]
    for handler in others:
        root.removeHandler(handler)
    yield
    for handler in others:
        root.addHandler(handler)


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    """What was written."""
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def poison(sequence: int, code: str = "decode-error", route: str = "eu") -> None:
    """One dead letter."""
    fields = {"event": "event.dead-lettered", "code": code, "route": route, "step": "decode"}
    log.warning("event %d is a dead letter", sequence, extra={**fields, "sequence": sequence})


def told(stream: io.StringIO) -> int:
    """How many lines those written stand for."""
    return sum(line.get("repeated", 1) for line in lines(stream))


async def test_the_first_comes_at_once_and_the_rest_as_a_number_when_the_interval_is_over(
    stream: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody has to log another line for it; the line is the last one held back."""
    for sequence in range(1205):
        poison(sequence)
    assert [line["sequence"] for line in lines(stream)] == [0]
    monkeypatch.setattr(repeats, "INTERVAL", 0.0)
    await eventually(lambda: len(lines(stream)) == 2)
    last = lines(stream)[1]
    assert (last["repeated"], last["sequence"], last["code"], last["level"]) == (1204, 1204, "decode-error", "warning")


class Clock:
    """A time that stands still, and what was written by then."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.written: list[logging.LogRecord] = []
        self.repeats = repeats.Repeats(self.written.append, threading.RLock(), lambda: self.now)

    def log(self, **fields: object) -> bool:
        """One record; whether it was written at once."""
        return self.repeats.passes(logging.makeLogRecord({"levelno": logging.WARNING, "event": "a.b", **fields}))

    def passed(self, seconds: float) -> list[int]:
        """Let time pass; the numbers told by now."""
        self.now += seconds
        self.repeats.tell(repeats.INTERVAL)
        return [record.__dict__["repeated"] for record in self.written]


@pytest.fixture
def clock() -> Iterator[Clock]:
    """A clock, and repeats that go by it."""
    made = Clock()
    yield made
    made.repeats.end()


def test_what_goes_on_comes_once_an_interval_and_what_was_over_at_once(clock: Clock) -> None:
    """An interval begins with the line that was written last, be it the first or one with a number."""
    assert [clock.log() for _ in range(3)] == [True, False, False]
    assert clock.passed(29.9) == []
    assert clock.passed(0.1) == [2]
    assert [clock.log() for _ in range(4)] == [False] * 4
    assert clock.passed(29.9) == [2]
    assert clock.passed(0.1) == [2, 4]
    assert clock.passed(30) == [2, 4]
    assert [clock.log() for _ in range(2)] == [True, False]
    assert clock.passed(30) == [2, 4, 1]


def test_one_kind_does_not_wait_for_another(clock: Clock) -> None:
    """Each has an interval of its own."""
    clock.log(route="r1")
    clock.now += 20
    clock.log(route="r2")
    clock.log(route="r2")
    clock.log(route="r1")
    assert clock.passed(10) == [1]
    assert clock.written[0].__dict__["route"] == "r1"
    assert clock.passed(20) == [1, 1]


def test_in_text_the_number_is_words(stream: io.StringIO) -> None:
    """With a separator, and not a second time as a field."""
    logs.setup("info", "text", {}, stream)
    for sequence in range(1206):
        poison(sequence)
    logs.tell_repeats()
    said = "event 1205 is a dead letter (repeated 1,205 times) event=event.dead-lettered code=decode-error"
    assert said in stream.getvalue()
    assert "repeated=" not in stream.getvalue()


def test_a_hundred_thousand_poison_events_are_few_lines_whose_numbers_add_up(stream: io.StringIO) -> None:
    """From eight threads at once, of two routes and two codes; what is held back is told at the end."""

    def flood(offset: int) -> None:
        for sequence in range(12_500):
            poison(sequence, ("decode-error", "too-large")[sequence % 2], ("eu", "us")[offset % 2])

    threads = [threading.Thread(target=flood, args=[offset]) for offset in range(8)]
    with alone():
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(lines(stream)) == 4
    logs.setup("debug", "json", {}, io.StringIO())
    assert told(stream) == 100_000
    assert len(lines(stream)) == 8
    counts = {(line["route"], line["code"]): line["repeated"] + 1 for line in lines(stream)[4:]}
    assert counts == {(route, code): 25_000 for route in ("eu", "us") for code in ("decode-error", "too-large")}


def test_each_route_code_step_and_target_has_a_line_of_its_own(stream: io.StringIO) -> None:
    """Also the same words on another level, or of another logger."""
    about = {"event": "event.retried", "code": "timeout", "route": "r", "step": "publish", "target": "t"}
    for name in ("code", "route", "step", "target"):
        log.warning("x", extra={**about, name: "another"})
    log.warning("x", extra=about)
    log.error("x", extra=about)
    logging.getLogger("gateway.plugin.p.r").warning("x", extra=about)
    assert len(lines(stream)) == 7


def test_infos_and_events_that_come_in_pairs_are_all_written(stream: io.StringIO) -> None:
    """`route down`, `route up`, and the next `route down` held back would be a lie."""
    for _ in range(5):
        log.error("route down", extra={"event": "route.down", "code": "no-stream", "route": "r"})
        log.info("route up", extra={"event": "route.up", "route": "r"})
        log.warning("published", extra={"event": "audit.record", "route": "r"})
    assert len(lines(stream)) == 15


def test_a_line_without_an_event_is_known_by_its_place(stream: io.StringIO) -> None:
    """A library or a plugin that floods the log is held back too, one place of it not because of another."""
    foreign = logging.getLogger("library")
    for number in range(10):
        foreign.error(f"failed for the {number}. time")
    foreign.error("something else")
    logs.tell_repeats()
    assert [line["message"] for line in lines(stream)] == [
        "failed for the 0. time",
        "something else",
        "failed for the 9. time",
    ]
    assert told(stream) == 11


def fail(kind: type[Exception]) -> None:
    """Log an exception."""
    try:
        raise kind("why")
    except Exception:
        log.exception("failed", extra={"event": "route.internal-error", "route": "r"})


def test_another_exception_has_its_own_trace_and_a_repeated_one_its_words(stream: io.StringIO) -> None:
    """The trace of the first is enough."""
    fail(ValueError)
    fail(ValueError)
    fail(KeyError)
    logs.tell_repeats()
    first, second, counted = lines(stream)
    assert "trace" in first
    assert "KeyError" in second["trace"]
    assert (counted["repeated"], counted["error"], "trace" in counted) == (1, "ValueError: why", False)


def test_what_is_held_back_keeps_no_frame_alive(clock: Clock) -> None:
    """The events in its frames may be megabytes."""
    with pytest.raises(ValueError, match="why") as caught:
        raise ValueError("why")
    error = (ValueError, caught.value, caught.value.__traceback__)
    assert [clock.log(exc_info=error) for _ in range(2)] == [True, False]
    clock.passed(30)
    assert clock.written[0].exc_info is None
    assert clock.written[0].__dict__["error"] == "ValueError: why"


def test_memory_is_bounded_and_no_line_of_a_flood_of_names_is_lost(stream: io.StringIO) -> None:
    """A plugin makes codes of its events' data."""
    with alone():
        for number in range(10_000):
            poison(number, f"code-{number}")
    assert len(lines(stream)) <= repeats.MOST + 1
    logs.tell_repeats()
    assert told(stream) == 10_000


def test_what_was_not_repeated_makes_room(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the first things a process ever told would be the only ones with lines of their own."""
    monkeypatch.setattr(repeats, "MOST", 2)
    assert [clock.log(code=code) for code in ("a", "b")] == [True, True]
    clock.now += 30
    assert [clock.log(code=code) for code in ("c", "d", "c")] == [True, True, False]


def test_a_line_with_a_number_has_the_time_at_which_it_is_told(clock: Clock) -> None:
    """Lines stand in the order of their times."""
    for _ in range(2):
        clock.log(created=0.0, msecs=0.0)
    clock.passed(30)
    assert clock.written[0].created > 0


@pytest.mark.parametrize("odd", [["a list"], object(), float("nan"), None])
def test_no_field_is_too_odd_to_be_compared(odd: object, stream: io.StringIO) -> None:
    """A plugin's own line has whatever it likes where the gateway has names."""
    for _ in range(2):
        log.warning("x", extra={"event": "a.b", "code": odd, "target": odd})
    logs.tell_repeats()
    assert told(stream) == 2


def test_no_thread_is_left_when_nothing_is_held_back(stream: io.StringIO) -> None:
    """It lives as long as there is something to tell."""
    poison(1)
    poison(2)
    names = [thread.name for thread in threading.enumerate()]
    assert "gateway-log-repeats" in names
    logs.setup("debug", "json", {}, io.StringIO())
    for thread in threading.enumerate():
        if thread.name == "gateway-log-repeats":
            thread.join(5)
    assert "gateway-log-repeats" not in [thread.name for thread in threading.enumerate()]
