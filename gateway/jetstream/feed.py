"""What changes in a key-value bucket, as it changes, or a word that some of it may have been missed.

A push consumer of the gateway's own, in memory, without acks. Its messages are numbered and its heartbeats name the
last number, so that a gap is seen; the server holds back when we are behind, until we answer its flow control.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque

from ..errors import Retry, RouteFault
from ..headers import Headers
from .answers import status_of
from .api import JetStreamApi

HEARTBEAT = 1.0
"""Seconds between the server's signs of life on a bucket at rest."""
SILENCE = 3 * HEARTBEAT
"""Seconds without any sign after which the consumer, or the bucket with it, is taken to be gone."""

Entry = tuple[str, bytes | None]


def is_deletion(header_block: bytes) -> bool:
    """Whether an entry says that its key has no value any more: deleted, purged, or expired with a marker."""
    if not header_block:
        return False
    headers = Headers.parse(header_block)
    return headers.get("KV-Operation") in ("DEL", "PURGE") or "Nats-Marker-Reason" in headers


class Feed:
    """Entries in their order. Once broken it stays so: whoever needs to know everything begins anew."""

    def __init__(self, api: JetStreamApi, prefix: str) -> None:
        self._connection = api.connection
        self._prefix = prefix
        self._inbox = api.connection.wire.new_inbox()
        self._entries: deque[Entry | str] = deque()
        """What has come and was not taken; a text is the server's flow control, to be answered when its turn comes."""
        self._came = asyncio.Event()
        self._fault = ""
        self._last = 0
        self._alive_at = time.monotonic()
        self._sid = 0
        self._generation = -1

    @classmethod
    async def open(cls, api: JetStreamApi, stream: str, prefix: str, key: str, start: str) -> Feed:
        """Watch from now on; `start` is a deliver policy. Raises ApiError, ApiUnavailable and Retry."""
        feed = cls(api, prefix)
        feed._connection.changed.append(feed._connection_changed)
        try:
            feed._sid, feed._generation = await feed._connection.attach(feed._inbox, feed._arrived)
            await api.request(f"CONSUMER.CREATE.{stream}", {"stream_name": stream, "config": feed._config(key, start)})
        except RouteFault as fault:
            await feed.aclose()
            raise Retry(fault.text) from fault
        except BaseException:
            await feed.aclose()
            raise
        return feed

    def _config(self, key: str, start: str) -> dict[str, object]:
        return {
            "deliver_subject": self._inbox,
            "deliver_policy": start,
            "filter_subject": self._prefix + key,
            "ack_policy": "none",
            "max_deliver": 1,
            "replay_policy": "instant",
            "flow_control": True,
            "idle_heartbeat": int(HEARTBEAT * 1e9),
            "inactive_threshold": int(2 * SILENCE * 1e9),
            "mem_storage": True,
            "num_replicas": 1,
        }

    def __aiter__(self) -> Feed:
        return self

    async def __anext__(self) -> Entry:
        """The next change; raises Retry once the feed is broken and what came before is taken."""
        while True:
            while self._entries:
                entry = self._entries.popleft()
                if not isinstance(entry, str):
                    return entry
                self._answer(entry)
            if self._fault:
                raise Retry(self._fault)
            self._came.clear()
            try:
                await asyncio.wait_for(self._came.wait(), SILENCE)
            except TimeoutError:
                if time.monotonic() - self._alive_at > SILENCE:
                    self._break(f"no sign of life for {SILENCE:g} s")

    async def aclose(self) -> None:
        """Stop listening; the server drops a consumer nobody listens to."""
        if self._connection_changed in self._connection.changed:
            self._connection.changed.remove(self._connection_changed)
        if self._generation == self._connection.generation:
            await self._connection.wire.detach(self._sid)

    # ------------------------------------------------------------------ what arrives

    def _arrived(self, subject: str, reply: str, header_block: bytes, data: bytes) -> None:
        self._alive_at = time.monotonic()
        if subject == self._inbox:
            self._status(reply, header_block)
            return
        tokens = reply.split(".")
        # As in `source`: 9 tokens, or two more before the stream and a random one at the end.
        number = int(tokens[6 if len(tokens) == 9 else 8])
        if number != self._last + 1:
            self._break("a change was missed")
            return
        self._last = number
        self._take((subject[len(self._prefix) :], None if is_deletion(header_block) else data))

    def _status(self, reply: str, header_block: bytes) -> None:
        """Flow control has a reply subject; a heartbeat tells what should have come, and whether we owe an answer."""
        code, text, headers = status_of(header_block)
        if code != 100:
            self._break(text or f"the server says {code}")
        elif reply:
            self._take(reply)
        else:
            if headers.get("Nats-Last-Consumer", str(self._last)) != str(self._last):
                self._break("a change was missed")
            if "Nats-Consumer-Stalled" in headers and not self._entries:
                self._answer(headers["Nats-Consumer-Stalled"])

    def _take(self, entry: Entry | str) -> None:
        if not self._fault:
            self._entries.append(entry)
            self._came.set()

    def _answer(self, subject: str) -> None:
        self._connection.wire.write(b"PUB %b 0\r\n\r\n" % subject.encode())

    def _connection_changed(self, connected: bool) -> None:
        self._break("the connection changed")

    def _break(self, fault: str) -> None:
        self._fault = self._fault or fault
        self._came.set()
