"""A TCP proxy that understands NATS frames: what passes between a gateway and its server is the test's to decide."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Self

_WITH_PAYLOAD = frozenset({"PUB", "HPUB", "MSG", "HMSG"})


@dataclass(frozen=True)
class Frame:
    """One protocol frame; `subject` and `payload` (headers included) are empty where a verb has none."""

    upward: bool
    """From the client to the server."""
    verb: str
    subject: str
    payload: bytes

    @property
    def settles(self) -> bool:
        """Whether it is an ack or term: what ends a delivery for good."""
        return self.upward and self.subject.startswith("$JS.ACK.") and self.payload[:4] not in (b"+WPI", b"-NAK")

    @property
    def is_puback(self) -> bool:
        """Whether it is a stream's word that it stored something."""
        return not self.upward and self.payload.startswith(b'{"stream":') and b'"seq":' in self.payload


class Proxy:
    """Listens on a port of its own; `passes` is asked for every frame, and what it refuses is dropped without a word.

    `passed` and `dropped` count frames by what `name` calls them: set both as the test likes, at any time.
    """

    def __init__(self, port: int) -> None:
        """`port` is the server's."""
        self._port = port
        self.passes: Callable[[Frame], bool] = lambda _frame: True
        self.watched: dict[str, Callable[[Frame], bool]] = {}
        self.passed: Counter[str] = Counter()
        self.dropped: Counter[str] = Counter()
        self._listener: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    @property
    def url(self) -> str:
        """Where clients connect."""
        assert self._listener is not None
        return f"nats://127.0.0.1:{self._listener.sockets[0].getsockname()[1]}"

    def watch(self, name: str, what: Callable[[Frame], bool]) -> None:
        """Count the frames that `what` accepts under `name`."""
        self.watched[name] = what

    def cut(self) -> None:
        """End every connection at once; new ones are welcome."""
        for writer in list(self._writers):
            writer.transport.abort()

    async def __aenter__(self) -> Self:
        self._listener = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_exc: object) -> None:
        assert self._listener is not None
        self._listener.close()
        self.cut()
        await self._listener.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self._port)
        except OSError:
            writer.transport.abort()
            return
        both = {writer, up_writer}
        self._writers |= both
        pumps = [
            asyncio.create_task(self._pump(reader, up_writer, upward=True)),
            asyncio.create_task(self._pump(up_reader, writer, upward=False)),
        ]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._writers -= both
            for end in both:
                end.transport.abort()
            await asyncio.gather(*pumps, return_exceptions=True)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, upward: bool) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            async for raw, frame in _frames(reader, upward=upward):
                wanted = self.passes(frame)
                for name, what in self.watched.items():
                    if what(frame):
                        (self.passed if wanted else self.dropped)[name] += 1
                if wanted:
                    writer.write(raw)
                    await writer.drain()


async def _frames(reader: asyncio.StreamReader, *, upward: bool) -> AsyncIterator[tuple[bytes, Frame]]:
    while True:
        line = await reader.readuntil(b"\r\n")
        words = line.split()
        verb = words[0].decode().upper() if words else ""
        if verb in _WITH_PAYLOAD:
            payload = await reader.readexactly(int(words[-1]) + 2)
            yield line + payload, Frame(upward, verb, words[1].decode(), payload[:-2])
        else:
            yield line, Frame(upward, verb, words[1].decode() if verb == "SUB" else "", b"")
