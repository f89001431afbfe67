"""The transform `rename`."""

from __future__ import annotations

from typing import Any, ClassVar

from ...event import Event
from ...missing import MISSING
from ...paths import Path, cut, put, walk
from ...plugin import Transform
from .._config import PathsByPath, body_path, need_some
from ._body import Steps, in_cutting_order, keys_through, opened


class Rename(Transform, name="rename"):
    """Move fields of the body: `from: to`.

    All are read before any is written, so two fields can change places. What is absent is skipped. What stands at the
    new place is replaced, and of two fields moved to one place the last one stays. Missing objects on the way are
    made; a list item cannot be made.
    """

    Config = PathsByPath
    config: dict[str, Path]
    example: ClassVar[Any] = {"detail.data.userId": "detail.data.user-id"}

    def prepare(self) -> None:
        """Parse both sides; raises ConfigProblem at the key."""
        need_some(self.config, "field")
        pairs = [(body_path(old, old), body_path(new, old)) for old, new in self.config.items()]
        self._moves = [(old.steps, new.steps) for old, new in pairs]
        inward = (old.steps[0] for old, new in pairs if len(new.steps) > 1)  # raw values stand at the top only
        self._through = keys_through(path for pair in pairs for path in pair).union(inward)

    def apply(self, event: Event) -> Event:
        """The event with the fields moved; the same event when none of them is there."""
        body = opened(event, self._through)
        if len(self._moves) == 1:
            return _moved(event, body, *self._moves[0])
        found: list[tuple[Steps, Steps, Any]] = []
        for old, new in self._moves:
            value = walk(body, old)
            if value is not MISSING:
                found.append((old, new, value))
        if not found:
            return event
        replaced = {new for _, new, _ in found}
        for old in in_cutting_order(old for old, _, _ in found if old not in replaced):
            body = cut(body, old)
        for _, new, value in found:
            body = put(body, new, value)
        return event.with_body(body)

    def reads(self) -> frozenset[str]:
        """The keys that paths lead through; a field that stays at the top moves without being looked into."""
        return self._through


def _moved(event: Event, body: Any, old: Steps, new: Steps) -> Event:
    """The usual case, one field: nothing can stand in the way of it."""
    value = walk(body, old)
    if value is MISSING:
        return event
    return event.with_body(put(body if old == new else cut(body, old), new, value))
