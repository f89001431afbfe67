"""What an exception of a step means, and what of it may be told."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import Event, Reject, Retry
from gateway.errors import DecodeError, EventError
from gateway.routing.run import Again, Failed, StepInterrupted, Suspended, failed_step, one_line, run
from gateway.runtime import steps
from tests.unit.routes import answer_of, delivery_of, filter_, opened, raises, route_of, transform, went

SECRET = "4111-1111-1111-1111"


RAISED: list[tuple[BaseException, Failed | Again]] = [
    (Reject("too-old", "older than\r\na day"), Failed("x", "too-old", "older than a day")),
    (Reject("too-old"), Failed("x", "too-old", "too-old")),
    (Reject("", "no code"), Failed("x", "other", "no code")),
    (Reject("b\u00e4d\ncode", "x" * 600), Failed("x", "b\\xe4d code", "x" * 512)),
    (EventError("unsafe-header", "why"), Failed("x", "unsafe-header", "why")),
    (DecodeError("json: no"), Failed("decode", "decode-error", "json: no")),
    (Retry("busy", after=2.5), Again("x", "retry", "busy", 2.5)),
    (Retry(), Again("x", "retry", "the step asked for another try", None)),
    (Retry("down\n", code="no-database"), Again("x", "no-database", "down", None)),
]


@pytest.mark.parametrize(("error", "meant"), RAISED, ids=lambda value: type(value).__name__)
def test_what_a_step_raises_on_purpose_keeps_its_code_and_words(error: BaseException, meant: Failed | Again) -> None:
    """Words on one line of ASCII, at most 512 bytes: they end in headers and in an advisory of the server."""
    for route in (route_of(filter_(raises(error), "x")), route_of(transform(raises(error), "x"))):
        step = route.steps[0]
        named = meant if meant.step == "decode" else type(meant)(**{**_asdict(meant), "step": step.label})
        assert went(route) == named == failed_step(step, error)


def _asdict(meant: Failed | Again) -> dict[str, Any]:
    return {name: getattr(meant, name) for name in meant.__struct_fields__}


@pytest.mark.parametrize(
    "error", [ValueError(SECRET), KeyError(SECRET), SystemExit(SECRET), GeneratorExit(SECRET),
              asyncio.CancelledError(SECRET), ExceptionGroup(SECRET, [ValueError(SECRET)])], ids=repr,
)  # fmt: skip
def test_an_unexpected_exception_ends_the_event_and_tells_nothing_of_it(error: BaseException) -> None:
    """Its text may hold event data; type and place help its author more anyway."""
    for route, code in ((route_of(filter_(raises(error))), "filter-error"),
                        (route_of(transform(raises(error))), "transform-error")):  # fmt: skip
        result = went(route)
        assert isinstance(result, Failed)
        assert (result.step, result.code) == (route.steps[0].label, code)
        assert re.fullmatch(rf"{type(error).__name__} in tests/unit/routes\.py:\d+ answer", result.message)


def test_a_keyboard_interrupt_is_the_operator_s_and_goes_through() -> None:
    with pytest.raises(KeyboardInterrupt):
        went(route_of(transform(raises(KeyboardInterrupt()))))


@pytest.mark.parametrize("later", [False, True], ids=["run", "resume"])
def test_in_the_daemon_it_can_only_be_the_step_s_and_ends_the_event(later: bool) -> None:
    """The daemon handles SIGINT, so nobody else raises one."""

    async def waits(event: Event) -> Event:
        return event

    first = [transform(waits, "first")] if later else []
    route = route_of(*first, transform(raises(KeyboardInterrupt())))
    if later:
        suspended = run(route, opened(route, delivery_of(b"{}")))
        assert isinstance(suspended, Suspended)
        result = steps.resume(route, suspended, answer_of(suspended))
    else:
        with pytest.raises(StepInterrupted) as raised:
            run(route, opened(route, delivery_of(b"{}")))
        result = steps.interrupted(raised.value)
    assert isinstance(result, Failed)
    assert (result.step, result.code) == (route.steps[-1].label, "transform-error")
    assert result.message.startswith("KeyboardInterrupt in tests/unit/routes.py:")


def test_a_pause_that_is_no_number_is_a_fault_of_the_step() -> None:
    """It would never be over."""
    result = went(route_of(transform(raises(Retry(after=float("nan"))))))
    assert result == Failed("transform-0-change", "transform-error", "Retry(after=...) takes seconds, not nan")


def test_what_has_no_text_is_told_by_its_type() -> None:
    class Mute:
        def __str__(self) -> str:
            raise ValueError

    assert one_line(Mute()) == "Mute"
    assert went(route_of(transform(raises(Reject("code", Mute()))))) == Failed("transform-0-change", "code", "Mute")


def test_no_more_of_a_long_text_is_looked_at_than_could_be_told() -> None:
    """A megabyte of it would hold the event loop for as long as a hundred events take."""
    assert one_line("\n" * 4000 + "a" + "\n" * 10**6 + "b") == "a"


def test_an_exception_that_forgot_its_base_s_init_is_still_a_verdict() -> None:
    """A plugin's own subclass must not leave an event without an end."""

    class Own(Reject):
        def __init__(self) -> None:
            self.extra = 1

    class Later(Retry):
        def __init__(self) -> None:
            self.extra = 1

    assert went(route_of(transform(raises(Own())))) == Failed("transform-0-change", "other", "")
    assert went(route_of(transform(raises(Later())))) == Again("transform-0-change", "retry", "", None)


def test_an_exception_without_a_trace_is_told_by_its_type() -> None:
    step = route_of(transform(lambda event: event)).steps[0]
    assert failed_step(step, ValueError(SECRET)) == Failed(step.label, "transform-error", "ValueError")


@given(st.text() | st.text(st.sampled_from("a \n\r\t\x00\x1b\x7f\x85\u2028\ud800\u00e9"), max_size=700))
def test_any_error_text_is_one_printable_line_of_ascii(text: str) -> None:
    line = one_line(text)
    assert line == "" or re.fullmatch(r"[ -~]{1,512}", line)
    assert one_line(line) == line.strip()
