"""The transform `remove`."""

from __future__ import annotations

from typing import Any, ClassVar

from ...event import Event
from ...paths import Path, cut
from ...plugin import Transform
from .._config import BodyPaths, body_path, need_some
from ._body import in_cutting_order, keys_through, opened


class Remove(Transform, name="remove"):
    """Remove fields of the body, or items of its lists.

    What is absent is skipped. Indices count in the list as it came: `[items.0, items.1]` removes the first two.
    """

    Config = BodyPaths
    config: list[Path]
    example: ClassVar[Any] = ["detail.data.customer_id", "detail.debug"]

    def prepare(self) -> None:
        """Check that the paths can be written to; raises ConfigProblem at the item."""
        need_some(self.config, "field")
        paths = [body_path(path, index) for index, path in enumerate(self.config)]
        self._cuts = in_cutting_order(path.steps for path in paths)
        self._through = keys_through(paths)

    def apply(self, event: Event) -> Event:
        """The event without the fields; the same event when none of them is there."""
        old = body = opened(event, self._through)
        for steps in self._cuts:
            body = cut(body, steps)
        return event if body is old else event.with_body(body)

    def reads(self) -> frozenset[str]:
        """The keys that paths lead through; a top-level field goes without being looked into."""
        return self._through
