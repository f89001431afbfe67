"""A publisher in the bare wire protocol: sends what nats-py refuses to, or changes on the way."""

from __future__ import annotations

import socket
from types import TracebackType


class RawClient:
    """One connection; use it as a context manager."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self._lines = self._socket.makefile("rb")
        self._lines.readline()
        self._socket.sendall(b'CONNECT {"verbose":false,"headers":true,"no_responders":true}\r\n')
        self.ping()

    def publish(self, subject: bytes, data: bytes, header_lines: bytes | None = None) -> None:
        """Publish, and make sure that the server has taken it. `header_lines` end in CRLF each."""
        if header_lines is None:
            self._socket.sendall(b"PUB %b %d\r\n%b\r\n" % (subject, len(data), data))
        else:
            block = b"NATS/1.0\r\n" + header_lines + b"\r\n"
            self._socket.sendall(b"HPUB %b %d %d\r\n%b%b\r\n" % (subject, len(block), len(block + data), block, data))
        self.ping()

    def ping(self) -> None:
        """Wait until the server has read everything so far; fails if it objects."""
        self._socket.sendall(b"PING\r\n")
        while (line := self._lines.readline()) != b"PONG\r\n":
            assert line.startswith((b"INFO", b"PING", b"+OK")), line

    def __enter__(self) -> RawClient:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._lines.close()
        self._socket.close()
