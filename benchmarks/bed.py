"""The test bed: a nats-server of its own, a full stream to read, an empty one to write, and durables on pause."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any

import nats
from nats.aio.client import Client

from gateway.jetstream.server import EmbeddedServer

from . import work

OUT = "OUT"
AUDIT = "AUDIT"
_POLL = 0.02
_STALLED = 60.0
"""Seconds without progress after which a lane is given up."""
_AT_ONCE = 1000
_LAST_PAUSE = timedelta(seconds=0.3)
_FAR_AHEAD = "2100-01-01T00:00:00Z"


@dataclass(frozen=True)
class Source:
    """What a lane reads."""

    stream: str
    subject: str
    durable: str


class Bed:
    """A server, and what the benchmarks ask of it in its own words."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.server = EmbeddedServer(folder / "nats")
        self.client = Client()
        self._durables = 0

    async def __aenter__(self) -> Bed:
        await self.server.start()
        self.client = await nats.connect(self.server.url, error_cb=_expected)
        await self._stream("DEAD_LETTERS", "dlq.>")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.client.close()
        await self.server.stop()

    async def api(self, request: str, body: object = None) -> dict[str, Any]:
        """One JetStream API request; raises RuntimeError when the server refuses it."""
        answer = await self.client.request(
            f"$JS.API.{request}", b"" if body is None else json.dumps(body).encode(), timeout=10
        )
        found: dict[str, Any] = json.loads(answer.data)
        if "error" in found:
            raise RuntimeError(f"{request}: {found['error']}")
        return found

    async def fill(self, stream: str, events: int, size: int, *, half: bool) -> None:
        """A stream with so many events; with `half`, every other one is not wanted."""
        subject = f"{stream.lower()}.created"
        await self._stream(stream, f"{stream.lower()}.>")
        js = self.client.jetstream()
        for start in range(0, events, _AT_ONCE):
            numbers = range(start, min(start + _AT_ONCE, events))
            bodies = [work.event(n, size, work.OTHER if half and n % 2 else work.KEPT) for n in numbers]
            for body in bodies[:-1]:
                await self.client.publish(subject, body)
            # Messages are stored in order: the word for the last one holds for all.
            await js.publish(subject, bodies[-1])
        state = (await self.api(f"STREAM.INFO.{stream}"))["state"]
        if state["messages"] != events:
            raise RuntimeError(f"{stream} holds {state['messages']} events, not {events}")

    async def source(self, stream: str, last: int | None = None) -> Source:
        """An empty OUT and a new durable on `stream`: on pause at the `last` so many events, or open to new ones."""
        await self._stream(OUT, "out.>", again=True)
        await self._stream(AUDIT, "audit.>", again=True)
        self._durables += 1
        found = Source(stream, f"{stream.lower()}.>", f"bench-{self._durables}")
        config: dict[str, Any] = {
            "durable_name": found.durable,
            "ack_policy": "explicit",
            "ack_wait": 30_000_000_000,
            "max_ack_pending": 20_000,
            "filter_subjects": [found.subject],
        }
        if last is None:
            config["deliver_policy"] = "new"
        else:
            end = (await self.api(f"STREAM.INFO.{stream}"))["state"]["last_seq"]
            config |= {"deliver_policy": "by_start_sequence", "opt_start_seq": end - last + 1}
            config["pause_until"] = _FAR_AHEAD
        await self.api(
            f"CONSUMER.CREATE.{stream}.{found.durable}", {"stream_name": stream, "action": "create", "config": config}
        )
        return found

    async def release(self, source: Source) -> None:
        """End the pause, and come back at that moment: the clock starts."""
        # A pause taken away at once would leave the requests that wait for it asleep; one that runs out wakes them.
        end = datetime.now(UTC) + _LAST_PAUSE
        await self.api(f"CONSUMER.PAUSE.{source.stream}.{source.durable}", {"pause_until": end.isoformat()})
        await asyncio.sleep((end - datetime.now(UTC)).total_seconds())

    async def settled(self, source: Source, stored: int) -> float:
        """Wait until the server knows of nothing unsettled and OUT holds `stored`; returns the time of that."""
        progress, since = (0, 0), time.perf_counter()
        while True:
            consumer = await self.api(f"CONSUMER.INFO.{source.stream}.{source.durable}")
            messages = (await self.api(f"STREAM.INFO.{OUT}"))["state"]["messages"]
            now = time.perf_counter()
            pending = consumer["num_pending"] + consumer["num_ack_pending"]
            if pending == 0 and messages >= stored:
                if messages != stored:
                    raise RuntimeError(f"OUT holds {messages} messages, not {stored}")
                return now
            if (pending, messages) != progress:
                progress, since = (pending, messages), now
            elif now - since > _STALLED:
                raise RuntimeError(f"the lane stands still at {pending} unsettled and {messages} of {stored} stored")
            await asyncio.sleep(_POLL)

    async def read(self, stream: str, start: int = 1) -> list[tuple[bytes, str]]:
        """Every message from sequence `start` on: body and message id."""
        end = (await self.api(f"STREAM.INFO.{stream}"))["state"]["last_seq"]
        name = f"read-{self._durables}-{start}"
        config = {"name": name, "ack_policy": "none", "deliver_policy": "by_start_sequence", "opt_start_seq": start}
        await self.api(
            f"CONSUMER.CREATE.{stream}.{name}", {"stream_name": stream, "action": "create", "config": config}
        )
        reader = await self.client.jetstream().pull_subscribe_bind(name, stream)
        found: list[tuple[bytes, str]] = []
        while len(found) < end - start + 1:
            batch = await reader.fetch(min(_AT_ONCE, end - start + 1 - len(found)), timeout=10)
            found += [(message.data, (message.headers or {}).get("Nats-Msg-Id", "")) for message in batch]
        await reader.unsubscribe()
        return found

    async def _stream(self, name: str, subjects: str, *, again: bool = False) -> None:
        if again:
            with contextlib.suppress(RuntimeError):  # the first time there is none
                await self.api(f"STREAM.DELETE.{name}")
        await self.api(f"STREAM.CREATE.{name}", {"name": name, "subjects": [subjects], "storage": "file"})


async def _expected(error: Exception) -> None:
    """One of the measurements has the server go."""
