"""The transform `pick`."""

from __future__ import annotations

from typing import Any, ClassVar

from ...event import Event
from ...missing import MISSING
from ...paths import Path
from ...plugin import Transform
from .._config import BodyPaths, body_path, need_some
from ._body import Tree, add_to_tree, keys_through, opened


class Pick(Transform, name="pick"):
    """Keep only these fields of the body.

    What is absent is skipped, and so is an object nothing of which is kept. A path through a list keeps the list with
    the picked items, in their order. A body of which nothing is kept becomes `{}`.
    """

    Config = BodyPaths
    config: list[Path]
    example: ClassVar[Any] = ["id", "detail.data.total"]

    def prepare(self) -> None:
        """Build the tree of paths; raises ConfigProblem at the item."""
        need_some(self.config, "field")
        paths = [body_path(path, index) for index, path in enumerate(self.config)]
        self._wanted: Tree = {}
        for path in paths:
            add_to_tree(self._wanted, path.steps)
        self._through = keys_through(paths)

    def apply(self, event: Event) -> Event:
        """The event with a body of the picked fields."""
        kept = _kept(opened(event, self._through), self._wanted)
        return event.replace(body={} if kept is MISSING else kept)

    def reads(self) -> frozenset[str]:
        """The keys that paths lead through; a top-level field is kept without being looked into."""
        return self._through


def _kept(value: Any, wanted: Tree) -> Any:
    """The part of `value` that the tree names, or MISSING."""
    if not wanted:
        return value
    kind = type(value)
    if kind is dict:
        fields = {}
        for key, below in wanted.items():
            kept = _kept(value[key], below) if key in value else MISSING
            if kept is not MISSING:
                fields[key] = kept
        return fields or MISSING
    if kind is list:
        items = (_kept(item, wanted[str(index)]) for index, item in enumerate(value) if str(index) in wanted)
        return [item for item in items if item is not MISSING] or MISSING
    return MISSING
