"""The filter `dedupe`."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Final

from msgspec import Meta as Limits

from ...errors import ConfigProblem
from ...event import Event, Outcome
from ...plugin import Filter, Settings
from ...values import Duration
from .._config import within
from ._key import EventKey

Message = tuple[float, int]
"""When the source stream stored it, in seconds, and its sequence: the same at every delivery, and no other's even
after the stream was made anew.
"""
VERDICTS: Final = 65_536
"""Verdicts kept of each kind, far above what a route has in flight. A lost acknowledgement comes back after ack-wait;
what was let through and handed to another process never does.
"""


class Dedupe(Filter, name="dedupe"):
    """Keep the first event with a key, and filter those that follow within `window`.

    `key` is a path or a template of several; keys are equal when their JSON is, so 5 and "5" differ. An event whose
    key is absent or null passes. The window is measured by when the source stream stored the events, not by when
    they arrive here, so a backlog or a replay is judged as live traffic would be; it begins with the first event, and
    those filtered do not prolong it.

    A verdict, once given, is kept: however often a message is delivered, it is never its own duplicate. Of two events
    in flight with one key only the first passes. The key is taken for good when the first is published; if it is
    filtered, dropped or dead-lettered instead, the next event with the key passes, while those already filtered
    stay so: they are duplicates of what is in the dead letters, or was not wanted.

    The memory is this process's own and holds at most `max-keys` keys, about 200 bytes each however long; with
    more, the one taken first is forgotten before its window is over, which is logged once. It begins empty after a
    restart, after a reload that changes the route, and in each replica. A message delivered before, whose verdict
    this process does not know, passes, because an earlier delivery may have sent a part of its copies. Where memory
    is missing, duplicates get through; no event gets lost.
    """

    class Config(Settings, frozen=True):
        """What a duplicate is."""

        key: str
        """A path, or a template of several."""
        window: Duration = Duration(300.0)
        """How long after the first event a key is taken."""
        max_keys: Annotated[int, Limits(ge=1)] = 100_000
        """How many keys are remembered."""

    config: Config
    example: ClassVar[Any] = {"key": "detail.data.orderId", "window": "10m"}

    def prepare(self) -> None:
        """Read the key; raises ConfigProblem at the field."""
        if self.config.window <= 0:
            raise ConfigProblem(("window",), "a window of no length filters nothing", "write how long: window: 5m")
        with within("key"):
            self._key = EventKey(self.config.key)
        self._window = float(self.config.window)
        self._first: dict[bytes, Message] = {}
        """Who has a key, in the order in which they were taken."""
        self._passed: dict[Message, bytes] = {}
        """What was let through and is not settled yet, with its key."""
        self._filtered: dict[Message, bytes] = {}
        """What was filtered: its acknowledgement can get lost."""
        self._told = False

    def accepts(self, event: Event) -> bool:
        """Whether nobody else has its key."""
        key = self._key.of(event)
        if key is None:
            return True
        message = _identity(event)
        if message in self._filtered:
            return False
        if message in self._passed:
            return True
        first = self._first.get(key)
        if first != message:
            if first is None or abs(message[0] - first[0]) >= self._window:
                self._take(key, message)
            elif event.meta.deliveries == 1:
                _remember(self._filtered, message, key)
                return False
        _remember(self._passed, message, key)
        return True

    def settled(self, event: Event, outcome: Outcome) -> None:
        """Keep the key of what was published, free that of anything else."""
        message = _identity(event)
        key = self._passed.pop(message, None)
        if key is None:
            return
        first = self._first.get(key)
        if outcome is Outcome.PUBLISHED:
            if first is None:
                self._take(key, message)
        elif first == message:
            del self._first[key]

    def explain(self, event: Event) -> str:
        """Which message has the key."""
        key = self._key.of(event)
        first = None if key is None else self._first.get(key)
        if first is None:
            return "its key was taken when it came first"
        return f"its key was taken by {event.meta.stream}:{first[1]}"

    def reads(self) -> frozenset[str]:
        """What the key needs."""
        return self._key.reads()

    def _take(self, key: bytes, message: Message) -> None:
        """Give the key to a message; keys whose window is over go, and then the oldest if there are too many."""
        first = self._first
        first.pop(key, None)
        first[key] = message
        while True:
            oldest = next(iter(first))
            early = message[0] - first[oldest][0] < self._window
            if early and len(first) <= self.config.max_keys:
                return
            del first[oldest]
            if early and not self._told:
                self._told = True
                text = "dedupe forgets keys before their window is over: more than max-keys (%d) came within it"
                self.context.log.warning(text, self.config.max_keys, extra={"event": "dedupe.full"})


def _identity(event: Event) -> Message:
    meta = event.meta
    return meta.stored_at.timestamp(), meta.sequence


def _remember(memory: dict[Message, bytes], message: Message, key: bytes) -> None:
    """Add to the verdicts, of which the oldest is forgotten."""
    memory[message] = key
    if len(memory) > VERDICTS:
        del memory[next(iter(memory))]
