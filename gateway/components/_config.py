"""Helpers of components that check their own config."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

from msgspec import Meta

from ..errors import ConfigProblem, PathStep
from ..paths import Path, path_of

_BODY_PATH = r"^[^$]|\$\{"
"""No `$`-name, unless it is an expansion."""
BodyPaths = Annotated[
    list[Path], Meta(extra_json_schema={"minItems": 1, "items": {"type": "string", "pattern": _BODY_PATH}})
]
"""Paths that are written to; the schema tells editors what `body_path` and `need_some` check."""
_TO_WRITE = Meta(extra_json_schema={"minProperties": 1, "propertyNames": {"pattern": "^[^$]"}})
ValuesByPath = Annotated[dict[str, Any], _TO_WRITE]
"""Values by the path they are written to."""
PathsByPath = Annotated[dict[str, Path], _TO_WRITE]
"""Paths by path, both of the body."""


@contextmanager
def within(*place: PathStep) -> Iterator[None]:
    """Put `place` before the path of a ConfigProblem raised inside."""
    try:
        yield
    except ConfigProblem as problem:
        raise ConfigProblem((*place, *problem.path), problem.text, problem.hint) from None


def body_path(path: str | Path, *place: PathStep) -> Path:
    """A path that can be written to; raises ConfigProblem at `place` for a `$`-name."""
    with within(*place):
        path = path_of(path) if isinstance(path, str) else path
        if path.is_attribute:
            raise ConfigProblem((), f"{path} is read-only", 'a key that begins with $ stands in quotes: "$x"')
    return path


_CHANGING = ("$attempt", "$deliveries")


def steady_path(path: Path) -> Path:
    """A path that reads the same at every delivery, as a filter must; raises ConfigProblem for one that does not."""
    if path.text in _CHANGING:
        raise ConfigProblem((), f"{path} changes from one delivery to the next", "a filter must not depend on it")
    return path


def need_some(config: object, what: str) -> None:
    """Raise ConfigProblem for an empty config: a step that does nothing is a slip."""
    if not config:
        raise ConfigProblem((), f"names no {what}")
