"""Paths into an event: `detail.data.total`, `items.0.sku`, `detail."a.b"`, `$subject.2`, `$headers.X-Tenant`.

A path starts at the decoded body; a name with `$` reaches around it and is read-only. Absent is not null: `MISSING`
tells them apart. What other languages write for an item, `items[0]`, and for any item, `items.*`, is refused: as a key
it would be absent from every event, and nobody would be told.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any, ClassVar, Final, Protocol

from .errors import ConfigProblem, EventError
from .headers import Headers
from .missing import MISSING

_STEP = re.compile(r'"((?:[^"\\]|\\.)*)"|([^."{}|]+)')
_SUBJECT_TOKEN = re.compile(r"\$subject\.(\d{1,3})(\+?)")
_INDEX = re.compile(r"0|[1-9]\d{0,8}")
_BRACKETS = re.compile(r"\[(-?\d+|\*?)\]")
"""An index as other languages write it."""


class Origin(Protocol):
    """Where an event came from: what `event.meta` tells."""

    @property
    def gateway(self) -> str: ...
    @property
    def route(self) -> str: ...
    @property
    def stream(self) -> str: ...
    @property
    def sequence(self) -> int: ...
    @property
    def attempt(self) -> int: ...
    @property
    def deliveries(self) -> int: ...


class Readable(Protocol):
    """What a path reads: an event, seen from below it."""

    @property
    def subject(self) -> str: ...
    @property
    def headers(self) -> Headers: ...
    @property
    def id(self) -> str: ...
    @property
    def type(self) -> str | None: ...
    @property
    def source(self) -> str | None: ...
    @property
    def time_text(self) -> str | None: ...
    @property
    def correlation_id(self) -> str: ...
    @property
    def meta(self) -> Origin: ...
    def top(self, key: str) -> Any: ...


_ATTRIBUTES: Final[dict[str, Callable[[Readable], Any]]] = {
    "$subject": lambda event: event.subject,
    "$id": lambda event: event.id,
    "$type": lambda event: _or_missing(event.type),
    "$source": lambda event: _or_missing(event.source),
    "$time": lambda event: _or_missing(event.time_text),
    "$correlation-id": lambda event: event.correlation_id,
    "$gateway": lambda event: event.meta.gateway,
    "$route": lambda event: event.meta.route,
    "$stream": lambda event: event.meta.stream,
    "$sequence": lambda event: event.meta.sequence,
    "$attempt": lambda event: event.meta.attempt,
    "$deliveries": lambda event: event.meta.deliveries,
}
ATTRIBUTE_NAMES: Final = (*_ATTRIBUTES, "$subject.N", "$subject.N+", "$headers.NAME")
"""Every `$`-name, for error texts and docs."""


def _or_missing(value: object) -> object:
    return MISSING if value is None else value


class Path:
    """A parsed path. Equal texts make equal paths; wherever the API takes a Path its text will do."""

    __slots__ = ("_read", "steps", "text")

    stars: ClassVar[bool] = False
    """Whether a step may be a star."""

    def __init__(self, text: str) -> None:
        """Parse `text`; raises ConfigProblem when it is no path."""
        self.text = text
        self.steps: tuple[str, ...] = ()
        self._read: Callable[[Readable], Any] | None = None
        if text.startswith("$"):
            self._read = _reader(text)
        else:
            self.steps = _steps(text, self.stars)

    @property
    def is_attribute(self) -> bool:
        """Whether the path is a read-only `$`-name."""
        return self._read is not None

    @property
    def key(self) -> str | None:
        """The top-level key of the body that the path reads, or None for a `$`-name."""
        return self.steps[0] if self.steps else None

    def read(self, event: Readable) -> Any:
        """The value at this path, or MISSING."""
        if self._read is not None:
            return self._read(event)
        return walk(event.top(self.steps[0]), self.steps[1:])

    def __repr__(self) -> str:
        return f"Path({self.text!r})"

    def __str__(self) -> str:
        return self.text

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Path) and other.text == self.text

    def __hash__(self) -> int:
        return hash(self.text)


class StarPath(Path):
    """A path to many places: `items.*.card`. What a star means is for its reader to say; `steps` has it as `*`."""

    __slots__ = ()

    stars = True


@lru_cache(maxsize=4096)
def path_of(text: str) -> Path:
    """Parse a path, remembering the last few thousand."""
    return Path(text)


def walk(value: Any, steps: tuple[str, ...]) -> Any:
    """Follow `steps` from `value`: keys into dicts, indices into lists; MISSING when there is nothing."""
    for step in steps:
        kind = type(value)
        if kind is dict:
            value = value.get(step, MISSING)
        elif kind is list and _INDEX.fullmatch(step):
            index = int(step)
            if index >= len(value):
                return MISSING
            value = value[index]
        else:
            return MISSING
    return value


_NOTHING: Final[dict[str, Any]] = {}
"""Where an object has to be made; `put` copies what it changes."""


def put(value: Any, steps: tuple[str, ...], new: Any) -> Any:
    """A copy of `value` with `new` at `steps`; only the branches on the way are copied.

    Missing objects are made, list items never: an index outside the list, or a step into a scalar, raises
    EventError (`transform-error`).
    """
    if type(value) is not dict:
        return _put(value, steps, new, 0)
    # The usual case, objects all the way, without a call for each step.
    root = node = value.copy()
    for step in steps[:-1]:
        inner = node.get(step, _NOTHING)
        if type(inner) is not dict:
            return _put(value, steps, new, 0)
        node[step] = inner = inner.copy()
        node = inner
    node[steps[-1]] = new
    return root


def _put(value: Any, steps: tuple[str, ...], new: Any, at: int) -> Any:
    """The same where lists are on the way; `at` counts the steps already taken."""
    step = steps[at]
    last = at == len(steps) - 1
    kind = type(value)
    if kind is dict:
        copied = value.copy()
        copied[step] = new if last else _put(value.get(step, _NOTHING), steps, new, at + 1)
        return copied
    if kind is list and _INDEX.fullmatch(step) and int(step) < len(value):
        index = int(step)
        inner = new if last else _put(value[index], steps, new, at + 1)
        return [*value[:index], inner, *value[index + 1 :]]
    place = ".".join(steps[: at + 1])
    raise EventError("transform-error", f"cannot set {place}: {_what(value)} has no such place")


def cut(value: Any, steps: tuple[str, ...]) -> Any:
    """A copy of `value` without what is at `steps`; `value` itself when nothing is there."""
    node = value
    for step in steps:
        if type(node) is not dict:
            return _cut(value, steps)
        if step not in node:
            return value
        node = node[step]
    root = node = value.copy()
    for step in steps[:-1]:
        node[step] = inner = node[step].copy()
        node = inner
    del node[steps[-1]]
    return root


def _cut(value: Any, steps: tuple[str, ...]) -> Any:
    """The same where lists are on the way."""
    step, rest = steps[0], steps[1:]
    kind = type(value)
    if kind is dict and step in value:
        if not rest:
            return {key: inner for key, inner in value.items() if key != step}
        inner = _cut(value[step], rest)
        return value if inner is value[step] else {**value, step: inner}
    if kind is list and _INDEX.fullmatch(step) and int(step) < len(value):
        index = int(step)
        if not rest:
            return [*value[:index], *value[index + 1 :]]
        inner = _cut(value[index], rest)
        return value if inner is value[index] else [*value[:index], inner, *value[index + 1 :]]
    return value


def _what(value: object) -> str:
    names = {dict: "an object", list: "a list", str: "a string", bytes: "bytes", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")


def _steps(text: str, stars: bool) -> tuple[str, ...]:
    """Split a body path at its dots; quotes keep a dot, a `$` or a space inside a key."""
    if not text:
        raise ConfigProblem((), "a path cannot be empty", "name a field: detail.data.total")
    steps: list[str] = []
    position = 0
    while True:
        found = _STEP.match(text, position)
        if found is None:
            raise ConfigProblem(
                (), f"{text!r} is not a path: nothing readable at character {position + 1}", _quoting_hint(text)
            )
        quoted, plain = found[1], found[2]
        if quoted is None:
            _check_plain(text, plain, stars)
        steps.append(plain if quoted is None else re.sub(r"\\(.)", r"\1", quoted))
        position = found.end()
        if position == len(text):
            return tuple(steps)
        if text[position] != ".":
            raise ConfigProblem(
                (), f"{text!r} is not a path: a dot is missing at character {position + 1}", _quoting_hint(text)
            )
        position += 1


def _check_plain(text: str, step: str, stars: bool) -> None:
    """Raise ConfigProblem for a step without quotes that other languages have a meaning for."""
    if _BRACKETS.search(step):
        meant = _BRACKETS.sub(lambda found: f".{_index(found[1], stars)}", step).lstrip(".")
        raise ConfigProblem(
            (),
            f"{text!r} is not a path: an index is a step of its own, without brackets",
            f'write {meant}; a key with brackets in it stands in quotes: "{step}"',
        )
    if "*" in step and not stars:
        hint = f'name one: items.0; a key with a star in it stands in quotes: "{step}"'
        raise ConfigProblem((), f"{text!r} leads to more than one place, which has no meaning here", hint)
    if "*" in step and step != "*":
        hint = f'items.*.card; every level needs a step; a key with a star in it stands in quotes: "{step}"'
        raise ConfigProblem((), f"{text!r} is not a path: a star is a step by itself", hint)


def _index(text: str, stars: bool) -> str:
    if text.isdecimal():
        return text.lstrip("0") or "0"
    return "*" if stars else "0"


def _quoting_hint(text: str) -> str:
    return 'keys are joined by dots; a key with a dot, quote, brace or bar in it stands in quotes: detail."a.b"'


def _reader(text: str) -> Callable[[Readable], Any]:
    """The function that reads a `$`-name; raises ConfigProblem for one nobody knows."""
    known = _ATTRIBUTES.get(text)
    if known is not None:
        return known
    if token := _SUBJECT_TOKEN.fullmatch(text):
        index = int(token[1])
        return _rest_reader(index) if token[2] else _token_reader(index)
    if text.startswith("$headers.") and len(text) > len("$headers."):
        name = text[len("$headers.") :]
        if name.startswith('"') and name.endswith('"') and len(name) > 2:
            name = name[1:-1]
        return lambda event: event.headers.get(name, MISSING)
    raise ConfigProblem(
        (),
        f"nobody knows {text!r}",
        f"the names with $ are {', '.join(ATTRIBUTE_NAMES)}; a key that begins with $ stands in quotes",
    )


def _token_reader(index: int) -> Callable[[Readable], Any]:
    def read(event: Readable) -> Any:
        tokens = event.subject.split(".")
        return tokens[index] if index < len(tokens) else MISSING

    return read


def _rest_reader(index: int) -> Callable[[Readable], Any]:
    def read(event: Readable) -> Any:
        tokens = event.subject.split(".")
        return ".".join(tokens[index:]) if index < len(tokens) else MISSING

    return read
