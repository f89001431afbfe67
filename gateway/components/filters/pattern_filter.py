"""The filter `pattern`."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import msgspec

from ...event import Event
from ...plugin import Filter
from .pattern import compile_pattern, explain, pattern_keys

_FIELDS = {"type": "object", "minProperties": 1}
_SHAPE = {
    "minProperties": 1,
    "properties": {"$or": {"type": "array", "minItems": 2, "items": _FIELDS}},
    "additionalProperties": {"anyOf": [_FIELDS, {"type": "array", "minItems": 1}]},
}
"""What the schema says to editors, of the first level; the rest is checked by `prepare`."""


class Pattern(Filter, name="pattern"):
    """Keep events whose body matches an EventBridge pattern.

    Each field lists what it accepts; every field must hold. Values are texts, numbers, true, false and null, or
    matchers such as `{prefix: eu-}`, `{numeric: [">", 100]}`, `{anything-but: [test]}` and `{exists: false}`; `$or`
    joins alternatives. It sees the body only: `meta` takes the same for subject, headers and attributes.
    """

    Config = Annotated[dict[str, Any], msgspec.Meta(extra_json_schema=_SHAPE)]
    config: dict[str, Any]
    example: ClassVar[Any] = {"region": ["eu-west-1"], "detail": {"total": [{"numeric": [">", 100]}]}}

    def prepare(self) -> None:
        """Compile the pattern; raises PatternError with the place inside it."""
        self._matches = compile_pattern(self.config)
        self._keys = pattern_keys(self.config)

    def accepts(self, event: Event) -> bool:
        """Whether the body matches."""
        return self._matches(event.view)

    def explain(self, event: Event) -> str:
        """The field that keeps the event out, without its value: this goes into audit records."""
        return explain(self.config, event.view, values=False)

    def reads(self) -> frozenset[str] | None:
        """The top-level keys that can decide the verdict."""
        return self._keys
