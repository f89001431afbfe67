"""What the runtime needs of the world: a source of deliveries, a publisher, a clock.

The JetStream edge implements these; the runtime knows nothing else of NATS.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Protocol, runtime_checkable

import msgspec

from .event import Delivery, PubAck


class AnswerKind(StrEnum):
    """What a stream said to a publish."""

    STORED = "stored"
    """A PubAck, duplicate or not."""
    REFUSED = "refused"
    """The server refuses this message for good, as far as it can tell."""
    BUSY = "busy"
    """It cannot take it now."""
    NO_RESPONDERS = "no-responders"
    """Nobody listens: no stream takes the subject, or it has no leader."""
    IGNORED = "ignored"
    """Not an answer of a stream at all."""


class Answer(msgspec.Struct, frozen=True, gc=False):
    """One answer to one publish."""

    kind: AnswerKind
    ack: PubAck | None = None
    code: str = ""
    """The error code for metrics and dead letters: too-large, wrong-stream, stream-full, subject-full, throttled ..."""
    text: str = ""
    of_route: bool = False
    """The fault is the route's, whatever subject the copy has."""


class Remark(msgspec.Struct, frozen=True):
    """What an operator should know of a source that works."""

    code: str
    text: str


class SourceInfo(msgspec.Struct, frozen=True):
    """What a source is, learnt when it is opened."""

    created: str
    """The stream's creation time exactly as the server writes it; part of every message id."""
    ack_wait: float
    """Seconds the server waits before it hands an unsettled message out again."""
    remarks: tuple[Remark, ...] = ()


class Backlog(msgspec.Struct, frozen=True):
    """A consumer as it was found while it runs."""

    pending: int
    """Messages not yet delivered."""
    unsettled: int
    """Delivered but not settled, here or at a replica."""
    remarks: tuple[Remark, ...] = ()


class Account(msgspec.Struct, frozen=True):
    """What a consumer has given out, as the server counts it."""

    floor: int
    """Everything up to this stream sequence is settled."""
    delivered: int
    """The highest stream sequence given out."""
    ack_pending: int
    """Messages given out, to anybody, and not settled."""


class LaneSink(Protocol):
    """What an edge calls on a lane. None of these may raise."""

    def delivered(self, delivery: Delivery) -> None:
        """A message arrived."""
        ...

    def pull_ended(self) -> None:
        """A pull request ended with room left; the lane may ask again."""
        ...

    def source_lost(self, code: str, text: str) -> None:
        """The consumer or stream is gone or refuses us: the source must be opened again."""
        ...

    def answered(self, token: int, answer: Answer) -> None:
        """A stream answered the publish `token`."""
        ...


class Source(Protocol):
    """One durable consumer. `open` may be called again after a loss."""

    async def open(self) -> SourceInfo:
        """Make or check the durable; raises RouteFault."""
        ...

    async def created(self) -> str:
        """Read the stream's creation time again; raises RouteFault when it cannot be had."""
        ...

    def attach(self, sink: LaneSink) -> None:
        """Deliver to this lane from now on."""
        ...

    def pull(self, events: int, size: int | None) -> bool:
        """Ask for up to `events` messages of together `size` bytes (None: any size). False while disconnected."""
        ...

    @property
    def wanted(self) -> int:
        """Messages asked for and not yet come."""
        ...

    @property
    def wanted_bytes(self) -> int:
        """Bytes asked for and not yet come."""
        ...

    @property
    def too_large(self) -> bool:
        """Whether the last pull ended because the next message alone is larger than was asked for."""
        ...

    @property
    def heard(self) -> bool:
        """Whether the consumer gave a sign of life since it was opened."""
        ...

    @property
    def watched(self) -> bool:
        """Whether we would know by now if the consumer were another one: its acks look the same as ours."""
        ...

    def check(self, now: float) -> None:
        """The watchdog: forget requests that died with a server."""
        ...

    def ack(self, token: str) -> None: ...

    def nak(self, token: str, delay: float = 0.0) -> None: ...

    def term(self, token: str, reason: str) -> None: ...

    def progress(self, token: str) -> None: ...

    async def pending(self) -> Backlog:
        """Look at the consumer. Raises RouteFault."""
        ...

    async def close(self) -> None:
        """Stop delivering. The durable stays."""
        ...


@runtime_checkable
class OrderedSource(Source, Protocol):
    """A durable whose messages come to one replica at a time."""

    def follow(self, pinned: Callable[[bool], None]) -> None:
        """Tell from now on when they come to us (True), or to another replica again."""
        ...

    @property
    def pinned(self) -> bool:
        """Whether they come to us."""
        ...

    @property
    def elsewhere(self) -> bool:
        """Whether they came to another replica when the backlog was last looked at."""
        ...

    async def account(self) -> Account:
        """What the consumer has given out; raises RouteFault."""
        ...

    async def set_back(self) -> bool:
        """Have all above the floor given out again, in order; False when the server cannot. Raises RouteFault."""
        ...


class Publisher(Protocol):
    """Publishes for one lane and routes the answers back to it."""

    def attach(self, sink: LaneSink) -> None: ...

    def send(self, subject: str, header_block: bytes, data: bytes, token: int) -> bool:
        """Write one message; its answer comes as `answered(token, ...)`. False while disconnected: nothing is kept."""
        ...

    def denied(self, subject: str) -> bool:
        """Whether the server has said lately that we may not publish to `subject`."""
        ...

    async def takers(self, subject: str) -> list[str] | None:
        """The streams that take `subject`; None when it cannot be known now."""
        ...

    async def has_stream(self, stream: str) -> bool | None:
        """Whether there is a stream of this name; None when it cannot be known now."""
        ...

    def advice(self, target: str | None) -> str:
        """How to make the stream that a target lacks, or None: the dead letters; empty when nobody knows."""
        ...

    @property
    def connected(self) -> bool: ...

    @property
    def max_payload(self) -> int:
        """Bytes one message may have, headers included."""
        ...

    async def close(self) -> None: ...


class Clock(Protocol):
    """Time, so that decisions about it can be tested."""

    def monotonic(self) -> float:
        """Seconds from some start; for deadlines."""
        ...

    def time(self) -> float:
        """Seconds since the epoch; for people."""
        ...
