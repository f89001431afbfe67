"""How long an event takes from being published to arriving at a subscriber behind the lane, at a quiet pace."""

from __future__ import annotations

import asyncio
import sys
import time
from dataclasses import asdict, dataclass
from typing import Any

import msgspec
import nats
from nats.aio.msg import Msg

from . import process, work
from .bed import Bed, Source
from .lanes import LANES, Lane
from .table import table

RATE = 500
SIZE = 256
_STREAM = "LATENCY"
_WARM_UP = RATE // 2
"""Events that are not counted."""
_LATE = 5.0
"""Seconds to wait for the last events."""


@dataclass(frozen=True)
class Latency:
    """One lane at `RATE` events a second; times in milliseconds."""

    lane: str
    events: int
    p50: float
    p99: float
    longest: float
    cores: float
    """Of the lane's process."""


class _Named(msgspec.Struct):
    id: str


async def measure(bed: Bed, seconds: float) -> list[Latency]:
    """Every lane for so many seconds, one after the other."""
    await bed.fill(_STREAM, 0, SIZE, half=False)
    found = []
    for name in LANES:
        source = await bed.source(_STREAM)
        async with Lane(name, bed.server.url, source, bed.folder) as lane:
            used = process.cpu_seconds(lane.pid)
            times = await _pace(bed, source, _WARM_UP + round(seconds * RATE))
            cores = (process.cpu_seconds(lane.pid) - used) / (seconds + _WARM_UP / RATE)
        times = sorted(times[_WARM_UP:])
        found.append(Latency(name, len(times), _at(times, 0.5), _at(times, 0.99), times[-1], cores))
        print(f"{name:9} p99 {found[-1].p99:.2f} ms", file=sys.stderr)
    return found


async def _pace(bed: Bed, source: Source, count: int) -> list[float]:
    """Publish `count` events evenly; the milliseconds each took, in the order they were sent."""
    sent: dict[str, float] = {}
    took: dict[str, float] = {}
    done = asyncio.Event()
    decode = msgspec.json.Decoder(_Named).decode

    async def arrived(message: Msg) -> None:
        now = time.perf_counter()
        name = decode(message.data).id
        took[name] = (now - sent[name]) * 1000
        if len(took) == count:
            done.set()

    # A connection of its own: arrivals do not wait behind what we publish.
    listener = await nats.connect(bed.server.url)
    await listener.subscribe(work.OUT_SUBJECT, cb=arrived)
    await listener.flush()
    subject = source.subject.replace(">", "created")
    start = time.perf_counter()
    for number in range(count):
        body = work.event(number, SIZE)
        await asyncio.sleep(max(0.0, start + number / RATE - time.perf_counter()))
        sent[decode(body).id] = time.perf_counter()
        await bed.client.publish(subject, body)
        await bed.client.flush()
    try:
        await asyncio.wait_for(done.wait(), _LATE)
    except TimeoutError:
        raise RuntimeError(f"only {len(took)} of {count} events arrived") from None
    finally:
        await listener.close()
    return [took[name] for name in sent]


def _at(ordered: list[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def report(found: list[Latency]) -> str:
    """One table."""
    head = ("lane", "p50 ms", "p99 ms", "max ms", "cores")
    rows = [(one.lane, f"{one.p50:.2f}", f"{one.p99:.2f}", f"{one.longest:.1f}", f"{one.cores:.3f}") for one in found]
    return f"latency at {RATE} events/s, {found[0].events} events of {SIZE} bytes a lane\n{table(head, rows)}"


def plain(found: list[Latency]) -> list[dict[str, Any]]:
    """The same for machines."""
    return [asdict(one) for one in found]
