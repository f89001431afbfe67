"""The way in of an ordered route: one active replica at a time, and what it must know to take over from another."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

from ..errors import RouteFault
from ..ports import Account
from .answers import status_of
from .api import ApiError, ApiUnavailable
from .pin import RESET_SINCE, TAG, Pin, taken_out
from .source import JetStreamSource

log = logging.getLogger("gateway.nats")


class PinnedSource(JetStreamSource):
    """One durable with a pinned priority group. Asks with the pin once it has it, and keeps it while it lives."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._pin = Pin()
        self._told: Callable[[bool], None] | None = None
        self.turn_changed: Callable[[], None] = lambda: None
        """Called when the pin went to somebody, as far as is seen here."""
        self._given: int | None = None
        """The consumer's count of what it has given out, as far as that is here or known to be missing."""

    def _heed(self, limits: dict[str, Any]) -> None:
        super()._heed(limits)
        self._given = None
        self._pin.found(limits)
        self._requests.also = self._pin.fields()

    @property
    def pinned(self) -> bool:
        """Whether the messages come to us."""
        return self._pin.id is not None

    @property
    def elsewhere(self) -> bool:
        """Whether they came to another replica when the backlog was last looked at."""
        return self._pin.elsewhere

    @property
    def pin(self) -> str | None:
        """The pin's id, ours or another reader's; None when nobody is known to have it."""
        return self._pin.known

    async def account(self) -> Account:
        """What the consumer has given out; raises RouteFault."""
        info = await self._info()
        if info["created"] != self._durable.made:
            raise RouteFault("consumer-changed", "the consumer was made anew")
        given = info["delivered"]
        self._given = max(self._given or 0, given["consumer_seq"])
        return Account(
            floor=info["ack_floor"]["stream_seq"],
            delivered=given["stream_seq"],
            ack_pending=int(info.get("num_ack_pending", 0)),
        )

    async def set_back(self) -> bool:
        """Have everything above the floor given out again, in order; False when the server cannot.

        Raises RouteFault when that is not known.
        """
        if self._server < RESET_SINCE:
            return False
        source = self._route.source
        # What is on its way comes again: after this it could not be told from that.
        self._generation = 0
        await self._connection.wire.detach(self._sid)
        try:
            await self._api.request(f"CONSUMER.RESET.{source.stream}.{source.durable}", {})
        except (ApiError, ApiUnavailable) as error:
            raise RouteFault("jetstream-unavailable", str(error)) from error
        finally:
            self._pulls.clear()
            if not self._closing:
                self._sid, self._generation = await self._connection.attach(f"{self._inbox}.*", self._arrived)
        # It counts its deliveries from 1 again; the pin stays where it is.
        self._consumer_sequence = self._given = 0
        return True

    async def _info(self) -> dict[str, Any]:
        info = await super()._info()
        before = self._pin.known
        self._pin.seen(info)
        if self._pin.known != before:
            self.turn_changed()
        return info

    def follow(self, pinned: Callable[[bool], None]) -> None:
        """Tell from now on when the messages come to us (True), or to another replica again."""
        self._told = pinned

    def _pin_changed(self, ours: bool) -> None:
        self._requests.also = self._pin.fields()
        self.turn_changed()
        if self._told is not None:
            self._told(ours)

    def check(self, now: float) -> None:
        """The watchdog, and the sign of life the server wants of who has the pin, whatever keeps us from pulling."""
        renewal = self._pin.renewal(time.monotonic())
        if renewal is not None:
            head = f"PUB {self._next} {self._inbox}.{self._pin.tag} {len(renewal)}\r\n"
            self._connection.wire.write(head.encode() + renewal + b"\r\n")
        super().check(now)

    async def close(self) -> None:
        """Stop delivering, and let another replica have the pin at once."""
        await super().close()
        # Not before: it may come with what was on its way.
        held = self._pin.let_go()
        if held is not None:
            source = self._route.source
            subject = f"{self._api.prefix}.CONSUMER.UNPIN.{source.stream}.{source.durable}"
            # Nobody waits for the answer: without it, the pin lapses by itself.
            self._connection.wire.write(b"PUB %b %d\r\n%b\r\n" % (subject.encode(), len(held), held))

    # ------------------------------------------------------------------ what arrives

    def _arrived(self, subject: str, reply: str, header_block: bytes, data: bytes) -> None:
        if reply:
            header_block, ident = taken_out(header_block)
            if ident and self._pin.gained(ident, self._pulls.last):
                # Who had it before may have set the consumer back, which counts from 1 again.
                self._consumer_sequence = 0
                self._given = None
                self._pin_changed(True)
            self._count(reply)
        elif subject.rpartition(".")[2].startswith(TAG):
            # A word about the renewal: the pulls that stand may have died with a server all the same.
            alive_at = self._alive_at
            super()._arrived(subject, reply, header_block, data)
            self._alive_at = alive_at
            return
        super()._arrived(subject, reply, header_block, data)

    def _count(self, reply: str) -> None:
        """Have what is pending looked at when a message was given to us that did not come: it was before this one."""
        tokens = reply.split(".")
        number = int(tokens[6 if len(tokens) == 9 else 8])
        lost = 0 if self._given is None else number - self._given - 1
        self._given = number
        if lost > 0:
            told = {"event": "source.gap", "route": self._route.name, "events": lost}
            log.warning("%d deliveries were lost on their way, and are waited for", lost, extra=told)
            self._pin_changed(True)

    def _status(self, subject: str, header_block: bytes) -> None:
        code, text, _ = status_of(header_block)
        tag = subject.rpartition(".")[2]
        if code == 423:
            if self._pin.lost(tag):
                self._pulls.clear()
                self._pin_changed(False)
        elif tag.startswith(TAG) and (code in (404, 408) or (code == 409 and "size exceeds maxbytes" in text.lower())):
            self._served = True
            self._requests.refusals = 0
        else:
            super()._status(subject, header_block)
