"""The filter `cel`."""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import Any, ClassVar

from gateway import MISSING, Event, Filter, Path, Reject

if find_spec("cel_expr_python") is None:
    raise ModuleNotFoundError("cel_expr_python is not installed, which evaluates the expressions")

_ABSENT = 'UNKNOWN: No value with name "'
_OVERLOAD = "UNKNOWN: No matching overloads found : "
_UNDECIDED = ("INVALID_ARGUMENT", "OUT_OF_RANGE")
"""Neither something absent nor types that do not fit: a pattern that is none, a division by zero, an overflow."""
_OWN_WORDS = re.compile(
    r"(divide|modulus) by zero|integer overflow|timestamp overflow|String to (Timestamp|Duration) conversion failed"
    r"|cannot convert string to \w+|invalid regular expression|invalid base64 data|Invalid timezone"
)
"""What the library says without quoting anything."""

Read = Callable[[Event], Any]


class Cel(Filter, name="cel"):
    """Keep events for which a CEL expression is true.

    Keys of the body are named as they are: `data.total > 100 && region in ["eu-west-1"]`. `event.` leads to the rest:
    `event.type`, `event.source`, `event.id`, `event.time`, `event.subject`, `event.correlation_id`,
    `event.headers["x-tenant"]` (names in lower case) and `event.body`.

    What is absent, and what cannot be compared, is not true: an absent key, a text where a number is compared. An event
    nobody can decide about is refused: the expression gave something else than true or false, ran out of its budget,
    read a value that CEL does not have, or could not be calculated, as a division by zero.
    """

    Config = str
    config: str
    example: ClassVar[Any] = "data.total > 100"
    codes = ("cel-not-boolean", "cel-budget", "cel-value")

    def prepare(self) -> None:
        """Compile; raises ConfigProblem with line and column inside the expression."""
        # Here, not above: every gateway loads every plugin, and the library's five shared objects are 15 MiB of memory.
        compiled = import_module(".expression", __package__).compile_expression(self.config)
        self._evaluate = compiled.expression.eval
        self._variables: tuple[tuple[str, Read], ...] = tuple((name, _reader(name)) for name in compiled.variables)
        self._keys = _keys(compiled.variables)

    def reads(self) -> frozenset[str] | None:
        """The top-level keys the expression names."""
        return self._keys

    def accepts(self, event: Event) -> bool:
        """Whether the expression is true; raises Reject when nobody can say."""
        data = self._data(event)
        answer = self._answer(data)
        # Never the answer's truth: an error is a text, and a text is true.
        if answer is True or answer is False:
            return bool(answer)
        if not isinstance(answer, _Error):
            raise Reject("cel-not-boolean", "the expression gave neither true nor false")
        if answer.startswith("INVALID_ARGUMENT") and (what := _unfit(data)):
            raise Reject("cel-value", f"the expression reads {what}")
        if answer.startswith(_UNDECIDED):
            raise Reject("cel-value", f"the expression cannot be evaluated: {_said(answer)}")
        return False

    def explain(self, event: Event) -> str:
        """False, or why it could not be evaluated; never a value of the event."""
        answer = self._answer(self._data(event))
        if not isinstance(answer, _Error):
            return "the expression is false"
        if answer.startswith(_ABSENT):
            return f"{answer.removeprefix(_ABSENT).partition(chr(34))[0]} is absent"
        if answer.startswith(_OVERLOAD):
            return f"the types do not fit: {answer.removeprefix(_OVERLOAD)}"
        if answer.startswith("NOT_FOUND"):
            return "a key the expression reads is absent"
        if answer.startswith("UNKNOWN: Index error: index="):
            return "a list the expression reads is too short"
        return f"the expression cannot be evaluated: {_said(answer)}"

    def _data(self, event: Event) -> dict[str, Any]:
        data = {}
        for name, read in self._variables:
            value = read(event)
            if value is not MISSING:
                data[name] = value
        return data

    def _answer(self, data: dict[str, Any]) -> Any:
        try:
            result = self._evaluate(data=data)
        except RuntimeError as error:
            if "budget" in str(error):
                raise Reject("cel-budget", "the expression went through more than 10,000 items") from None
            raise
        value = result.value()
        # Only a text can be an error, and asking for the type costs as much as evaluating.
        if type(value) is str and result.type().name() == "ERROR":
            return _Error(value)
        return value


class _Error(str):
    """What the library says when it could not evaluate; it may quote the event."""

    __slots__ = ()


def _said(answer: str) -> str:
    """Why it could not be evaluated, without what the library may quote of the event."""
    kind, _, text = answer.partition(": ")
    known = _OWN_WORDS.match(text)
    return known[0] if known else kind.lower().replace("_", " ")


def _reader(name: str) -> Read:
    """The function that reads a variable from an event, MISSING when it is not there."""
    special = _SPECIAL.get(name)
    if special is not None:
        return special
    path = Path(name.removeprefix("event.body."))
    return lambda event: event.get(path, MISSING)


def _optional(value: Any) -> Any:
    return MISSING if value is None else value


_SPECIAL: dict[str, Read] = {
    "event.id": lambda event: event.id,
    "event.type": lambda event: _optional(event.type),
    "event.source": lambda event: _optional(event.source),
    "event.time": lambda event: _optional(event.time),
    "event.subject": lambda event: event.subject,
    "event.correlation_id": lambda event: event.correlation_id,
    "event.headers": lambda event: {name.lower(): _readable(value) for name, value in event.headers.items()},
    "event.body": lambda event: event.body,
}


def _readable(text: str) -> str:
    """A header that is not UTF-8 comes with surrogates, which CEL's texts cannot hold."""
    return text if text.isascii() else text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _keys(variables: tuple[str, ...]) -> frozenset[str] | None:
    """The top-level keys of the body; None when the whole body is read."""
    if "event.body" in variables:
        return None
    names = (name.removeprefix("event.body.") for name in variables if name not in _SPECIAL)
    return frozenset(name.partition(".")[0] for name in names)


def _unfit(data: dict[str, Any]) -> str:
    """What of the values CEL has no type for; empty when all fit."""
    todo = list(data.values())
    while todo:
        value = todo.pop()
        if type(value) is dict:
            if any(type(key) not in (str, int, bool) for key in value):
                return "an object whose keys are not text"
            todo += [*value.values(), *(key for key in value if type(key) is int)]
        elif type(value) is list:
            todo += value
        elif type(value) is int and not -(1 << 63) <= value < 1 << 64:
            return "a whole number beyond 64 bits"
    return ""
