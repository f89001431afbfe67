"""The filter `meta`."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import msgspec

from ...errors import ConfigProblem
from ...event import Event
from ...missing import MISSING
from ...paths import path_of
from ...plugin import Filter
from .._config import need_some, steady_path, within
from .pattern import compile_pattern, explain

_SHAPE = {
    "minProperties": 1,
    "propertyNames": {"pattern": r"^\$"},
    "additionalProperties": {"type": "array", "minItems": 1},
}
"""What the schema says to editors; the matchers themselves are checked by `prepare`."""


class Meta(Filter, name="meta"):
    """Keep events by subject, headers and attributes, with the matchers of `pattern`.

    The fields are the names with `$`: `$subject`, `$subject.0`, `$headers.NAME`, `$type`, `$source`, `$time` and the
    rest. Every field must hold; what an event does not have is absent, so `{exists: false}` accepts it. `$attempt`
    and `$deliveries` are refused, because a filter must say the same at every delivery.
    """

    Config = Annotated[dict[str, Any], msgspec.Meta(extra_json_schema=_SHAPE)]
    config: dict[str, Any]
    example: ClassVar[Any] = {"$headers.X-Tenant": ["acme"], "$subject": [{"prefix": "orders."}]}

    def prepare(self) -> None:
        """Compile a pattern per name; raises ConfigProblem or PatternError."""
        need_some(self.config, "field")
        for name, accepted in self.config.items():
            _check(name, accepted)
            compile_pattern({name: accepted})  # here for its errors, which name the field
        self._tests = [
            (name, path_of(name).read, compile_pattern({"value": accepted})) for name, accepted in self.config.items()
        ]

    def accepts(self, event: Event) -> bool:
        """Whether every field holds."""
        for _, read, matches in self._tests:
            value = read(event)
            if not matches({} if value is MISSING else {"value": value}):
                return False
        return True

    def explain(self, event: Event) -> str:
        """The first field that does not hold, and what was wanted."""
        for name, read, matches in self._tests:
            value = read(event)
            if not matches({} if value is MISSING else {"value": value}):
                return explain({name: self.config[name]}, {} if value is MISSING else {name: value}, values=False)
        return "every field holds"

    def reads(self) -> frozenset[str]:
        """Nothing of the body but the attributes, which the codec declares."""
        return frozenset()


def _check(name: str, accepted: object) -> None:
    """Raise ConfigProblem unless the field is a `$`-name that stays the same, with a list."""
    with within(name):
        if not name.startswith("$"):
            raise ConfigProblem((), f"{name!r} is no name with $", "fields of the body belong into a pattern filter")
        steady_path(path_of(name))
        if not isinstance(accepted, list):
            raise ConfigProblem((), "expected a list of accepted values", f"write {name}: [value]")
