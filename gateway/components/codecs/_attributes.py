"""Where a codec finds an event's attributes: paths into the body or the headers, set in the codec's config."""

from __future__ import annotations

from collections.abc import Callable
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
        if len(steps) == 1:
            key = steps[0]
            return lambda body, headers: body.get(key, MISSING) if type(body) is dict else walk(body, steps)
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
