"""Types only msgspec knows (dates, UUIDs, a NamedTuple ...): read by it, its message split into words and place."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import msgspec

from ..errors import ConfigProblem
from .report import ConfigPath
from .shapes import OWN


class Refusal(NamedTuple):
    """Why msgspec refused a value; `path` leads on from the value."""

    text: str
    path: ConfigPath = ()


def read_foreign(plain: Any, wanted: Any) -> Any:
    """The value as msgspec converts it, or a Refusal; it names its first fault only."""
    try:
        return msgspec.convert(plain, wanted, dec_hook=_read_own)
    except msgspec.ValidationError as error:
        return Refusal(*_split(str(error)))
    except Exception as error:  # noqa: BLE001 - a third party's type may raise anything
        return Refusal(f"{type(error).__name__}: {error}")


def _read_own(kind: type, value: Any) -> Any:
    own = OWN.get(kind)
    if own is None:
        raise NotImplementedError(f"the type {kind.__name__} cannot be read from a config")
    if not isinstance(value, str):
        raise ValueError(f"expected {own.words}")
    try:
        return own.read(value)
    except ConfigProblem as problem:
        raise ValueError(problem.text) from problem


_AT = re.compile(r" - at `(?:key in )?\$([^`]*)`$")
_STEP = re.compile(r"\.([A-Za-z_][\w-]*)|\[(\d+)\]|\[\.\.\.\]")


def _split(text: str) -> tuple[str, ConfigPath]:
    """Split msgspec's message into its words and the path they end with; a dict's key is lost in it (`[...]`)."""
    found = _AT.search(text)
    if found is None:
        return text.replace("`", ""), ()
    steps: list[str | int] = []
    for step in _STEP.finditer(found[1]):
        if step[0] == "[...]":
            break
        steps.append(step[1] if step[1] is not None else int(step[2]))
    return text[: found.start()].replace("`", ""), tuple(steps)
