"""The key of an event: what a filter tells events apart by."""

from __future__ import annotations

from ...errors import ConfigProblem
from ...event import Event
from ...missing import MISSING
from ...paths import Path, path_of
from ...templates import Placeholder, Template
from .._config import steady_path
from ..canonical import digest


class EventKey:
    """The value at a path, `detail.order`, or the values of a template, `{detail.shop}/{detail.order}`.

    Of a template only the values count, so that `{a}{b}` keeps "1" and "12" apart from "11" and "2".
    """

    __slots__ = ("_parts", "_path")

    def __init__(self, text: str) -> None:
        """Read the config's text; raises ConfigProblem."""
        self._path: Path | None = None
        self._parts: list[Placeholder] = []
        if "{" not in text and "}" not in text:
            self._path = steady_path(path_of(text))
            return
        self._parts = Template(text).placeholders()
        if not self._parts:
            raise ConfigProblem((), f"{text!r} is the same for every event", "name what is not: {detail.id}")
        for part in self._parts:
            steady_path(part.path)
            if part.token:
                raise ConfigProblem((), "|token has no use in a key", "leave it out: any value will do")

    def of(self, event: Event) -> bytes | None:
        """16 bytes that stand for the key; None when a part of it is absent or null. May raise DecodeError."""
        if self._path is not None:
            value = self._path.read(event)
            return None if value is MISSING or value is None else digest((value,))
        values = [part.read(event) for part in self._parts]
        if any(value is MISSING or value is None for value in values):
            return None
        return digest(values)

    def reads(self) -> frozenset[str]:
        """The top-level keys of the body it needs."""
        paths = [self._path] if self._path is not None else [part.path for part in self._parts]
        return frozenset(path.steps[0] for path in paths if path.steps)
