"""A lane without a server: its source, its publisher and its time are the test's."""

from __future__ import annotations

from dataclasses import dataclass, field

from gateway.delivery import Delivery
from gateway.event import PubAck
from gateway.ports import Answer, AnswerKind, LaneSink, SourceInfo
from gateway.routing.route import CompiledRoute
from gateway.runtime.lane import Lane
from gateway.runtime.stats import RouteStats
from gateway.runtime.timing import journey_for, time_steps, timed
from tests.unit.routes import CREATED, STORED_NS


@dataclass
class ManualClock:
    """Time that passes when the test says so."""

    now: float = 1000.0

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return 1_700_000_000.0 + self.now


@dataclass
class FakeSource:
    """Hands out what it has when it is asked; counts what it is told."""

    backlog: int = 0
    wanted: int = 0
    wanted_bytes: int = 0
    too_large: bool = False
    heard: bool = True
    watched: bool = True
    pulls: int = 0
    sequence: int = 0
    settled: list[str] = field(default_factory=list)
    returned: list[str] = field(default_factory=list)
    in_progress: list[str] = field(default_factory=list)
    sink: LaneSink | None = None

    async def open(self) -> SourceInfo:
        return SourceInfo(CREATED, 30.0)

    async def created(self) -> str:
        return CREATED

    def attach(self, sink: LaneSink) -> None:
        self.sink = sink

    def pull(self, events: int, size: int | None) -> bool:
        """What is asked for is at once on its way; `hand_out` delivers it."""
        self.pulls += 1
        self.wanted += events
        return True

    def hand_out(self) -> None:
        """Deliver what was asked for, as far as there is something."""
        assert self.sink is not None
        while self.wanted and self.backlog:
            self.wanted -= 1
            self.backlog -= 1
            self.sequence += 1
            token = str(self.sequence)
            self.sink.delivered(Delivery("orders.created", b"", b'{"n":1}', token, self.sequence, 1, STORED_NS))

    def check(self, now: float) -> None:
        """Nothing to watch."""

    def ack(self, token: str) -> None:
        self.settled.append(token)

    def nak(self, token: str, delay: float = 0.0) -> None:
        self.returned.append(token)

    def term(self, token: str, reason: str) -> None:
        self.settled.append(token)

    def progress(self, token: str) -> None:
        self.in_progress.append(token)

    async def pending(self) -> tuple[int, int]:
        return self.backlog, 0

    async def close(self) -> None:
        """Nothing to close."""


@dataclass
class FakePublisher:
    """Keeps what was sent; `refuses` are the subjects that are full."""

    refuses: set[str] = field(default_factory=set)
    sent: dict[str, int] = field(default_factory=dict)
    unanswered: list[tuple[int, str]] = field(default_factory=list)
    connected: bool = True
    max_payload: int = 1 << 20
    sink: LaneSink | None = None

    def attach(self, sink: LaneSink) -> None:
        self.sink = sink

    def send(self, subject: str, header_block: bytes, data: bytes, token: int) -> bool:
        self.sent[subject] = self.sent.get(subject, 0) + 1
        self.unanswered.append((token, subject))
        return True

    def answer(self) -> None:
        """Answer all that was sent."""
        assert self.sink is not None
        waiting, self.unanswered = self.unanswered, []
        for token, subject in waiting:
            if subject in self.refuses:
                self.sink.answered(token, Answer(AnswerKind.BUSY, code="stream-full", text="full"))
            else:
                self.sink.answered(token, Answer(AnswerKind.STORED, PubAck("S", token)))

    def denied(self, subject: str) -> bool:
        return False

    async def takers(self, subject: str) -> list[str] | None:
        return ["S"]

    async def has_stream(self, stream: str) -> bool | None:
        return True

    def advice(self, target: str | None) -> str:
        return ""

    async def close(self) -> None:
        """Nothing to close."""


class TestBed:
    """One lane at work, with the world around it."""

    __test__ = False

    def __init__(self, route: CompiledRoute, backlog: int) -> None:
        self.clock = ManualClock()
        self.source = FakeSource(backlog=backlog)
        self.publisher = FakePublisher()
        steps = [step.label for step in route.steps]
        self.stats = RouteStats(route.name, [target.name for target in route.targets], steps)
        if route.config.step_durations:
            time_steps(route, self.stats)
        route = timed(route, self.stats, self.clock.monotonic)
        journey = journey_for(route, self.stats)
        self.lane = Lane(route, self.source, self.publisher, self.stats, self.clock, journey=journey)
        self.source.attach(self.lane)
        self.publisher.attach(self.lane)

    def start(self) -> None:
        """The source is open."""
        self.lane.start(SourceInfo(CREATED, 30.0))
        self.lane.faults.started()

    def run(self, seconds: float, step: float = 0.5) -> None:
        """Let time pass: deliver, answer, sweep."""
        until = self.clock.now + seconds
        while self.clock.now < until:
            self.source.hand_out()
            self.publisher.answer()
            self.clock.now += step
            if not self.lane.rests:
                self.lane.sweep()
        self.publisher.answer()
