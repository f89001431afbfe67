"""The connection to the servers: made with patience, rebuilt when it was closed for good, told apart from a gap."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Callable

import nats.errors

from ..config import model
from ..errors import RouteFault
from .signin import sign_in
from .wire import Sink, Wire

log = logging.getLogger("gateway.nats")

DENIAL_MEMORY = 60.0
"""Seconds a permission violation is remembered; the server repeats it with every publish."""
ACKS = "$JS.ACK."
"""How the subjects begin that settle a delivery."""
COMPLAINT_PAUSE = 30.0
"""Seconds between two log lines about a server that cannot be reached."""
MAX_PAUSE = 30.0
"""Seconds between tries to build a connection that was closed for good, at most."""


class Connection:
    """One connection for everything. `generation` counts the clients built, so that holders know theirs is gone."""

    def __init__(self, config: model.Nats, name: str) -> None:
        self._config = config
        self._name = name
        self.wire = Wire()
        self.generation = 0
        self.reconnects = 0
        self.readers = 0
        """Sources that share what may be on its way to us."""
        self.gap = 0.0
        """Seconds the last disconnection lasted."""
        self.changed: list[Callable[[bool], None]] = []
        """Called with True after a connection is there (again), with False when it is lost."""
        self.on_denial: list[Callable[[str], None]] = []
        """Called with the subject the server has just said we may not publish to."""
        self._denied: dict[str, float] = {}
        self._lost_at = 0.0
        self._closing = False
        self._complained_at = -COMPLAINT_PAUSE
        self._was_connected = False
        self._builder: asyncio.Task[None] | None = None
        self._closed = asyncio.Event()
        self._there = asyncio.Event()

    @property
    def connected(self) -> bool:
        """Whether commands can be written now."""
        return bool(self.wire.is_connected)

    def denied(self, subject: str) -> bool:
        """Whether the server has said lately that we may not publish to `subject`."""
        at = self._denied.get(subject)
        return at is not None and time.monotonic() - at < DENIAL_MEMORY

    def start(self) -> None:
        """Begin to connect, and go on doing so for as long as it takes."""
        self._builder = asyncio.get_running_loop().create_task(self._keep())

    async def wait(self, seconds: float) -> bool:
        """Whether there is a connection, now or within so many seconds."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._there.wait(), seconds)
        return self.connected

    async def attach(self, subject: str, sink: Sink) -> tuple[int, int]:
        """Subscribe with a sink on the present client; returns its id, and the client's generation.

        Raises RouteFault when the connection goes meanwhile.
        """
        wire, generation = self.wire, self.generation
        try:
            return await wire.attach(subject, sink), generation
        except (nats.errors.Error, OSError) as error:
            raise RouteFault("disconnected", f"cannot subscribe: {error or type(error).__name__}") from error

    async def close(self) -> None:
        """Flush and close for good."""
        self._closing = True
        if self._builder is not None:
            self._builder.cancel()
        if self.connected:
            self.wire.flush_out()
            try:
                await self.wire.flush(2)
            except (nats.errors.Error, TimeoutError, OSError) as error:
                log.warning("could not flush before closing: %s", error, extra={"event": "nats.flush-failed"})
        if not self.generation:
            return  # Never connected: nats-py refuses to close what it did not open.
        try:
            await asyncio.wait_for(self.wire.close(), 3)
        except (TimeoutError, nats.errors.Error, OSError) as error:
            log.warning("connection did not close cleanly: %s", error, extra={"event": "nats.close-failed"})

    async def _keep(self) -> None:
        """Build a connection whenever there is none; nats-py itself reconnects within one."""
        failures = 0
        while not self._closing:
            self._closed.clear()
            try:
                await self._connect()
                failures = 0
                await self._closed.wait()
                log.error(
                    "connection closed for good: %s",
                    _why(self.wire.last_error),
                    extra={"event": "nats.closed", "servers": self._shown_servers()},
                )
            except Exception as error:  # noqa: BLE001 - nkeys and nats-py raise anything over bad credentials
                await self._on_error(error)
            failures += 1
            pause = min(MAX_PAUSE, 0.25 * 2 ** min(failures - 1, 10))
            await asyncio.sleep(pause * (0.8 + 0.4 * random.random()))

    async def _connect(self) -> None:
        wire = Wire()
        wire.on_denied = self._note_denial
        tls = self._config.tls
        wire.require_tls = tls is not None and not tls.handshake_first
        try:
            await self._open(wire)
        except BaseException:
            wire.abandon()
            raise
        previous, self.wire = self.wire, wire
        self.generation += 1
        del previous
        self._up()

    async def _open(self, wire: Wire) -> None:
        await wire.connect(
            servers=self._config.servers,
            name=f"nats-event-gateway {self._name}",
            error_cb=self._on_error,
            disconnected_cb=self._on_disconnected,
            reconnected_cb=self._on_reconnected,
            closed_cb=self._on_closed,
            lame_duck_mode_cb=self._on_lame_duck,
            allow_reconnect=True,
            max_reconnect_attempts=-1,
            reconnect_time_wait=0.25,  # type: ignore[arg-type]  # seconds; nats-py only sleeps for it
            connect_timeout=2,
            ping_interval=10,
            max_outstanding_pings=2,
            pending_size=8 << 20,
            inbox_prefix=self._config.inbox_prefix.encode(),
            skip_subject_validation=True,
            **sign_in(self._config),
        )

    def _up(self) -> None:
        now = time.monotonic()
        self.gap = now - self._lost_at if self._lost_at else 0.0
        if self._was_connected:
            self.reconnects += 1
        self._was_connected = True
        self._lost_at = 0.0
        self._there.set()
        url = self.wire.connected_url
        log.info(
            "connected" if not self.gap else f"connected again after {self.gap:.1f} s",
            extra={"event": "nats.connected", "server": url.netloc.rpartition("@")[2] if url else ""},
        )
        self._tell(True)

    def _tell(self, connected: bool) -> None:
        for listener in list(self.changed):
            listener(connected)

    def _note_denial(self, subject: str) -> None:
        if len(self._denied) > 10_000:
            self._denied.clear()
        self._denied[consumer_of(subject) if subject.startswith(ACKS) else subject] = time.monotonic()
        for listener in self.on_denial:
            listener(subject)

    # nats-py awaits these inside its read loop: they must be quick and never raise.

    async def _on_error(self, error: Exception) -> None:
        now = time.monotonic()
        lost = self._was_connected and not self._lost_at  # The line about that comes next, from _on_disconnected.
        if self.connected or lost or now - self._complained_at < COMPLAINT_PAUSE:
            log.debug("nats: %s", error, extra={"event": "nats.error"})
            return
        self._complained_at = now
        log.error(
            "cannot connect: %s", _why(error), extra={"event": "nats.unreachable", "servers": self._shown_servers()}
        )

    async def _on_disconnected(self) -> None:
        if not self._lost_at and not self._closing:
            self._lost_at = time.monotonic()
            self._there.clear()
            log.warning("connection lost", extra={"event": "nats.disconnected"})
            self._tell(False)

    async def _on_reconnected(self) -> None:
        self._up()

    async def _on_closed(self) -> None:
        self._closed.set()

    async def _on_lame_duck(self) -> None:
        log.info("the server is about to go: moving to another", extra={"event": "nats.lame-duck"})
        await self.wire.force_reconnect()

    def _shown_servers(self) -> str:
        """The servers without what may be a password before the @."""
        return ", ".join(server.rpartition("@")[2] for server in self._config.servers)


def consumer_of(ack_subject: str) -> str:
    """The part of an ack subject that names the consumer: a denial of one is a denial of all of them."""
    tokens = ack_subject.split(".")
    return ".".join(tokens[: 4 if len(tokens) == 9 else 6])


def _why(error: BaseException | None) -> str:
    if error is None:
        return "the server ended it"
    return str(error) or type(error).__name__
