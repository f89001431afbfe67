"""The transform `split`."""

from __future__ import annotations

from typing import Any, ClassVar, Final

import msgspec

from ...errors import Reject
from ...event import Drop, Event
from ...paths import Path, put
from ...plugin import Transform
from .._config import body_path
from ._body import keys_read, opened

MAX_PARTS: Final = 10_000
MAX_ADDED: Final = 16 << 20
"""Bytes that the parts of one event may hold beside the items, together: what surrounds the list is in every part. As
much as a route has in flight unless its config says otherwise.
"""


class Split(Transform, name="split"):
    """Make one event of each item of a list.

    Each part is the whole event with the item in the list's place, so `detail.items.0.sku` is `detail.items.sku` from
    there on. The parts go on in the list's order. Each has a key of its own, the path and the item's place, which
    makes the message ids of its copies: a redelivery sends only what is missing, even if the config has changed in
    between. Id, type and time stay those of the event; `set` gives parts ids of their own.

    An empty list drops the event. What is absent or no list passes unchanged: a lone item needs no splitting. More
    than 10,000 items, or parts that would hold more than 16 MiB of what surrounds the list, are refused: all parts of
    an event are in memory until the last one is stored.
    """

    Config = Path
    config: Path
    example: ClassVar[Any] = "detail.data.items"
    codes: ClassVar[tuple[str, ...]] = ("too-many-parts", "parts-too-large")

    def prepare(self) -> None:
        """Check that the path can be written to; raises ConfigProblem."""
        self._steps = body_path(self.config).steps
        self._keys = keys_read([self.config])

    def apply(self, event: Event) -> Event | list[Event] | Drop:
        """The parts; the same event when there is no list; raises Reject for more than memory should hold."""
        items = self.config.read(event)
        if type(items) is not list:
            return event
        if not items:
            return Drop(f"{self.config} is an empty list")
        body = opened(event, self._keys)
        self._check(body, items)
        before = "" if event.key is None else f"{event.key} "
        return [
            event.replace(body=put(body, self._steps, item), key=f"{before}{self.config}[{index}]")
            for index, item in enumerate(items)
        ]

    def reads(self) -> frozenset[str]:
        """The key the list is under."""
        return self._keys

    def _check(self, body: Any, items: list[Any]) -> None:
        count = len(items)
        if count > MAX_PARTS:
            raise Reject("too-many-parts", f"{self.config} has {count} items, {MAX_PARTS} are split at most")
        if count > 1 and count * _weight(put(body, self._steps, None)) > MAX_ADDED:
            raise Reject("parts-too-large", f"{count} parts would hold more than {MAX_ADDED} bytes beside the items")


def _weight(body: Any) -> int:
    """About the bytes of a body when it is sent."""
    weight = 0
    todo = [body]
    while todo:
        value = todo.pop()
        kind = type(value)
        if kind is dict:
            todo.extend(value.keys())
            todo.extend(value.values())
            weight += 4 * len(value)
        elif kind is list:
            todo.extend(value)
            weight += len(value)
        elif kind is str or kind is bytes:
            weight += len(value)
        elif kind is msgspec.Raw:
            weight += len(memoryview(value))
        else:
            weight += 5
    return weight
