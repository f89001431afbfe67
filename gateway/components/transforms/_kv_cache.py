"""A bounded cache of a key-value bucket, kept current by a watch.

What a look-up brings and what the watch says can cross on their way. The watch is right: it tells every change, in
order, from a moment before the first look-up that is kept; so the answer to a question during which the watch spoke of
that key is used once and not kept.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

from ...missing import MISSING, Missing

OVERHEAD = 256
"""Bytes an entry takes beside key and value, roughly."""


class Question:
    """A look-up on its way; `keep` ends when the watch speaks of its key, or is lost."""

    __slots__ = ("keep", "key")

    def __init__(self, key: str, keep: bool) -> None:
        self.key = key
        self.keep = keep


class KvCache:
    """Values by key, the least recently used ones dropped; None is a key known to be absent."""

    def __init__(self, limit: int, lifetime: float, now: Callable[[], float] = time.monotonic) -> None:
        """`limit` is in bytes. An entry is trusted for `lifetime` seconds: no watch tells of a value that expires."""
        self._limit = limit
        self._lifetime = lifetime
        self._now = now
        self._entries: OrderedDict[str, tuple[bytes | None, float]] = OrderedDict()
        self._open: dict[str, Question] = {}
        self._watched = False
        self.size = 0

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: str) -> bytes | Missing | None:
        """The value, None for a key that is absent, or MISSING when it has to be asked for."""
        found = self._entries.get(key)
        if found is None:
            return MISSING
        if found[1] < self._now():
            self._drop(key)
            return MISSING
        self._entries.move_to_end(key)
        return found[0]

    def ask(self, key: str) -> Question:
        """Somebody goes to look; one at a time for each key."""
        question = self._open[key] = Question(key, self._watched)
        return question

    def answer(self, question: Question, value: bytes | None) -> None:
        """What was found."""
        if question.keep:
            self._put(question.key, value)

    def done(self, question: Question) -> None:
        """The look-up is over, answered or not."""
        self._open.pop(question.key, None)

    def changed(self, key: str, value: bytes | None) -> None:
        """The watch says so. Only what somebody has asked for lately is kept."""
        if key in self._entries:
            self._put(key, value)
        question = self._open.get(key)
        if question is not None:
            question.keep = False

    def watched(self) -> None:
        """A watch is in place: what is asked from now on may be kept."""
        self._watched = True

    def forget(self) -> None:
        """The watch is lost, and with it what was known."""
        self._watched = False
        self._entries.clear()
        self.size = 0
        for question in self._open.values():
            question.keep = False

    def _put(self, key: str, value: bytes | None) -> None:
        if key in self._entries:
            self._drop(key)
        size = _size(key, value)
        if size > self._limit:
            return
        self._entries[key] = (value, self._now() + self._lifetime)
        self.size += size
        while self.size > self._limit:
            self._drop(next(iter(self._entries)))

    def _drop(self, key: str) -> None:
        value, _ = self._entries.pop(key)
        self.size -= _size(key, value)


def _size(key: str, value: bytes | None) -> int:
    return OVERHEAD + len(key) + (len(value) if value is not None else 0)
