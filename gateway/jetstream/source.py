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

from ..config import model
from ..errors import RouteFault
from ..event import Delivery
from ..ports import Backlog, LaneSink, SourceInfo
from .answers import status_of
from .api import JetStreamApi
from .connection import Connection
from .consumers import Durable
from .denials import consumer_of
from .lookout import Lookout
from .pulls import Pulls
from .releases import check_server, release_of
from .requests import HEARTBEAT, Requests

log = logging.getLogger("gateway.nats")

SILENCE = 3 * HEARTBEAT
"""Seconds without any sign after which the requests are taken for dead."""
TRUST = 1.0
"""Seconds after a sign of the consumer in which it is taken to be the same one. A stream made anew counts from 1 again,
and an ack meant for the old event 1 would settle the new one, unseen.
"""


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
        self._pulls = Pulls()
        self._requests = Requests(connection, self._next, self._inbox, self._pulls)
        self._lookout = Lookout(api, source, durable, missing)
        self._alive_at = 0.0
        self._acks = ""
        self._seen_at = 0.0
        self._closing = False
        self._lost = False
        self._consumer_sequence = 0
        self._served = False
        self.too_large = False
        """The last pull ended because the next message alone is larger than was asked for."""

    async def open(self) -> SourceInfo:
        """Make or check the durable, and listen; raises RouteFault."""
        check_server(self._server, self._route)
        self._check_permissions()
        stream, consumer = await self._lookout.find()
        if self._generation != self._connection.generation:
            self._sid, self._generation = await self._connection.attach(f"{self._inbox}.*", self._arrived)
        self._consumer_sequence = 0
        self._served = False
        self._heed(consumer["config"])
        self._lookout.found(stream, consumer)
        self.too_large = False
        self._closing = self._lost = False
        self._seen_at = time.monotonic()
        return SourceInfo(stream["created"], self._lookout.ack_wait, self._lookout.remarks(consumer))

    @property
    def _server(self) -> tuple[int, ...]:
        return release_of(self._connection.wire.connected_server_version)

    def _heed(self, limits: dict[str, Any]) -> None:
        """A durable was found, with this config."""
        self._requests.begin(limits)

    def _check_permissions(self) -> None:
        """Raise RouteFault when the server has said lately that we may not pull, or not settle."""
        for subject, what in ((self._next, "pull"), (self._acks, "acknowledge")):
            if subject and self._api.denied(subject):
                raise RouteFault("no-permission", f"no permission to {what}: publishing to {subject} is denied")

    async def created(self) -> str:
        """The stream's creation time as the server writes it."""
        return await self._lookout.created()

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
        if not self._requests.ask(events, size, now):
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
        remarks = self._lookout.remarks(info)
        return Backlog(int(info.get("num_pending", 0)), int(info.get("num_ack_pending", 0)), remarks)

    async def _info(self) -> dict[str, Any]:
        info, fault = await self._lookout.look()
        if fault is not None and not self._closing:
            self._lose(fault.code, fault.text)
        return info

    async def close(self) -> None:
        """Stop delivering, having taken what was already on its way."""
        self._closing = True
        if self._generation == self._connection.generation:
            await self._connection.wire.detach(self._sid)
        self._generation = 0
        self._requests.end()

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
        self._requests.refusals = 0
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
        if self._requests.refused(time.monotonic()):
            self._lose("consumer-unavailable", text or f"nobody serves the consumer ({code})")
        else:
            self._ask_again()

    def _ask_again(self) -> None:
        if self._sink is not None:
            self._sink.pull_ended()

    def _lose(self, code: str, text: str) -> None:
        self._lost = True
        if self._sink is not None:
            self._sink.source_lost(code, text)
