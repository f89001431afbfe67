"""Run one event through a route's filters and transforms. Nothing here waits: an async step suspends the run."""

from __future__ import annotations

import re
from collections.abc import Awaitable
from inspect import isawaitable
from math import isnan
from types import NoneType
from typing import Any

import msgspec

from ..errors import DecodeError, EventError, Retry, RouteFault
from ..event import Drop, Event, Outcome
from .route import CompiledRoute, Step

ERROR_LENGTH = 512
"""Bytes of an error message in a dead letter."""
_LOOKED_AT = 4096
"""Characters of one that are looked at: a plugin's may have a megabyte, and the event loop waits meanwhile."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class Passed(msgspec.Struct, frozen=True, gc=False):
    """Every step let it pass; `events` has more than one after a split."""

    events: list[Event]


class Stopped(msgspec.Struct, frozen=True, gc=False):
    """A step ended it on purpose."""

    outcome: Outcome
    step: Step
    event: Event
    reason: str = ""

    def explain(self) -> str:
        """Why, for audit and logs; what a filter raises while explaining is no fault of the event."""
        if self.outcome is Outcome.FILTERED:
            try:
                return str(self.step.component.explain(self.event))  # type: ignore[attr-defined]
            except KeyboardInterrupt:
                raise
            except BaseException as error:  # noqa: BLE001 - nor is it the process's end
                return f"{self.step.label} said no ({type(error).__name__} while explaining)"
        return self.reason


class Failed(msgspec.Struct, frozen=True, gc=False):
    """It can never pass: to the dead letters."""

    step: str
    code: str
    message: str


class Again(msgspec.Struct, frozen=True, gc=False):
    """A passing fault: to be tried again, after `after` seconds if the step said so."""

    step: str
    code: str
    message: str
    after: float | None = None


class StepInterrupted(KeyboardInterrupt):
    """A step raised KeyboardInterrupt, or the operator did meanwhile: who calls `run` knows which it can be.

    A daemon's SIGINT raises nothing, so there it is a fault of the step; in a command it ends the command.
    """

    def __init__(self, step: Step) -> None:
        self.step = step
        super().__init__()


class Suspended(msgspec.Struct, gc=False):
    """An async or blocking step has to be waited for; `resume` takes what it answers."""

    step: Step
    awaitable: Awaitable[Any] | None
    """None for a blocking step: the runtime calls it in the component's thread."""
    index: int
    event: Event
    todo: list[tuple[int, Event]]
    done: list[Event]


Result = Passed | Stopped | Failed | Again | Suspended


def run(route: CompiledRoute, event: Event) -> Result:
    """Run `event` through every step, or up to the first that has to be waited for."""
    return _go(route, 0, event, [], [])


def resume(route: CompiledRoute, paused: Suspended, value: Any) -> Result:
    """Go on with what the suspended step answered."""
    step = paused.step
    taken = _take(step, paused.event, value)
    if type(taken) is Event:
        return _go(route, paused.index + 1, taken, paused.todo, paused.done)
    after = _branch(step, paused.index, taken, paused.todo, paused.done)
    return _go(route, *after, paused.todo, paused.done) if isinstance(after, tuple) else after


def failed_step(step: Step, error: BaseException) -> Failed | Again:
    """What an exception of a step means."""
    if isinstance(error, DecodeError):
        return Failed("decode", error.code, one_line(error.message))
    if isinstance(error, EventError):
        # A component's words end in headers and in an advisory of the server.
        code, message = one_line(error.code) or "other", one_line(error.message)
        if isinstance(error, Retry):
            odd = None if isinstance(error.after, (int, float, NoneType)) else f"a {type(error.after).__name__}"
            if isinstance(error.after, float) and isnan(error.after):
                # It would never be due, and its event in the window for ever.
                odd = "nan"
            if odd is not None:
                fault = f"Retry(after=...) takes seconds, not {odd}"
                return Failed(step.label, "filter-error" if step.is_filter else "transform-error", fault)
            return Again(step.label, code, message, error.after)
        return Failed(step.label, code, message)
    return Failed(step.label, "filter-error" if step.is_filter else "transform-error", where(error))


def _go(route: CompiledRoute, index: int, event: Event, todo: list[tuple[int, Event]], done: list[Event]) -> Result:
    steps = route.steps
    count = len(steps)
    while True:
        while index < count:
            step = steps[index]
            if step.blocking:
                return Suspended(step, None, index, event, todo, done)
            try:
                value = step.call(event)
            except KeyboardInterrupt as error:
                raise StepInterrupted(step) from error
            except BaseException as error:  # noqa: BLE001 - even SystemExit is the event's end, not the process's
                return failed_step(step, error)
            if step.is_async:
                return Suspended(step, value, index, event, todo, done)
            if value is not True or not step.is_filter:
                if type(value) is Event and not step.is_filter:
                    event = value
                elif step.may_wait and isawaitable(value):
                    return Suspended(step, value, index, event, todo, done)
                else:
                    after = _branch(step, index, _take(step, event, value), todo, done)
                    if not isinstance(after, tuple):
                        return after
                    index, event = after
                    continue
            index += 1
        done.append(event)
        if not todo:
            return Passed(done)
        index, event = todo.pop()


def _take(step: Step, event: Event, value: Any) -> Event | list[Event] | Drop | Stopped | Failed:
    """Check a step's answer against the contract."""
    if step.is_filter:
        if value is True:
            return event
        if value is False:
            return Stopped(Outcome.FILTERED, step, event)
        return Failed(step.label, "filter-error", f"a filter answers True or False, this one a {type(value).__name__}")
    if isinstance(value, (Event, Drop)):
        return value
    if isinstance(value, list) and value and all(type(part) is Event for part in value):
        return value
    what = "an empty list" if isinstance(value, list) and not value else f"a {type(value).__name__}"
    return Failed(step.label, "transform-error", f"a transform answers an Event, a list of them or Drop, not {what}")


def _branch(
    step: Step, index: int, taken: Any, todo: list[tuple[int, Event]], done: list[Event]
) -> tuple[int, Event] | Result:
    """What does not simply go on: a split, a drop, an end. The result, or with which part to go on, and where.

    The caller goes on with it: a call from here would deepen the stack with every part.
    """
    if isinstance(taken, (Stopped, Failed)):
        return taken
    if isinstance(taken, list):
        todo.extend((index + 1, part) for part in reversed(taken))
    elif isinstance(taken, Drop) and not todo and not done:
        # A drop after a split ends that part only; the event is dropped when nothing of it is left.
        return Stopped(Outcome.DROPPED, step, _NO_EVENT, one_line(taken.reason))
    elif isinstance(taken, Event):
        todo.append((index + 1, taken))
    return todo.pop() if todo else Passed(done)


_NO_EVENT: Any = None


def one_line(text: object) -> str:
    """An error text as a header takes it: ASCII, one line, at most 512 bytes."""
    try:
        line = " ".join(_CONTROL.sub(" ", str(text)[:_LOOKED_AT]).split())
    except Exception:  # noqa: BLE001 - a plugin's own class may not even have a text
        line = type(text).__name__
    return line.encode("ascii", "backslashreplace")[:ERROR_LENGTH].decode("ascii")


def where(error: BaseException) -> str:
    """An unexpected exception without its text, which may hold event data: its type and where it was raised."""
    trace = error.__traceback__
    if trace is None:
        return type(error).__name__
    while trace.tb_next is not None:
        trace = trace.tb_next
    # Not by the traceback module: for each event it would read the source file anew, on the event loop.
    code = trace.tb_frame.f_code
    file = code.co_filename.rsplit("/", 1)[-1]
    package = trace.tb_frame.f_globals.get("__package__")
    if isinstance(package, str) and package:
        # Most plugins have an __init__.py.
        file = f"{package.replace('.', '/')}/{file}"
    return one_line(f"{type(error).__name__} in {file}:{trace.tb_lineno} {code.co_name}")


def said(error: BaseException) -> str:
    """What a log may show of an exception: words meant to be read, the system's own, else only its type and place.

    Those of any other may hold data of an event, or a secret of the component's config.
    """
    try:
        if isinstance(error, EventError):
            return one_line(f"{type(error).__name__}: {error.message}")
        if isinstance(error, RouteFault):
            return one_line(f"{error.text}; {error.hint}" if error.hint else error.text)
        if isinstance(error, OSError):
            return one_line(f"{type(error).__name__}: {error}")
    except Exception:  # noqa: BLE001 - a plugin's own class may not even have a text
        return where(error)
    return where(error)
