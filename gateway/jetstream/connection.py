"""The connection to the servers: made with patience, rebuilt when it was closed for good, moved to another sign-in."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from functools import partial

import nats.errors

from ..config import model
from ..errors import RouteFault
from ..runtime.ending import ended
from .complaints import Complaints, shown
from .denials import Denials
from .dialing import client, options
from .failures import Failure, Failures, explain
from .partings import Partings, close
from .refusals import TooSoonError, pause_after
from .signin import fingerprint
from .wire import Sink, Wire

log = logging.getLogger("gateway.nats")

CANCEL_AGAIN = 0.2
"""Seconds until a task that builds one is cancelled again."""


class Connection:
    """One connection for everything. `generation` counts the clients built, so that holders know theirs is gone."""

    def __init__(self, config: model.Nats, name: str) -> None:
        self._config = config
        self._name = name
        self._inbox_prefix = config.inbox_prefix
        self.wire = Wire()
        self.generation = 0
        self.reconnects = 0
        self.readers = 0
        """Sources that share what may be on its way to us."""
        self.gap = 0.0
        """Seconds the last disconnection lasted."""
        self.changed: list[Callable[[bool], None]] = []
        """Called with True after a connection is there (again), with False when it is lost."""
        self.denials = Denials(config.inbox_prefix)
        self.failures = Failures()
        """Why there is no connection, as far as servers and files have said it."""
        self._complaints = Complaints(self.failures)
        self._lost_at = 0.0
        self._closing = False
        self._was_connected = False
        self._builder: asyncio.Task[None] | None = None
        self._taking: asyncio.Task[None] | None = None
        self._partings = Partings()
        self._signed = ""
        """Fingerprint of the config the present client was made with."""
        self._stays = False
        self._there = asyncio.Event()

    @property
    def connected(self) -> bool:
        """Whether commands can be written now."""
        return bool(self.wire.is_connected)

    def denied(self, subject: str) -> bool:
        """Whether the server has said lately that we may not publish to `subject`."""
        return self.denials.of(subject)

    def start(self) -> None:
        """Begin to connect, and go on doing so for as long as it takes."""
        self._builder = asyncio.get_running_loop().create_task(self._keep())

    def use(self, config: model.Nats) -> None:
        """Go over to other servers or another sign-in, if they are others; files count with their content.

        The connection there is stays until the other one stands, and for as long as that takes.
        """
        self._config = config
        self._stays = False
        self._complaints.over()
        self._build_anew()

    def stay(self) -> None:
        """Do not move before `use`: routes that drain need the connection they have."""
        self._stays = True
        self._build_anew()

    def _build_anew(self) -> None:
        if self._builder is not None and not self._closing:
            self._builder.cancel()
            self._builder = asyncio.get_running_loop().create_task(self._keep(self._builder))

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
            await ended(self._builder, CANCEL_AGAIN)
            if self._taking is not None:
                await asyncio.wait({self._taking})
        await self._partings.hurry()
        if self.connected:
            self.wire.flush_out()
            try:
                await self.wire.flush(2)
            except (nats.errors.Error, TimeoutError, OSError) as error:
                log.warning("could not flush before closing: %s", error, extra={"event": "nats.flush-failed"})
        if self.generation:  # nats-py refuses to close what it did not open
            await close(self.wire)

    async def _keep(self, before: asyncio.Task[None] | None = None) -> None:
        """Build a connection whenever there is none; nats-py itself reconnects within one."""
        if before is not None:
            await ended(before, CANCEL_AGAIN)
        if self._taking is not None:
            await asyncio.wait({self._taking})
        # This frame stays until the next reload: with the task before it, it would keep all that there ever were.
        before = None
        failures = 0
        while not self._closing:
            try:
                if not self._stands():
                    await self._connect()
                failures = 0
                await self.wire.ended.wait()
                log.error(
                    "connection closed for good: %s",
                    explain(self.wire.last_error).text if self.wire.last_error else "the server ended it",
                    extra={"event": "nats.closed", "servers": shown(self._config.servers)},
                )
            except Exception as error:  # noqa: BLE001 - nkeys and nats-py raise anything over bad credentials
                self._complain(error)
            failures += 1
            await asyncio.sleep(pause_after(failures))

    def _stands(self) -> bool:
        """Whether the present client is the one the config asks for."""
        if not self.generation or self.wire.ended.is_set():
            return False
        return self._stays or self._signed == fingerprint(self._config)

    async def _connect(self) -> None:
        wire = client(self._config, self.denials)
        signed = fingerprint(self._config)
        try:
            await self._open(wire)
        except BaseException:
            wire.abandon()
            raise
        # To its end, whatever else comes: half a move would be a connection that is deaf.
        self._taking = asyncio.get_running_loop().create_task(self._take(wire, signed))
        await asyncio.shield(self._taking)

    async def _take(self, wire: Wire, signed: str) -> None:
        """The new client is the one from now on; one that still works brings what was on its way, and goes."""
        previous = self.wire
        try:
            if previous.is_connected:
                log.info("moving over: servers or sign-in have changed", extra={"event": "nats.moving"})
                self._lost()
                await previous.hush()
        finally:
            previous.sinks.clear()
            self.wire, self._signed = wire, signed
            self.generation += 1
            self.denials.clear()
            if self.generation > 1 and not previous.is_closed:
                self._partings.add(previous)
            if wire.is_connected:
                self._up()

    async def _open(self, wire: Wire) -> None:
        await wire.connect(
            error_cb=partial(self._on_error, wire),
            disconnected_cb=partial(self._on_disconnected, wire),
            reconnected_cb=partial(self._on_reconnected, wire),
            closed_cb=partial(self._on_closed, wire),
            lame_duck_mode_cb=partial(self._on_lame_duck, wire),
            **options(self._config, self._name, self._inbox_prefix),
        )

    def _up(self) -> None:
        now = time.monotonic()
        self.gap = now - self._lost_at if self._lost_at else 0.0
        if self._was_connected:
            self.reconnects += 1
        self._was_connected = True
        self._lost_at = 0.0
        self._complaints.over()
        self.wire.refusals.forget()
        self._there.set()
        log.info(
            "connected" if not self.gap else f"connected again after {self.gap:.1f} s",
            extra={"event": "nats.connected", "server": self.wire.server},
        )
        self._tell(True)

    def _tell(self, connected: bool) -> None:
        for listener in list(self.changed):
            listener(connected)

    # nats-py awaits these inside its read loop: they must be quick and never raise.

    async def _on_error(self, wire: Wire, error: Exception) -> None:
        if wire.given_up or isinstance(error, TooSoonError):
            return
        # A loss has a line of its own, which comes next, from _on_disconnected.
        if wire is self.wire and (self.connected or (self._was_connected and not self._lost_at)):
            log.debug("nats: %s", error, extra={"event": "nats.error"})
            return
        if self._complain(error, wire.server).code == "refused":
            wire.refusals.note(wire.server)

    def _complain(self, error: BaseException, server: str = "") -> Failure:
        """There is no connection, or not the one the config asks for."""
        return self._complaints.about(error, self._config.servers, server, connected=self.connected)

    async def _on_disconnected(self, wire: Wire) -> None:
        if wire is self.wire and not self._lost_at and not self._closing:
            self._lost()
            log.warning("connection lost", extra={"event": "nats.disconnected"})

    def _lost(self) -> None:
        self._lost_at = time.monotonic()
        self._there.clear()
        self.denials.deaf = ""
        self._tell(False)

    async def _on_reconnected(self, wire: Wire) -> None:
        if wire is self.wire:
            self._up()

    async def _on_closed(self, wire: Wire) -> None:
        wire.ended.set()

    async def _on_lame_duck(self, wire: Wire) -> None:
        log.info("the server is about to go: moving to another", extra={"event": "nats.lame-duck"})
        wire.flush_out()  # What is settled in this turn of the loop is still for the old one.
        await wire.force_reconnect()
