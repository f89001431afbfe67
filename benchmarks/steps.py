"""What the lane itself costs, without NATS: CPU time per event, beside decoding the same event once."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import msgspec

from gateway.clock import SystemClock
from gateway.config.loader import examine_text
from gateway.event import Delivery
from gateway.ports import SourceInfo
from gateway.routing.compile import compile_config
from gateway.runtime.lane import Lane
from gateway.runtime.stats import RouteStats

from . import work
from .fakes import FullSource, QuickPublisher
from .table import table

SIZES = (256, 1024)
_ROUNDS = 7
_AT_ONCE = 100
"""Events between two reads of answers: about what one read of the socket brings."""


@dataclass(frozen=True)
class Cost:
    """CPU time per event in microseconds."""

    size: int
    decode: float
    """One `msgspec.json.decode` of it."""
    by_hand: float
    """Decode, change, encode: what no program can do without."""
    passing: float
    filtered: float


def measure(events: int) -> list[Cost]:
    """Both kinds of events in every size."""
    return [_measure(size, events) for size in SIZES]


def _measure(size: int, events: int) -> Cost:
    passing = [work.event(number, size) for number in range(events)]
    filtered = [work.event(number, size, work.OTHER) for number in range(events)]
    deliver = _lane()
    jobs: list[Callable[[], None]] = [
        lambda: _each(msgspec.json.decode, passing),
        lambda: _each(work.by_hand, passing),
        lambda: deliver(passing),
        lambda: deliver(filtered),
    ]
    best = [float("inf")] * len(jobs)
    # All take turns, so that a busy moment of the machine hits all of them.
    for _round in range(_ROUNDS):
        for index, job in enumerate(jobs):
            start = time.process_time()
            job()
            best[index] = min(best[index], (time.process_time() - start) / events * 1e6)
    return Cost(size, *best)


def _each(call: Callable[[bytes], object], bodies: list[bytes]) -> None:
    for body in bodies:
        call(body)


def _lane() -> Callable[[list[bytes]], None]:
    """A lane at work on nothing but memory; the function feeds it."""
    loaded = examine_text(json.dumps(work.config("nats://127.0.0.1:4222", "127.0.0.1:0", "S", "s.>", "d")))
    assert loaded.config is not None, loaded.problems
    (route,), problems = compile_config(loaded.config, loaded.registry)
    assert not problems, problems
    publisher = QuickPublisher()
    stats = RouteStats(route.name, [target.name for target in route.targets], [step.label for step in route.steps])
    source = FullSource()
    lane = Lane(route, source, publisher, stats, SystemClock())
    publisher.attach(lane)
    lane.start(SourceInfo("2026-11-23T00:00:00Z", 30.0))
    sequence = 0

    def feed(bodies: list[bytes]) -> None:
        nonlocal sequence
        for index, body in enumerate(bodies):
            sequence += 1
            source.take()
            lane.delivered(Delivery("s.created", b"", body, "$JS.ACK.token", sequence, 1, time.time_ns()))
            if index % _AT_ONCE == _AT_ONCE - 1:
                publisher.answer()
        publisher.answer()

    return feed


def report(costs: list[Cost]) -> str:
    """One table."""
    head = ("event", "decode us", "by hand us", "passing us", "x decode", "filtered us", "x decode")
    rows = [
        (
            f"{cost.size} B",
            f"{cost.decode:.2f}",
            f"{cost.by_hand:.2f}",
            f"{cost.passing:.2f}",
            f"{cost.passing / cost.decode:.1f}",
            f"{cost.filtered:.2f}",
            f"{cost.filtered / cost.decode:.1f}",
        )
        for cost in costs
    ]
    return f"the lane without NATS: CPU per event\n{table(head, rows)}"


def plain(costs: list[Cost]) -> list[dict[str, Any]]:
    """The same for machines."""
    return [asdict(cost) for cost in costs]
