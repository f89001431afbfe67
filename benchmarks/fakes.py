"""A source and a publisher of memory only, for what a lane costs without NATS."""

from __future__ import annotations

from gateway.event import PubAck
from gateway.ports import Answer, AnswerKind, Backlog, LaneSink, SourceInfo

_STORED = Answer(AnswerKind.STORED, PubAck("OUT", 5, False))


class FullSource:
    """A source that has whatever is asked for, and settles everything; `take` says that one message came."""

    wanted_bytes = 0
    too_large = False
    watched = True

    def __init__(self) -> None:
        self.wanted = 0

    def take(self) -> None:
        """One of those asked for is on its way."""
        self.wanted -= 1

    async def open(self) -> SourceInfo:
        """Always there."""
        return SourceInfo("2026-11-23T00:00:00Z", 30.0)

    async def created(self) -> str:
        """Always the same."""
        return "2026-11-23T00:00:00Z"

    def attach(self, sink: LaneSink) -> None: ...

    def pull(self, events: int, size: int | None) -> bool:
        """They will come."""
        self.wanted += events
        return True

    def check(self, now: float) -> None: ...

    def ack(self, token: str) -> None: ...

    def nak(self, token: str, delay: float = 0.0) -> None: ...

    def term(self, token: str, reason: str) -> None: ...

    def progress(self, token: str) -> None: ...

    async def pending(self) -> Backlog:
        """Nothing is."""
        return Backlog(0, 0)

    async def close(self) -> None: ...


class QuickPublisher:
    """A publisher whose stream stores everything as soon as `answer` is called."""

    connected = True
    max_payload = 1 << 20

    def __init__(self) -> None:
        self._sent: list[int] = []
        self._sink: LaneSink | None = None

    def attach(self, sink: LaneSink) -> None:
        """Answers go there."""
        self._sink = sink

    def send(self, subject: str, header_block: bytes, data: bytes, token: int) -> bool:
        """Keep the token for `answer`."""
        self._sent.append(token)
        return True

    def answer(self) -> None:
        """The stream's word for everything sent."""
        assert self._sink is not None
        sent, self._sent = self._sent, []
        for token in sent:
            self._sink.answered(token, _STORED)

    def denied(self, subject: str) -> bool:
        """Never."""
        return False

    async def takers(self, subject: str) -> list[str] | None:
        """One stream."""
        return ["OUT"]

    async def close(self) -> None: ...
