"""The TCP connection beneath nats-py's client. Its own leaves sockets open when it tries the next server, and waits for
ever for the end of one whose handshake was given up.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from typing import Any
from urllib.parse import ParseResult

from nats.aio.transport import TcpTransport

CLOSING = 1.0
"""Seconds a connection has to close by itself."""


class Tcp(TcpTransport):
    """A connection to one server after the other, each closed before the next."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]

    async def connect(self, uri: ParseResult, buffer_size: int, connect_timeout: int) -> None:
        """Let go of the former server and connect to this one."""
        self.abort()
        await super().connect(uri, buffer_size, connect_timeout)

    async def connect_tls(
        self, uri: str | ParseResult, ssl_context: ssl.SSLContext, buffer_size: int, connect_timeout: int
    ) -> None:
        """Encrypt from here on; what cannot be is closed at once."""
        try:
            await super().connect_tls(uri, ssl_context, buffer_size, connect_timeout)
            if self._io_writer is None or self._io_writer.transport.is_closing():
                raise ConnectionResetError("the server has ended the connection")
            # nats-py does not tell its reader, which would ask to stay half open at the end; asyncio complains of that.
            protocol: Any = self._io_writer.transport.get_protocol()
            protocol._over_ssl = True
        except BaseException:
            self.abort()
            raise

    async def wait_closed(self) -> None:
        """Wait until it is closed, or close it."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(super().wait_closed(), CLOSING)  # type: ignore[no-untyped-call]
            return
        self.abort()

    def abort(self) -> None:
        """End what is open, without a word."""
        for writer in (self._io_writer, self._bare_io_writer):
            if writer is not None:
                writer.transport.abort()
