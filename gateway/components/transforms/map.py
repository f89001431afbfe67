"""The transform `map`."""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec

from ...errors import ConfigProblem
from ...event import Event
from ...missing import MISSING
from ...paths import Path
from ...plugin import Settings, Transform
from .._config import body_path, need_some, within
from ._body import keys_read, keys_through

_encode = msgspec.json.Encoder().encode


class Map(Transform, name="map"):
    """Replace a value by what a table says for it.

    `table` goes from texts to any values; numbers, true, false and null are looked up as JSON writes them, so `404`
    and "404" are the same. What the table does not have, what is absent and what is no scalar becomes `default` where
    one is given (null is one), and else the event stays as it is. `into` says where the answer goes; without it, it
    takes the place of the value.
    """

    class Config(Settings, frozen=True):
        """The look-up."""

        path: Path
        """The value to look up."""
        table: dict[str, Any]
        into: Path | None = None
        """Where the answer goes; default: `path`."""
        default: Any = msgspec.UNSET
        """The answer for everything else."""

    config: Config
    example: ClassVar[Any] = {
        "path": "detail.data.status",
        "into": "detail.data.state",
        "table": {"1": "open", "2": "paid"},
        "default": "unknown",
    }

    def prepare(self) -> None:
        """Check the destination; raises ConfigProblem."""
        with within("table"):
            need_some(self.config.table, "value")
        if self.config.into is None and self.config.path.is_attribute:
            raise ConfigProblem(("path",), f"{self.config.path} is read-only", "say with into: where the answer goes")
        self._into = body_path(self.config.into or self.config.path, "into")
        default = self.config.default
        self._default = MISSING if default is msgspec.UNSET else default

    def apply(self, event: Event) -> Event:
        """The event with the answer set; the same event when there is none."""
        answer = self._answer(self.config.path.read(event))
        return event if answer is MISSING else event.set(self._into, answer)

    def _answer(self, value: Any) -> Any:
        kind = type(value)
        if kind is str:
            return self.config.table.get(value, self._default)
        if kind is int or kind is float or kind is bool or value is None:
            return self.config.table.get(_encode(value).decode(), self._default)
        return self._default

    def reads(self) -> frozenset[str]:
        """The value's key, and the one the destination leads through."""
        return keys_read([self.config.path]) | keys_through([self._into])
