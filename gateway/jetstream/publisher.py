"""Publishes for one lane: each message carries an inbox of ours as reply, whose last token says which it was."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable

from ..ports import LaneSink
from .answers import read
from .connection import Connection


class JetStreamPublisher:
    """The lane's way out. `prepare` must have run on the present client before anything is sent."""

    def __init__(
        self,
        connection: Connection,
        takers: Callable[[str], Awaitable[list[str] | None]],
        has_stream: Callable[[str], Awaitable[bool | None]],
        inbox_prefix: str,
        advice: Callable[[str | None], str],
    ) -> None:
        """`takers` asks which streams take a subject, `has_stream` whether there is one of a name; `advice` tells how
        to make the one a target lacks, or, asked for None, the dead letters.
        """
        self.advice = advice
        self._connection = connection
        self._takers = takers
        self._has_stream = has_stream
        self._inbox = f"{inbox_prefix}.{secrets.token_hex(8)}"
        self._reply = f"{self._inbox}.".encode()
        self._token_at = len(self._inbox) + 1
        self._sink: LaneSink | None = None
        self._generation = 0
        self._sid = 0

    def attach(self, sink: LaneSink) -> None:
        """Answers go to this lane."""
        self._sink = sink

    async def prepare(self) -> None:
        """Subscribe to the answers, once per client; raises RouteFault."""
        if self._generation != self._connection.generation:
            self._sid, self._generation = await self._connection.attach(f"{self._inbox}.*", self._answered)

    def send(self, subject: str, header_block: bytes, data: bytes, token: int) -> bool:
        """Write one message; False while disconnected."""
        head = len(header_block)
        return self._connection.wire.write(
            b"HPUB %b %b%d %d %d\r\n%b%b\r\n"
            % (
                subject.encode("utf-8", "surrogateescape"),
                self._reply,
                token,
                head,
                head + len(data),
                header_block,
                data,
            )
        )

    def denied(self, subject: str) -> bool:
        """Whether the server has said lately that we may not publish to `subject`."""
        return self._connection.denied(subject)

    async def takers(self, subject: str) -> list[str] | None:
        """The streams that take `subject`; None when nobody says."""
        return await self._takers(subject)

    async def has_stream(self, stream: str) -> bool | None:
        """Whether there is a stream of this name; None when nobody says."""
        return await self._has_stream(stream)

    @property
    def connected(self) -> bool:
        """Whether anything can be sent now."""
        return self._connection.connected

    @property
    def max_payload(self) -> int:
        """What the server takes in one message, headers included."""
        return int(self._connection.wire.max_payload)

    async def close(self) -> None:
        """Take no more answers."""
        if self._generation == self._connection.generation:
            await self._connection.wire.detach(self._sid)

    def _answered(self, subject: str, reply: str, header_block: bytes, data: bytes) -> None:
        token = subject[self._token_at :]
        if self._sink is not None and token.isdigit():
            self._sink.answered(int(token), read(header_block, data))
