"""A publisher as careful as the gateway's sources deserve: each event again and again, with its id, until a PubAck."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from types import TracebackType
from typing import NamedTuple, Self

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg

from .eventually import LONG, eventually

_RESEND_AFTER = 1.0


class Message(NamedTuple):
    """What is published."""

    subject: str
    data: bytes
    headers: dict[str, str]


class Publisher:
    """Keeps publishing over every outage. `stored` counts the events some stream has acknowledged."""

    def __init__(self, nc: Client, window: int = 1000) -> None:
        self._nc = nc
        self._window = window
        self._inbox = nc.new_inbox()
        self._open: dict[int, tuple[Message, float]] = {}
        self._room = asyncio.Event()
        self._next = 0
        self._resender: asyncio.Task[None] | None = None
        self.stored = 0
        self.duplicates = 0
        """Events the stream had, although its PubAck never came: the resending was not idle."""

    async def __aenter__(self) -> Self:
        await self._nc.subscribe(f"{self._inbox}.*", cb=self._answered)
        self._resender = asyncio.create_task(self._resend())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._resender is not None
        self._resender.cancel()

    async def publish(self, subject: str, data: bytes, headers: dict[str, str] | None = None) -> None:
        """Publish, as soon as fewer than a window's worth are open; comes back before the PubAck."""
        while len(self._open) >= self._window:
            self._room.clear()
            await self._room.wait()
        self._next += 1
        message = Message(subject, data, {**(headers or {}), "Nats-Msg-Id": f"{self._inbox}.{self._next}"})
        self._open[self._next] = (message, time.monotonic())
        await self._send(self._next, message)

    async def reached(self, events: int, timeout: float = LONG) -> None:
        """Wait until at least so many events are stored."""
        await eventually(lambda: self.stored >= events, timeout, f"{events} events stored")

    async def settled(self, timeout: float = LONG) -> None:
        """Wait until every event is stored."""
        async with asyncio.timeout(timeout):
            while self._open:
                self._room.clear()
                await self._room.wait()

    async def _send(self, number: int, message: Message) -> None:
        with contextlib.suppress(nats.errors.Error, OSError):
            if self._nc.is_connected:
                await self._nc.publish(message.subject, message.data, f"{self._inbox}.{number}", message.headers)

    async def _answered(self, answer: Msg) -> None:
        # An error or a 503 says nothing for good here: the event stays open, and is published again.
        number = int(answer.subject.rpartition(".")[2])
        if number in self._open and answer.data.startswith(b'{"stream":'):
            del self._open[number]
            self.stored += 1
            self.duplicates += bool(json.loads(answer.data).get("duplicate"))
            self._room.set()

    async def _resend(self) -> None:
        while True:
            await asyncio.sleep(0.1)
            before = time.monotonic() - _RESEND_AFTER
            for number, (message, sent) in list(self._open.items()):
                if sent < before and number in self._open:
                    self._open[number] = (message, time.monotonic())
                    await self._send(number, message)
