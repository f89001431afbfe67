"""Sends odd events and payloads through a component, as a gateway would some day."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Coroutine, Iterator, Mapping
from datetime import datetime
from typing import Any, TypeVar

import msgspec

from ..errors import EventError
from ..event import Attributes, Encoded, Event
from ..headers import Headers
from ..plugin import Codec, Component, Filter, Transform
from .events import make_event
from .steps import StepResult, step_call
from .watching import BLOCKED, Unended, watched

T = TypeVar("T")
_ODD_BODIES: tuple[Any, ...] = ({}, {"id": None}, [], "text", 5, None, {"detail": {"data": [None, {"a": 1}]}})
"""What every filter and transform meets some day."""
_ODD_PAYLOADS = (b"", b"{}", b'{"id": "1", "type": "a", "data": {}}', b"[1, 2]", b"1,a,2", b"a=1&b=2", b"\xff\x00")
_TRIES = 3
_PLAIN = (str, int, float, bool, type(None), bytes)


class _Slow(Exception):
    """A call that held up the loop."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"a call takes {seconds * 1000:,.0f} ms")


def exercise(made: Component) -> Iterator[str]:
    """What a prepared component does wrong with what it does not expect."""
    try:
        if isinstance(made, Filter | Transform):
            yield from _step(made)
        elif isinstance(made, Codec):
            yield from _codec(made)
    except Unended as fault:
        yield str(fault)
    except _Slow as fault:
        how = "make it quick" if isinstance(made, Codec) else "make it a coroutine function, or say blocking = True"
        yield f"{fault} in which every route waits: {how}"


def _step(made: Filter | Transform) -> Iterator[str]:
    for body in _ODD_BODIES:
        event = make_event(body)
        shown = json.dumps(body)
        result = _run(made, event)
        if result.code in ("filter-error", "transform-error") and not _refuses(made, event):
            yield f"for the body {shown} it is a {result.code}: {result.reason}"
            return
        if event.body != body or event.changed:
            yield f"it changed the event it was given, whose body was {shown}; return event.set(...) instead"
            return
        if isinstance(made, Filter) and not _remembers(made) and _run(made, event).verdict != result.verdict:
            yield f"it said {result.verdict} and then something else of the same event, whose body was {shown}"
            return


def _refuses(made: Filter | Transform, event: Event) -> bool:
    """Whether it ends in an error of the event's own, such as a place that cannot be set, and not in a slip."""

    async def call() -> None:
        value = made.accepts(event) if isinstance(made, Filter) else made.apply(event)
        if inspect.isawaitable(value):
            await value

    try:
        watched(call)
    except EventError:
        return True
    except (Exception, SystemExit):  # noqa: BLE001 - the slip; its place has been said
        return False
    return False


def _remembers(made: Filter) -> bool:
    return type(made).settled is not Filter.settled


def _run(made: Filter | Transform, event: Event) -> StepResult:
    """As a route would; raises Unended and _Slow."""
    return _timed(step_call(made, event), may_block=made.blocking)


def _timed(call: Callable[[], Coroutine[Any, Any, T]], *, may_block: bool = False) -> T:
    value, held_up = watched(call)
    tries = 1
    while held_up > BLOCKED and not may_block:
        # Now and then it is the machine, or an import that is done for good.
        if tries == _TRIES:
            raise _Slow(held_up)
        held_up = min(held_up, watched(call)[1])
        tries += 1
    return value


def _codec(made: Codec) -> Iterator[str]:
    none = Headers()
    wrong: dict[str, None] = {}
    bodies = [body for payload in _ODD_PAYLOADS for body in _decoded(made, payload, none, wrong)]
    for body in [*_ODD_BODIES, *bodies]:
        raised: list[BaseException] = []
        encoded = _answer(made.encode, body, none, raised=raised)
        if raised:
            continue
        fault = _encoded_fault(encoded)
        if fault:
            wrong[fault] = None
        else:
            _decoded(made, encoded.data, Headers(encoded.headers), wrong)
    yield from wrong


def _decoded(made: Codec, payload: bytes, headers: Headers, wrong: dict[str, None]) -> list[Any]:
    """The body, if it is one; what is wrong with it and its attributes is added to `wrong`."""
    raised: list[BaseException] = []
    body = _answer(made.decode, payload, headers, "orders.created", raised=raised)
    if raised:
        return []
    odd = _odd_type(body)
    if odd:
        wrong[
            f"decode gave a body that holds {odd}: plain data is dict, list, str, int, float, bool, None and bytes"
        ] = None
        return []
    attributes = _answer(made.attributes, body, headers, raised=raised)
    if not raised and (fault := _attributes_fault(attributes)):
        wrong[fault] = None
    return [body]


def _answer(method: Callable[..., Any], *arguments: Any, raised: list[BaseException]) -> Any:
    """What a method gives. What it raises, as it may (that is a dead letter), is added to `raised` instead.

    Raises Unended and _Slow.
    """

    async def call() -> tuple[Any, BaseException | None]:
        try:
            return method(*arguments), None
        except (Exception, SystemExit) as error:  # noqa: BLE001 - a refusal, in whatever form
            return None, error

    value, error = _timed(call)
    if error is not None:
        raised.append(error)
    if inspect.iscoroutine(value):
        value.close()
    return value


def _encoded_fault(encoded: Any) -> str:
    if not isinstance(encoded, Encoded):
        return f"encode gave {type(encoded).__name__} instead of Encoded"
    if not isinstance(encoded.data, bytes):
        return f"encode gave an Encoded whose data is {type(encoded.data).__name__}, not bytes"
    headers: Any = encoded.headers
    if not isinstance(headers, Mapping) or not all(type(text) is str for pair in headers.items() for text in pair):
        return "encode gave an Encoded whose headers are not texts by name"
    return ""


def _attributes_fault(attributes: Any) -> str:
    if not isinstance(attributes, Attributes):
        return f"attributes gave {type(attributes).__name__} instead of Attributes"
    for name, value in msgspec.structs.asdict(attributes).items():
        if not (value is None or isinstance(value, str) or (name == "time" and isinstance(value, datetime))):
            return f"attributes gave {type(value).__name__} as {name}"
    return ""


def _odd_type(body: Any) -> str:
    """The type of something in a body that is no plain data; empty when there is none."""
    todo = [body]
    while todo:
        value = todo.pop()
        if isinstance(value, dict):
            todo += [*value.keys(), *value.values()]
        elif isinstance(value, list):
            todo += value
        elif not isinstance(value, _PLAIN):
            return type(value).__name__
    return ""
