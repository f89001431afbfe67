"""TCP forwarders between the processes under test: a network that can be cut, held and slowed without privileges."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Self

_CHUNK = 1 << 18


class Link:
    """Forwards one loopback port to another. Bytes are never changed, dropped singly or put in another order.

    `cut` is a process that has gone, as its peers see it: connections end. `hold` is a dead cable: nobody is told, and
    what was sent arrives when it is mended.
    """

    def __init__(self, port: int, upstream: int) -> None:
        """`port` is ours, `upstream` the process's."""
        self.port = port
        self._upstream = upstream
        self._listener: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._serving: set[asyncio.Task[None]] = set()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._is_cut = False
        self.delay = 0.0
        """Seconds that bytes wait here, in each direction."""

    @property
    def connections(self) -> int:
        """How many go through."""
        return len(self._writers) // 2

    def cut(self) -> None:
        """End every connection, and each new one at once, until `mend`."""
        self._is_cut = True
        for writer in list(self._writers):
            writer.transport.abort()

    def hold(self) -> None:
        """Let nothing through until `mend`, and keep it all."""
        self._flowing.clear()

    def mend(self) -> None:
        """As good as new."""
        self._is_cut, self.delay = False, 0.0
        self._flowing.set()

    async def __aenter__(self) -> Self:
        self._listener = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        return self

    async def __aexit__(self, *_exc: object) -> None:
        assert self._listener is not None
        self._listener.close()
        self.cut()
        self._flowing.set()
        await asyncio.gather(*self._serving, return_exceptions=True)
        await self._listener.wait_closed()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # A task of ours: the listener's own would be cancelled at the end, and complain.
        serving = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._serving.add(serving)
        serving.add_done_callback(self._serving.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._is_cut:
            writer.transport.abort()
            return
        try:
            up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self._upstream)
        except OSError:
            writer.transport.abort()
            return
        both = {writer, up_writer}
        self._writers |= both
        if self._is_cut:
            self.cut()
        pumps = [
            asyncio.create_task(self._pump(reader, up_writer)),
            asyncio.create_task(self._pump(up_reader, writer)),
        ]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            self._writers -= both
            for end in both:
                end.transport.abort()
            await asyncio.gather(*pumps, return_exceptions=True)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while chunk := await reader.read(_CHUNK):
                if self.delay:
                    await asyncio.sleep(self.delay)
                await self._flowing.wait()
                writer.write(chunk)
                await writer.drain()
