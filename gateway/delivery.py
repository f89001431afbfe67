"""A message as the source handed it over, and where it came from."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec


class Delivery:
    """One message as the source handed it over. Held by the lane, not by the event: a transform may split an event,
    but there is one message to settle.
    """

    __slots__ = ("data", "deliveries", "header_block", "sequence", "size", "stored_ns", "subject", "token")

    def __init__(
        self,
        subject: str,
        header_block: bytes,
        data: bytes,
        token: str,
        sequence: int,
        deliveries: int,
        stored_ns: int,
    ) -> None:
        self.subject = subject
        self.header_block = header_block
        """The NATS header block as it came, `b""` without headers."""
        self.data = data
        self.token = token
        """What settles this delivery: JetStream's ack subject."""
        self.sequence = sequence
        """Sequence in the source stream."""
        self.deliveries = deliveries
        """How often the server has handed this message out, from 1."""
        self.stored_ns = stored_ns
        """When the source stream stored it, ns since the epoch."""
        self.size = len(data) + len(header_block)
        """Bytes it takes in the window."""


class Origin(msgspec.Struct, frozen=True, gc=False):
    """What all events of one route share."""

    gateway: str
    route: str
    stream: str
    durable: str


class Meta:
    """Where an event came from; the same for every event a split makes of it."""

    __slots__ = ("_delivery", "_origin", "attempt")

    def __init__(self, origin: Origin, delivery: Delivery, attempt: int) -> None:
        self._origin = origin
        self._delivery = delivery
        self.attempt = attempt
        """The try this is in this process, from 1."""

    @property
    def gateway(self) -> str:
        """The gateway's name."""
        return self._origin.gateway

    @property
    def route(self) -> str:
        """The route's name."""
        return self._origin.route

    @property
    def stream(self) -> str:
        """The source stream."""
        return self._origin.stream

    @property
    def durable(self) -> str:
        """The durable the route reads through."""
        return self._origin.durable

    @property
    def sequence(self) -> int:
        """Sequence in the source stream."""
        return self._delivery.sequence

    @property
    def subject(self) -> str:
        """The subject it was stored under."""
        return self._delivery.subject

    @property
    def stored_at(self) -> datetime:
        """When the source stream stored it, to the microsecond."""
        return datetime.fromtimestamp(self._delivery.stored_ns // 1000 / 1_000_000, UTC)

    @property
    def deliveries(self) -> int:
        """How often the server has handed it out, from 1."""
        return self._delivery.deliveries
