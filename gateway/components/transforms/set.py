"""The transform `set`."""

from __future__ import annotations

from typing import Any, ClassVar

from ...event import Event
from ...missing import MISSING
from ...paths import Path, put
from ...plugin import Transform
from .._config import ValuesByPath, body_path, need_some
from ._body import keys_read, keys_through, opened
from ._values import compile_value


class Set(Transform, name="set"):
    """Set fields of the body to constants or to values from the event.

    A text is a template: `order-{detail.id}`. A placeholder alone, `"{detail.total}"`, keeps its JSON type; a number
    within a text is written as JSON. When a placeholder is absent and has no `|or:`, nothing is set; inside an object
    or list, that entry is left out. All values are read from the event as it came, then written in order. Missing
    objects on the way are made, list items never: an index beyond the list, or a field of something that is no
    object, is a `transform-error`.
    """

    Config = ValuesByPath
    config: dict[str, Any]
    example: ClassVar[Any] = {"detail.metadata.routed-by": "gateway", "detail.total": "{detail.data.total}"}

    def prepare(self) -> None:
        """Parse destinations and templates; raises ConfigProblem at the key."""
        need_some(self.config, "field")
        targets = [body_path(text, text) for text in self.config]
        read: list[Path] = []
        values = [compile_value(value, (text,), read) for text, value in self.config.items()]
        self._writes = [(target.steps, value) for target, value in zip(targets, values, strict=True)]
        self._through = keys_through(targets)
        self._reads = self._through | keys_read(read)

    def apply(self, event: Event) -> Event:
        """The event with the fields set; the same event when all values are absent."""
        values = [(steps, value(event)) for steps, value in self._writes]
        old = body = opened(event, self._through)
        for steps, value in values:
            if value is not MISSING:
                body = put(body, steps, value)
        return event if body is old else event.with_body(body)

    def reads(self) -> frozenset[str]:
        """What templates read and destinations lead through."""
        return self._reads
