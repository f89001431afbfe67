"""The data path on nats-py's connection: our parser in place of its own, our writes beside its own.

nats-py makes a Msg, a dict of headers and a queue hop of every message, which costs three times what routing it costs,
and loses headers it cannot represent. Connecting, authentication, TLS, reconnecting and the control plane stay
nats-py's. The names with an underscore used here are why `pyproject.toml` holds nats-py to one minor version;
docs/decisions/0002 has the figures and the ways not taken. Protocol: docs.nats.io, "NATS Client Protocol".
"""

from __future__ import annotations

import ast
import asyncio
import contextlib
import json
import logging
import ssl
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import ParseResult

from nats.aio.client import DEFAULT_BUFFER_SIZE, Client
from nats.errors import Error, ProtocolError

from .refusals import Refusals
from .transport import Tcp

log = logging.getLogger("gateway.nats")

Sink = Callable[[str, str, bytes, bytes], None]
"""Takes subject, reply subject (or ""), header block (or b"") and payload of one message."""

DETACH_WAIT = 2
"""Seconds the server has, when a subscription ends, to send what was already on its way."""
MAX_CONTROL_LINE = 1 << 20
"""Bytes without a line end after which the peer is no NATS server; an INFO line of a large cluster is far smaller."""


class PlaintextError(Error):
    """A server wants to talk in plaintext."""


def _told_to_end() -> bool:
    """Whether the task was cancelled and goes on.

    `asyncio.wait_for` of Python 3.11 loses a cancellation that comes in the moment in which a connection is made or
    refused; nats-py's task would go on to try for ever, and be connected after its client is closed.
    """
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


class Wire(Client):
    """A nats-py client whose subscriptions may have a sink, and which writes without waiting."""

    def __init__(self) -> None:
        super().__init__()
        self.sinks: dict[bytes, Sink] = {}
        self.on_denied: Callable[[str], None] = _ignore
        """Told the subjects we may not publish to, as the server tells it."""
        self.on_deaf: Callable[[str], None] = _ignore
        """Told the subjects we may not subscribe to."""
        self.require_tls = False
        """Refuse a server that does not offer TLS before anything is said to it."""
        self.fresh_tls: Callable[[], ssl.SSLContext] | None = None
        """Gives the context for the next handshake: certificates are rotated while the process runs."""
        self.identity: Callable[[ParseResult, bool], dict[str, str]] = _nobody
        """Gives user and password, or token, for a server's URL, and whether the config lists that server."""
        self.refusals = Refusals()
        self.server = ""
        """Host and port of the server connected to, or tried last."""
        self.ended = asyncio.Event()
        """Set once it is closed for good."""
        self.given_up = False
        """Whether nobody wants it any more: what fails here says nothing of the connection there is."""
        self._ps = Parser(self)  # type: ignore[assignment]
        self._out: list[bytes] = []
        self._flushing = False

    @property
    def ssl_context(self) -> ssl.SSLContext:
        """The context for a handshake; nats-py would keep the first one for good."""
        return self.fresh_tls() if self.fresh_tls is not None else super().ssl_context

    async def _connect_to_server(self, server: Any) -> None:
        """By our own transport. A web socket without TLS is never upgraded, whatever its server says."""
        if _told_to_end():
            raise asyncio.CancelledError
        address = str(server.uri.netloc).rpartition("@")[2]
        self.refusals.admit(address)
        self.server = address
        if self.require_tls and server.uri.scheme == "ws":
            raise PlaintextError("ws:// is not encrypted, and the config asks for TLS")
        if server.uri.scheme in ("ws", "wss"):
            await super()._connect_to_server(server)
            return
        server.last_attempt = time.monotonic()
        transport = self._transport if isinstance(self._transport, Tcp) else Tcp()
        self._transport = transport
        await transport.connect(server.uri, DEFAULT_BUFFER_SIZE, self.options["connect_timeout"])

    async def _process_info(self, info: dict[str, Any], initial_connection: bool = False) -> None:
        """nats-py goes on in plaintext when a server offers no TLS; we end it before any credential is sent."""
        server = self._current_server
        encrypted = self.options["tls_handshake_first"] or (server is not None and server.uri.scheme == "wss")
        if initial_connection and self.require_tls and not encrypted and not info.get("tls_required"):
            raise PlaintextError("the server offers no TLS, and the config asks for it")
        await super()._process_info(info, initial_connection)

    async def _process_connect_init(self) -> None:
        """nats-py would send now what was asked for while there was no connection, however long ago.

        Whoever waited has given up: a durable changed or deleted so late would undo what others made of it since.
        """
        if _told_to_end():
            self.abandon()
            raise asyncio.CancelledError
        await super()._process_connect_init()
        self._pending, self._pending_data_size = [], 0

    def _connect_command(self) -> bytes:
        """Who we are to this server; nats-py sends what stands in its URL without decoding it."""
        server = self._current_server
        if server is not None:
            self.options.update(self.identity(server.uri, not server.discovered))
        return bytes(super()._connect_command())

    async def _attempt_reconnect(self) -> None:
        """nats-py's task dies without a word over what it does not foresee, such as half-written credentials."""
        try:
            await super()._attempt_reconnect()
        except Exception as error:  # noqa: BLE001 - whatever it is: closed for good is what its owner mends
            self._err = error
            await self._close(Client.CLOSED)

    async def _close(self, status: int, do_cbs: bool = True) -> None:
        """nats-py writes what is queued to whatever server is being tried, before that one is known to be encrypted."""
        if self._status != Client.CONNECTED:
            self._pending, self._pending_data_size = [], 0
        await super()._close(status, do_cbs)

    def abandon(self) -> None:
        """Let go of a connection half made: nats-py leaves it open over what it does not foresee."""
        self.given_up = True
        self._status = Client.CLOSED  # else its read loop takes that for a loss, and connects again
        transport: Any = self._transport
        if transport is not None:
            transport.close()

    async def attach(self, subject: str, sink: Sink) -> int:
        """Subscribe with a sink; survives reconnects like any subscription. Returns its id."""
        subscription = await self.subscribe(subject, cb=_never_called)
        sid: int = subscription._id
        self.sinks[str(sid).encode()] = sink
        # nats-py leaves its SUB to a task that may be waiting for the socket to drain, and what `write` sends next
        # would overtake it: a pull request whose inbox nobody listens to is dropped without a word. The second SUB
        # is ignored.
        self.write(b"SUB %b %d\r\n" % (subject.encode(), sid))
        return sid

    async def detach(self, sid: int) -> None:
        """Unsubscribe, and take what the server had sent before it knew."""
        try:
            if sid in self._subs and self.is_connected:
                self.write(b"UNSUB %d\r\n" % sid)
                await self._take_the_rest()
        finally:
            subscription = self._subs.pop(sid, None)
            if subscription is not None and subscription._wait_for_msgs_task is not None:
                subscription._wait_for_msgs_task.cancel()
            self.sinks.pop(str(sid).encode(), None)

    async def hush(self) -> None:
        """Let no subscription with a sink bring anything more, and take what was on its way."""
        for sid in self.sinks:
            self.write(b"UNSUB %b\r\n" % sid)
        await self._take_the_rest()

    async def _take_the_rest(self) -> None:
        """Wait until all that the server sent before it saw what we wrote has arrived."""
        # nats-py's PING must not overtake what is queued here: its PONG would come too soon.
        self.flush_out()
        # A server that does not answer, or is gone by now, has nothing more for us either.
        with contextlib.suppress(Error, OSError):
            await self.flush(DETACH_WAIT)

    def write(self, command: bytes) -> bool:
        """Queue a protocol command for this turn of the loop; False, and nothing kept, while disconnected."""
        if self._status != Client.CONNECTED:
            return False
        self._out.append(command)
        if not self._flushing:
            self._flushing = True
            asyncio.get_running_loop().call_soon(self.flush_out)
        return True

    def flush_out(self) -> None:
        """Hand everything queued to the transport in one write."""
        self._flushing = False
        if self._out:
            out, self._out = self._out, []
            if self._status == Client.CONNECTED and self._transport is not None:
                # A transport that broke says so to the read loop, which reconnects; what was written is sent again.
                # uvloop's raises when it knows before nats-py does.
                with contextlib.suppress(RuntimeError, OSError):
                    self._transport.write(b"".join(out))


class Parser:
    """Splits what the server sends. Replaces nats-py's parser, whose two methods it has: `parse` and `reset`."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self.buf = b""
        self._chunks: list[bytes] = []
        self._missing = 0
        self._resets = 0

    def reset(self) -> None:
        """Forget half a message: the connection is a new one."""
        self._resets += 1
        self.buf = b""
        self._chunks = []
        self._missing = 0

    async def parse(self, data: bytes = b"") -> None:
        """Take what was read and dispatch every whole message in it. Raises ProtocolError only."""
        if self._missing > 0:
            # Within a large payload: collect, instead of copying all that came before with every read.
            self._chunks.append(data)
            self._missing -= len(data)
            if self._missing > 0:
                return
            data = b"".join(self._chunks)
            self._chunks = []
        elif self.buf:
            data = self.buf + data
        self.buf = b""
        resets = self._resets
        try:
            position = await self._dispatch(data)
        except (ValueError, IndexError, RecursionError) as error:
            raise ProtocolError from error
        if resets != self._resets:
            # Something in it ended the connection, as the goodbye of a server does: the next one owes us no rest.
            self._missing = 0
            return
        rest = data[position:]
        if self._missing > 0:
            self._chunks = [rest]
        else:
            self.buf = rest
            if len(rest) > MAX_CONTROL_LINE:
                raise ProtocolError

    async def _dispatch(self, data: bytes) -> int:
        """Dispatch from the start of `data`; returns where the first incomplete message begins."""
        sinks = self._wire.sinks
        position = 0
        end = len(data)
        while True:
            line_end = data.find(b"\r\n", position)
            if line_end < 0:
                return position
            first = data[position]
            if first != 0x4D and first != 0x48:  # neither MSG nor HMSG
                await self._control(data[position:line_end])
                position = line_end + 2
                continue
            # The server parts them by one space each; a subject may hold whatever else Python takes for white space.
            args = data[position:line_end].split(b" ")
            size = int(args[-1])
            header_size = int(args[-2]) if first == 0x48 else 0
            if not 0 <= header_size <= size:
                raise ProtocolError
            start = line_end + 2
            stop = start + size
            if stop + 2 > end:
                self._missing = stop + 2 - end
                return position
            with_reply = len(args) == (6 if header_size else 5)
            sink = sinks.get(args[2])
            payload_at = start + header_size
            if sink is None:
                await self._wire._process_msg(
                    int(args[2]),
                    args[1],
                    args[3] if with_reply else b"",
                    data[payload_at:stop],
                    data[start:payload_at] if header_size else b"",
                )
            else:
                try:
                    sink(
                        args[1].decode("utf-8", "surrogateescape"),
                        args[3].decode("utf-8", "surrogateescape") if with_reply else "",
                        data[start:payload_at],
                        data[payload_at:stop],
                    )
                except (Exception, SystemExit, asyncio.CancelledError):
                    # An exception here would end the read loop and leave a connection that is up and deaf.
                    log.exception("a sink failed", extra={"event": "nats.sink-failed"})
            position = stop + 2

    async def _control(self, line: bytes) -> None:
        """Everything but messages; rare."""
        wire = self._wire
        operation = line[:4].upper()
        if operation == b"PING":
            await wire._process_ping()
        elif operation == b"PONG":
            await wire._process_pong()
        elif operation == b"INFO":
            info = json.loads(line[5:])
            if not isinstance(info, dict):
                raise ProtocolError
            await wire._process_info(info)
        elif operation == b"-ERR":
            text = line[5:].decode("utf-8", "replace").strip().strip("'")
            for what, told in (("publish", wire.on_denied), ("subscription", wire.on_deaf)):
                if text.lower().startswith(f"permissions violation for {what} to"):
                    told(_unquoted(text.partition('"')[2].rpartition('"')[0]))
            await wire._process_err(text.lower())
        elif operation[:3] != b"+OK":
            raise ProtocolError


def _unquoted(text: str) -> str:
    """What stood between the quotes of Go's %q, which escapes much as Python does."""
    if "\\" not in text:
        return text
    try:
        return str(ast.literal_eval(f'"{text}"'))
    except (SyntaxError, ValueError):
        return text


async def _never_called(message: Any) -> None:
    """nats-py wants a callback; messages of a subscription with a sink never reach it."""


def _ignore(subject: str) -> None:
    """Nobody wants to know."""


def _nobody(server: ParseResult, listed: bool) -> dict[str, str]:
    """Nothing beyond what the options say."""
    return {}
