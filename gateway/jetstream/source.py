"""The lane's way in: one durable consumer, read by raw pull requests.

Several requests are outstanding at once, sized by the lane's window; a watchdog forgets those that died with a server,
which neither nats-py nor the server would tell us.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from ..config import model
from ..errors import RouteFault
from ..event import Delivery
from ..ports import Backlog, LaneSink, Remark, SourceInfo
from .answers import status_of
from .api import ApiError, ApiUnavailable, JetStreamApi
from .connection import Connection, consumer_of
from .consumers import Durable
from .pulls import Pulls
from .remarks import REFUSALS, ack_wait_of, of_consumer, of_stream

log = logging.getLogger("gateway.nats")

EXPIRES = 30.0
"""Seconds a pull request stands; long, because an idle route should cost nothing."""
HEARTBEAT = 5.0
"""Seconds between the server's signs of life on an idle request."""
SILENCE = 3 * HEARTBEAT
"""Seconds without any sign after which the requests are taken for dead."""
ON_THE_WAY = 32 << 20
"""Bytes asked for and not yet come, over all routes of one connection: the server ends one that is 64 MiB behind."""
BACKOFF = (0.1, 0.25, 0.5, 0.75)
"""Seconds before asking again after 1, 2, ... refusals in a row; below TRUST, after which it is looked at anyway."""
TRUST = 1.0
"""Seconds after a sign of the consumer in which it is taken to be the same one. A stream made anew counts from 1 again,
and an ack meant for the old event 1 would settle the new one, unseen.
"""
LOST_AFTER = len(BACKOFF)
"""Refusals in a row after which the consumer is looked for."""
LOOK_EVERY = 60.0
"""Seconds between two looks at the config of a stream that is read."""


class JetStreamSource:
    """One durable of one stream."""

    def __init__(
        self,
        connection: Connection,
        api: JetStreamApi,
        route: model.Route,
        durable: Durable,
        inbox_prefix: str,
        missing: Callable[[], Awaitable[RouteFault]],
    ) -> None:
        """`missing` gives the fault when the stream is not there."""
        self._missing = missing
        self._connection = connection
        self._api = api
        self._route = route
        self._durable = durable
        self._inbox = f"{inbox_prefix}.{secrets.token_hex(8)}"
        source = route.source
        self._next = f"{api.prefix}.CONSUMER.MSG.NEXT.{source.stream}.{source.durable}"
        self._sink: LaneSink | None = None
        self._generation = 0
        self._sid = 0
        self._reads = False
        self._pulls = Pulls()
        self._asks: dict[str, Any] = {}
        self._alive_at = 0.0
        self._refusals = 0
        self._not_before = 0.0
        self._acks = ""
        self._seen_at = 0.0
        self._ack_wait = 0.0
        self._closing = False
        self._lost = False
        self._consumer_sequence = 0
        self._served = False
        self._most = 0
        self._most_size = 0
        self._expires = EXPIRES
        self._of_stream: list[Remark] = []
        self._stream_due = 0.0
        self.too_large = False
        """The last pull ended because the next message alone is larger than was asked for."""

    async def open(self) -> SourceInfo:
        """Make or check the durable, and listen; raises RouteFault."""
        source = self._route.source
        self._check_permissions()
        try:
            stream, consumer = await self._durable.ensure(await self._api.stream_info(source.stream))
        except ApiError as error:
            if error.err_code == 10059:
                raise await self._missing() from error
            text = f"{source.stream}/{source.durable}: {error}"
            raise RouteFault("consumer-refused", text, REFUSALS.get(error.err_code, "")) from error
        except ApiUnavailable as error:
            raise RouteFault("jetstream-unavailable", str(error)) from error
        if self._generation != self._connection.generation:
            self._sid, self._generation = await self._connection.attach(f"{self._inbox}.*", self._arrived)
        if not self._reads:
            self._reads = True
            self._connection.readers += 1
        self._pulls.clear()
        self._refusals = 0
        self._not_before = 0.0
        self._consumer_sequence = 0
        self._served = False
        self._heed(consumer["config"])
        self._ack_wait = ack_wait_of(consumer["config"])
        self.too_large = False
        self._closing = self._lost = False
        self._seen_at = time.monotonic()
        self._of_stream = of_stream(source, stream)
        self._stream_due = self._seen_at + LOOK_EVERY
        return SourceInfo(stream["created"], self._ack_wait, self._remarks(consumer))

    def _remarks(self, consumer: dict[str, Any]) -> tuple[Remark, ...]:
        differences = self._durable.differences(consumer["config"])
        return (*of_consumer(self._route.source, consumer, differences), *self._of_stream)

    def _heed(self, limits: dict[str, Any]) -> None:
        """A durable found may limit what one request asks for; the server refuses the request that asks for more."""
        self._most = int(limits.get("max_batch") or 0)
        self._most_size = int(limits.get("max_bytes") or 0)
        self._expires = min(EXPIRES, (limits.get("max_expires") or EXPIRES * 1e9) / 1e9)

    def _check_permissions(self) -> None:
        """Raise RouteFault when the server has said lately that we may not pull, or not settle."""
        for subject, what in ((self._next, "pull"), (self._acks, "acknowledge")):
            if subject and self._api.denied(subject):
                raise RouteFault("no-permission", f"no permission to {what}: publishing to {subject} is denied")

    async def created(self) -> str:
        """The stream's creation time as the server writes it."""
        try:
            return str((await self._api.stream_info(self._route.source.stream))["created"])
        except (ApiError, ApiUnavailable) as error:
            raise RouteFault("jetstream-unavailable", str(error)) from error

    def attach(self, sink: LaneSink) -> None:
        """Deliver to this lane."""
        self._sink = sink

    @property
    def wanted(self) -> int:
        """Messages asked for and not yet come."""
        return self._pulls.events

    @property
    def wanted_bytes(self) -> int:
        """Bytes asked for and not yet come."""
        return self._pulls.size

    @property
    def heard(self) -> bool:
        """Whether the consumer gave a sign of life since it was opened: a message, or a word about a request."""
        return self._served or self._consumer_sequence > 0

    @property
    def watched(self) -> bool:
        """A standing pull is told at once when its consumer goes; without one, a look at the stream counts briefly."""
        if self._lost:
            # What comes after it may have the same name and the same sequences.
            return self._closing
        return self._pulls.events > 0 or self._closing or time.monotonic() - self._seen_at < TRUST

    def pull(self, events: int, size: int | None) -> bool:
        """Ask for messages; not while disconnected, nor too soon after a refusal."""
        now = time.monotonic()
        if now < self._not_before:
            return False
        if size is None:
            # One message of any size: the window is empty, and the next one would not fit into any share of it.
            events = 1
        else:
            share = ON_THE_WAY // max(1, self._connection.readers)
            if self._pulls.size > share // 2:
                return False
            size = min(size, share - self._pulls.size, self._most_size or size)
        events = min(events, self._most or events)
        heartbeat = min(HEARTBEAT, self._expires / 2)
        request = {"batch": events, "expires": int(self._expires * 1e9), "idle_heartbeat": int(heartbeat * 1e9)}
        if size is not None:
            request["max_bytes"] = size
        body = msgspec.json.encode(request | self._asks)
        number = self._pulls.asked(events, size or 0, now + self._expires)
        command = f"PUB {self._next} {self._inbox}.{number} {len(body)}\r\n".encode() + body + b"\r\n"
        if not self._connection.wire.write(command):
            self._pulls.clear()
            return False
        self._alive_at = max(self._alive_at, now)
        return True

    def check(self, now: float) -> None:
        """The watchdog."""
        self._pulls.expire(now)
        try:
            self._check_permissions()
        except RouteFault as fault:
            self._lose(fault.code, fault.text)
            return
        if self._durable.overdue:
            self._lose("durable-due", "the durable may be changed now")
            return
        if self._pulls.events and now - self._alive_at > SILENCE:
            log.warning(
                "no sign of life from the consumer for %.0f s: asking again",
                now - self._alive_at,
                extra={"event": "source.silent", "route": self._route.name},
            )
            self._pulls.clear()
            self._alive_at = now
            self._lose("source-silent", "the consumer gave no sign of life")

    def ack(self, token: str) -> None:
        """Settled."""
        self._connection.wire.write(b"PUB %b 0\r\n\r\n" % token.encode())

    def nak(self, token: str, delay: float = 0.0) -> None:
        """Give back, to be delivered again after `delay` seconds."""
        self._settle(token, b'-NAK {"delay":%d}' % int(delay * 1e9) if delay > 0 else b"-NAK")

    def term(self, token: str, reason: str) -> None:
        """Settled, never to be delivered again; the reason shows in the server's advisory."""
        self._settle(token, b"+TERM " + reason.encode())

    def progress(self, token: str) -> None:
        """Still being worked on."""
        self._settle(token, b"+WPI")

    def _settle(self, token: str, word: bytes) -> None:
        self._connection.wire.write(b"PUB %b %d\r\n%b\r\n" % (token.encode(), len(word), word))

    async def pending(self) -> Backlog:
        """Look at the consumer, and now and then at its stream."""
        info = await self._info()
        return Backlog(int(info.get("num_pending", 0)), int(info.get("num_ack_pending", 0)), self._remarks(info))

    async def _info(self) -> dict[str, Any]:
        source = self._route.source
        try:
            info = await self._api.request(f"CONSUMER.INFO.{source.stream}.{source.durable}")
            if time.monotonic() >= self._stream_due:
                self._of_stream = of_stream(source, await self._api.stream_info(source.stream))
                self._stream_due = time.monotonic() + LOOK_EVERY
            stored = info.get("created") != self._durable.made or await self._durable.stored()
        except (ApiError, ApiUnavailable) as error:
            raise RouteFault("jetstream-unavailable", str(error)) from error
        self._durable.stood_at(info)
        if ack_wait_of(info["config"]) != self._ack_wait and not self._closing:
            # Progress is told by half of it.
            self._lose("consumer-updated", "somebody has changed the consumer's ack-wait")
        elif not stored and not self._closing:
            self._lose("consumer-lost", "the server does not store the consumer")
        return info

    async def close(self) -> None:
        """Stop delivering, having taken what was already on its way."""
        self._closing = True
        if self._generation == self._connection.generation:
            await self._connection.wire.detach(self._sid)
        if self._reads:
            self._reads = False
            self._connection.readers -= 1
        self._generation = 0
        self._pulls.clear()

    # ------------------------------------------------------------------ what arrives

    def _arrived(self, subject: str, reply: str, header_block: bytes, data: bytes) -> None:
        sink = self._sink
        if sink is None:
            return
        self._alive_at = self._seen_at = time.monotonic()
        if not reply:
            self._status(subject, header_block)
            return
        tokens = reply.split(".")
        # 9 tokens: $JS.ACK.<stream>.<consumer>.<deliveries>.<stream seq>.<consumer seq>.<stored ns>.<pending>;
        # with a domain and account hash two more stand before the stream, and a random one may end it.
        at = 4 if len(tokens) == 9 else 6
        self._refusals = 0
        self.too_large = False
        consumer_sequence = int(tokens[at + 2])
        if consumer_sequence <= self._consumer_sequence:
            # Another consumer of the same name, perhaps of another stream: what it calls 1 is not what we know as 1.
            self.nak(reply)
            self._lose("consumer-changed", "the consumer was made anew")
            return
        self._consumer_sequence = consumer_sequence
        if not self._acks:
            self._acks = consumer_of(reply)
        delivery = Delivery(
            subject, header_block, data, reply, int(tokens[at + 1]), int(tokens[at]), int(tokens[at + 3])
        )
        self._pulls.came(delivery.size)
        sink.delivered(delivery)

    def _status(self, subject: str, header_block: bytes) -> None:
        """A word of the server about a request: alive, over, or refused."""
        code, text, headers = status_of(header_block)
        if code == 100:
            self._served = True
            return
        number = subject.rpartition(".")[2]
        undelivered = headers.get("Nats-Pending-Messages", "")
        left = int(undelivered) if undelivered.isdigit() else None
        untouched = self._pulls.ended(int(number) if number.isdigit() else 0, left)
        lower = text.lower()
        if code in (404, 408) or (code == 409 and "batch completed" in lower):
            self._served = True
            self._ask_again()
        elif code == 409 and "size exceeds maxbytes" in lower:
            self._served = True
            self.too_large = untouched
            self._ask_again()
        elif code == 409 and ("consumer deleted" in lower or "consumer is push based" in lower):
            self._lose("consumer-lost", "the consumer was deleted")
        elif code == 400:
            self._lose("pull-refused", f"the server refuses the pull request: {text}")
        else:
            self._refused(code, text)

    def _refused(self, code: int, text: str) -> None:
        """Nobody serves the request now: no leader, a server going down, too many waiting requests."""
        self._pulls.clear()
        self._refusals += 1
        self._not_before = time.monotonic() + BACKOFF[min(self._refusals, len(BACKOFF)) - 1]
        if self._refusals >= LOST_AFTER:
            self._refusals = 0
            self._lose("consumer-unavailable", text or f"nobody serves the consumer ({code})")

    def _ask_again(self) -> None:
        if self._sink is not None:
            self._sink.pull_ended()

    def _lose(self, code: str, text: str) -> None:
        self._lost = True
        if self._sink is not None:
            self._sink.source_lost(code, text)
