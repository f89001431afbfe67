"""How much has been asked for and not yet come: the account of outstanding pull requests.

The server serves several requests in turn and says nothing when one is used up, so only the sum is known; each
request is dropped from it at its deadline, so that an error cannot last.
"""

from __future__ import annotations

from collections import deque

GRACE = 1.0
"""Seconds after its `expires` in which the server's word about a request may still come."""


class _Request:
    __slots__ = ("asked", "deadline", "events", "number", "size")

    def __init__(self, number: int, events: int, size: int, deadline: float) -> None:
        self.number = number
        self.asked = events
        self.events = events
        self.size = size
        self.deadline = deadline


class Pulls:
    """Outstanding pull requests, oldest first; `events` and `size` are what is still to come."""

    __slots__ = ("_requests", "events", "last", "size")

    def __init__(self) -> None:
        self._requests: deque[_Request] = deque()
        self.last = 0
        self.events = 0
        self.size = 0

    def asked(self, events: int, size: int, deadline: float) -> int:
        """Note a request; returns its number."""
        self.last += 1
        self._requests.append(_Request(self.last, events, size, deadline))
        self.events += events
        self.size += size
        return self.last

    def came(self, size: int) -> None:
        """A message came; it is taken off the oldest request, whichever it belonged to."""
        if not self._requests:
            return
        first = self._requests[0]
        first.events -= 1
        self.events -= 1
        taken = min(size, first.size)
        first.size -= taken
        self.size -= taken
        if first.events <= 0:
            self._drop(first)

    def ended(self, number: int, undelivered: int | None) -> bool:
        """The server ended a request, with so many of its messages not delivered (None: it does not say).

        True when it delivered nothing for the request.
        """
        found = next((request for request in self._requests if request.number == number), None)
        untouched = found is not None and undelivered is not None and undelivered >= found.asked
        if found is not None and (undelivered is None or undelivered >= found.events):
            rest = 0 if undelivered is None else undelivered - found.events
            self._drop(found)
        else:
            # Its messages were taken off the oldest ones: what it did not deliver is owed by those that stand.
            rest = undelivered or 0
        while rest > 0 and self._requests:
            first = self._requests[0]
            taken = min(rest, first.events)
            first.events -= taken
            self.events -= taken
            rest -= taken
            if first.events <= 0:
                self._drop(first)
        return untouched

    def expire(self, now: float) -> None:
        """Drop what should have ended by itself."""
        while self._requests and self._requests[0].deadline + GRACE < now:
            self._drop(self._requests[0])

    def clear(self) -> None:
        """Nothing is outstanding any more."""
        self._requests.clear()
        self.events = 0
        self.size = 0

    def _drop(self, request: _Request) -> None:
        self._requests.remove(request)
        self.events -= request.events
        self.size -= request.size
