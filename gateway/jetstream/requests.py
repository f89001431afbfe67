"""The pull requests of one source: how much one asks for, when the next may be written, and how many stand."""

from __future__ import annotations

from typing import Any

import msgspec

from .connection import Connection
from .pulls import Pulls

EXPIRES = 30.0
"""Seconds a pull request stands; long, because an idle route should cost nothing."""
HEARTBEAT = 5.0
"""Seconds between the server's signs of life on an idle request."""
ON_THE_WAY = 32 << 20
"""Bytes asked for and not yet come, over all routes of one connection: the server ends one that is 64 MiB behind."""
BACKOFF = (0.1, 0.25, 0.5, 0.75)
"""Seconds before asking again after 1, 2, ... refusals in a row; below TRUST, after which it is looked at anyway."""
LOST_AFTER = len(BACKOFF)
"""Refusals in a row after which the consumer is looked for."""


class Requests:
    """Writes pull requests for `subject`, within what the connection, the durable and the last refusal allow."""

    def __init__(self, connection: Connection, subject: str, inbox: str, pulls: Pulls) -> None:
        """`pulls` is the account of those that stand; whoever gets the messages keeps it, too."""
        self._connection = connection
        self._subject = subject
        self._inbox = inbox
        self._pulls = pulls
        self.also: dict[str, Any] = {}
        """Fields of every request, beside those of how much and for how long."""
        self.refusals = 0
        """Requests refused in a row, since a message came."""
        self._not_before = 0.0
        self._most = 0
        self._most_size = 0
        self._expires = EXPIRES
        self._reads = False

    def begin(self, limits: dict[str, Any]) -> None:
        """The durable was found; its config may limit what one request asks for, and more would be refused."""
        self._most = int(limits.get("max_batch") or 0)
        self._most_size = int(limits.get("max_bytes") or 0)
        self._expires = min(EXPIRES, (limits.get("max_expires") or EXPIRES * 1e9) / 1e9)
        self.refusals = 0
        self._not_before = 0.0
        self._pulls.clear()
        if not self._reads:
            self._reads = True
            self._connection.readers += 1

    def end(self) -> None:
        """Nothing is read any more: the other sources of the connection may have more on its way."""
        if self._reads:
            self._reads = False
            self._connection.readers -= 1
        self._pulls.clear()

    def ask(self, events: int, size: int | None, now: float) -> bool:
        """Write a request; not while disconnected, nor too soon after a refusal. `size` None: one event of any size."""
        if now < self._not_before:
            return False
        if size is None:
            # One message of any size: the window is empty, and the next one would not fit into any share of it.
            events = 1
        else:
            share = ON_THE_WAY // max(1, self._connection.readers)
            if self._pulls.size > share // 2:
                return False
            size = min(size, share - self._pulls.size, self._most_size or size)
        events = min(events, self._most or events)
        heartbeat = min(HEARTBEAT, self._expires / 2)
        request = {"batch": events, "expires": int(self._expires * 1e9), "idle_heartbeat": int(heartbeat * 1e9)}
        if size is not None:
            request["max_bytes"] = size
        body = msgspec.json.encode(request | self.also)
        number = self._pulls.asked(events, size or 0, now + self._expires)
        command = f"PUB {self._subject} {self._inbox}.{number} {len(body)}\r\n".encode() + body + b"\r\n"
        if not self._connection.wire.write(command):
            self._pulls.clear()
            return False
        return True

    def refused(self, now: float) -> bool:
        """Nobody serves the requests; True when that was so often in a row that the consumer must be looked for."""
        self._pulls.clear()
        self.refusals += 1
        self._not_before = now + BACKOFF[min(self.refusals, len(BACKOFF)) - 1]
        if self.refusals < LOST_AFTER:
            return False
        self.refusals = 0
        return True
