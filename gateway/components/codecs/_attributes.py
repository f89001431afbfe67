"""Where a codec finds an event's attributes: paths into the body or the headers, set in the codec's config."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec

from ...errors import ConfigProblem
from ...event import Attributes
from ...headers import Headers
from ...missing import MISSING
from ...paths import Path, walk
from ...plugin import Settings

Find = Callable[[Any, Headers], Any]
_HEADER = "$headers."


class AttributePaths(Settings, frozen=True):
    """Where the attributes are, and how strictly the payload is decoded."""

    id: Path | None = Path("id")
    """A text or number; null: the event has none of its own."""
    type: Path | None = Path("type")
    source: Path | None = Path("source")
    time: Path | None = Path("time")
    """A text, RFC 3339."""
    correlation_id: Path | None = None
    strict: bool = False
    """Decode all of every payload, not only what the route's steps read."""


def attribute_keys(config: AttributePaths) -> frozenset[str]:
    """The top-level keys of the body that hold attributes."""
    return frozenset(path.key for _, path in _paths(config) if path is not None and path.key is not None)


def attribute_reader(config: AttributePaths) -> Callable[[Any, Headers], Attributes]:
    """Compile the paths to one function over body and headers, which takes any body. Raises ConfigProblem."""
    identity, kind, source, time, correlation = (_finder(field, path) for field, path in _paths(config))
    if all(path is None or len(path.steps) == 1 for _, path in _paths(config)):
        return _top_level_reader(*(None if path is None else path.steps[0] for _, path in _paths(config)))

    def read(body: Any, headers: Headers) -> Attributes:
        at = time(body, headers)
        return Attributes(
            id=_text(identity(body, headers)),
            type=_text(kind(body, headers)),
            source=_text(source(body, headers)),
            time=(at or None) if type(at) is str else None,
            correlation_id=_text(correlation(body, headers)),
        )

    return read


def _top_level_reader(
    identity: str | None, kind: str | None, source: str | None, time: str | None, correlation: str | None
) -> Callable[[Any, Headers], Attributes]:
    """The usual case, every attribute a key of the body: nothing but look-ups, since each event is asked."""

    def read(body: Any, headers: Headers) -> Attributes:
        get = body.get if type(body) is dict else partial(_item, body)
        at = get(time)
        return Attributes(
            _text(get(identity)),
            _text(get(kind)),
            _text(get(source)),
            (at or None) if type(at) is str else None,
            None if correlation is None else _text(get(correlation)),
        )

    return read


def _item(body: Any, key: str | None) -> Any:
    """What a body that is no object has under a key: a list may have an item."""
    return None if key is None else walk(body, (key,))


def _paths(config: AttributePaths) -> tuple[tuple[str, Path | None], ...]:
    return (
        ("id", config.id),
        ("type", config.type),
        ("source", config.source),
        ("time", config.time),
        ("correlation-id", config.correlation_id),
    )


def _finder(field: str, path: Path | None) -> Find:
    if path is None:
        return lambda body, headers: MISSING
    if not path.is_attribute:
        steps = path.steps
        return lambda body, headers: walk(body, steps)
    if not path.text.startswith(_HEADER):
        raise ConfigProblem(
            (field,), f"{path.text!r} cannot tell an attribute", "name a field of the body, or $headers.NAME"
        )
    name = path.text[len(_HEADER) :].strip('"')
    return lambda body, headers: headers.get(name, MISSING)


def _text(value: Any) -> str | None:
    """Texts as they are, numbers as JSON; anything else, and an empty text, says nothing."""
    kind = type(value)
    if kind is str:
        return value or None
    if kind is int or kind is float:
        return msgspec.json.encode(value).decode()
    return None
