"""Bounds what connections to the HTTP port may cost: they share a process, and its file descriptors, with the events.

aiohttp reads requests and writes answers; it waits for ever for the rest of a request, and takes any number of
connections. So each one is watched from outside, as a protocol around aiohttp's own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

MOST = 128
"""Connections at a time: many scrapers, browsers and probes, and few of the descriptors a process may have."""
HEAD_TIME = 10.0
"""Seconds a request may take to come, counted from its first byte, or from the connection's start."""
HEAD_SIZE = 64 << 10
"""Bytes of one request: all of ours are GETs without a body."""
IDLE_TIME = 75.0
"""Seconds a connection may be idle between two requests: more than the usual interval of scrapes."""
TAKE_TIME = 30.0
"""Seconds in which an answer must be taken, but for what fits into the buffers on its way."""


class Doorman:
    """Knows the connections, and closes those that cost too much."""

    def __init__(self, inner: Callable[[], asyncio.Protocol]) -> None:
        """`inner` makes the protocol of one connection."""
        self._inner = inner
        self._connections: dict[asyncio.BaseTransport, Connection] = {}
        """The one that was heard of longest ago is the first."""

    def __call__(self) -> asyncio.Protocol:
        """The protocol of a new connection."""
        return Connection(self, self._inner())

    def arrived(self, transport: asyncio.BaseTransport | None) -> None:
        """A whole request has come."""
        connection = self._connections.get(transport) if transport is not None else None
        if connection is not None:
            connection.arrived()

    def answered(self, transport: asyncio.BaseTransport | None) -> None:
        """Its answer is made."""
        connection = self._connections.get(transport) if transport is not None else None
        if connection is not None:
            connection.answered()

    def opened(self, transport: asyncio.BaseTransport, connection: Connection) -> None:
        """A connection is there. When there are too many, the one goes that has waited longest, not the new one: else
        whoever leaves connections open would keep the scrapes out.
        """
        if len(self._connections) >= MOST:
            waiting = (one for one in self._connections.values() if not one.at_work)
            next(waiting, next(iter(self._connections.values()))).abort()
        self._connections[transport] = connection

    def heard(self, transport: asyncio.BaseTransport, connection: Connection) -> None:
        """It has done something."""
        if self._connections.pop(transport, None) is not None:
            self._connections[transport] = connection

    def closed(self, transport: asyncio.BaseTransport) -> None:
        """It is no more."""
        self._connections.pop(transport, None)


class Connection(asyncio.Protocol):
    """One connection; tells aiohttp's protocol everything it hears."""

    def __init__(self, doorman: Doorman, inner: asyncio.Protocol) -> None:
        self._doorman = doorman
        self._inner = inner
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._stalled: asyncio.TimerHandle | None = None
        self._came = 0
        """Bytes of a request that is not whole yet."""
        self.at_work = False
        """Whether a request is being answered."""

    def abort(self) -> None:
        """Close it now; what was not sent is not."""
        if self._transport is not None:
            self._doorman.closed(self._transport)
            self._transport.abort()

    def arrived(self) -> None:
        """A whole request has come."""
        self.at_work = True
        self._came = 0
        self._wait(None)

    def answered(self) -> None:
        """Its answer is made; the next request may come, or has begun to."""
        self.at_work = False
        self._wait(HEAD_TIME if self._came else IDLE_TIME)
        if self._transport is not None:
            self._doorman.heard(self._transport, self)

    def _wait(self, seconds: float | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None if seconds is None else asyncio.get_running_loop().call_later(seconds, self.abort)

    # ------------------------------------------------------------------ called by the loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Let it in."""
        # uvloop's is one without saying so.
        self._transport = cast(asyncio.Transport, transport)
        self._doorman.opened(transport, self)
        self._wait(HEAD_TIME)
        self._inner.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        """Some of a request."""
        if not self._came and not self.at_work:
            self._wait(HEAD_TIME)
        self._came += len(data)
        if self._came > HEAD_SIZE:
            self.abort()
            return
        self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        """Nothing more will come. aiohttp has it closed, so that an answer under way is not sent."""
        return self._inner.eof_received()

    def pause_writing(self) -> None:
        """The other side takes nothing now."""
        self._stalled = asyncio.get_running_loop().call_later(TAKE_TIME, self.abort)
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        """It does again."""
        if self._stalled is not None:
            self._stalled.cancel()
        self._inner.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone."""
        for timer in (self._timer, self._stalled):
            if timer is not None:
                timer.cancel()
        if self._transport is not None:
            self._doorman.closed(self._transport)
        self._inner.connection_lost(exc)
