"""The filter `sample`."""

from __future__ import annotations

import hashlib
from typing import Annotated, Any, ClassVar

from msgspec import Meta

from ...event import Event
from ...plugin import Filter, Settings
from .._config import within
from ._key import EventKey

Share = Annotated[float, Meta(ge=0, le=1)]
"""0 keeps nothing, 1 everything."""
_DRAWS = 1 << 64


class Sample(Filter, name="sample"):
    """Keep a share of the events: `0.1` is one in ten.

    The verdict is a hash of the message's stream and sequence, so it is the same at every delivery, in every process
    and in every version. `key` hashes the value of a path or template instead, so that of one customer all events
    pass or none, in whatever stream; the share is then one of customers. An event whose key is absent or null is drawn
    by itself. 0 keeps nothing, 1 everything.

    All samples draw alike: what passes 0.1 also passes 0.5. Two of them on one route keep the smaller share, not the
    product.
    """

    class Keyed(Settings, frozen=True):
        """The share of keys."""

        rate: Share
        key: str | None = None
        """A path, or a template of several."""

    Config = Share | Keyed
    config: float | Keyed
    example: ClassVar[Any] = {"rate": 0.1, "key": "detail.data.customer"}

    def prepare(self) -> None:
        """Turn the share into a bound of the hash; raises ConfigProblem at the key."""
        keyed = self.config if isinstance(self.config, Sample.Keyed) else Sample.Keyed(rate=self.config)
        self._rate = keyed.rate
        self._bound = int(keyed.rate * _DRAWS)
        self._key: EventKey | None = None
        if keyed.key is not None:
            with within("key"):
                self._key = EventKey(keyed.key)

    def accepts(self, event: Event) -> bool:
        """Whether its draw is within the share."""
        drawn = None if self._key is None else self._key.of(event)
        if drawn is None:
            meta = event.meta
            drawn = f"{meta.stream}\0{meta.sequence}".encode()
        hashed = hashlib.blake2b(drawn, digest_size=8, person=b"sample").digest()
        return int.from_bytes(hashed, "big") < self._bound

    def explain(self, event: Event) -> str:
        """What was drawn, and by what."""
        by = "its key" if self._key is not None and self._key.of(event) is not None else "its stream and sequence"
        return f"drawn by {by}, outside the share of {self._rate:g}"

    def reads(self) -> frozenset[str]:
        """What the key needs; without one nothing."""
        return frozenset() if self._key is None else self._key.reads()
