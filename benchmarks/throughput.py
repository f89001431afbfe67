"""Stream to stream as fast as it goes: the gateway beside two loops, taking turns in one run."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

import msgspec

from . import process, work
from .bed import OUT, Bed, Source
from .lanes import LANES, Lane
from .table import spread, table

SIZES = (256, 1024)
SHARE = {"naive": 0.05, "pipelined": 0.25, "gateway": 1.0}
"""Of the events, so that every lane runs for some seconds and none for minutes."""
GOALS = {"naive": (10.0, 15.0), "pipelined": (1.6, 2.5)}
"""How many times faster than each loop the gateway has to be, and is meant to be."""
NOISE = 0.15
"""Cores that others may use during a run; with more of them it is measured again."""
TRIES = 3


@dataclass(frozen=True)
class Run:
    """One lane draining one durable once."""

    lane: str
    size: int
    events: int
    seconds: float
    cpu: float
    """CPU seconds of the lane's process."""
    server_cpu: float
    peak_mib: float
    others: float
    """Cores used by everything else on the machine meanwhile, this program's polling included."""

    @property
    def rate(self) -> float:
        """Events a second."""
        return self.events / self.seconds


async def measure(bed: Bed, events: int, reps: int, *, half: bool) -> list[Run]:
    """Run every lane `reps` times over every size, lanes in turn; the first result of each is read and compared."""
    runs: list[Run] = []
    for size in SIZES:
        stream = f"ORDERS_{size}"
        await bed.fill(stream, events, size, half=half)
        for rep in range(reps):
            for lane in LANES:
                count = max(2, round(events * SHARE[lane]) // 2 * 2)
                run = await calm(bed, lane, size, count, count // 2 if half else count)
                print(f"{size:5} B  {lane:9} {run.rate:10,.0f} events/s", file=sys.stderr)
                runs.append(run)
                if rep == 0:
                    await _check(bed, stream, events - count + 1)
    return runs


async def calm(bed: Bed, lane: str, size: int, count: int, stored: int, audits: Sequence[Any] = ()) -> Run:
    """One run during which the machine did little else; after `TRIES`, the one with the least beside it."""
    runs: list[Run] = []
    while len(runs) < TRIES:
        source = await bed.source(f"ORDERS_{size}", last=count)
        runs.append(await _once(bed, lane, size, source, count, stored, audits))
        if runs[-1].others < NOISE:
            break
    return min(runs, key=lambda run: run.others)


async def _once(bed: Bed, name: str, size: int, source: Source, count: int, stored: int, audits: Sequence[Any]) -> Run:
    async with Lane(name, bed.server.url, source, bed.folder, audits) as lane:
        await bed.release(source)
        started, before = time.perf_counter(), _used(lane.pid, bed.server.pid)
        ended = await bed.settled(source, stored)
        after = _used(lane.pid, bed.server.pid)
        peak = process.peak_mib(lane.pid)
    mine, server, machine = (late - early for late, early in zip(after, before, strict=True))
    seconds = ended - started
    # Processes and the machine are counted in ticks of their own, which may leave less than nothing.
    others = max(0.0, machine - mine - server) / seconds
    return Run(name, size, count, seconds, mine, server, peak, others)


def _used(lane: int, server: int) -> tuple[float, float, float]:
    return process.cpu_seconds(lane), process.cpu_seconds(server), process.machine_seconds()


async def _check(bed: Bed, stream: str, start: int) -> None:
    """OUT holds what the events from `start` on demand, each once; raises AssertionError."""
    wanted = [body for data, _ in await bed.read(stream, start) if (body := work.by_hand(data)) is not None]
    found = await bed.read(OUT)
    assert len({message_id for _, message_id in found}) == len(found), "a message id was used twice"
    assert _by_id(found_body for found_body, _ in found) == _by_id(wanted), "OUT is not what the events demand"
    assert len(found) == len(wanted), "an event was published twice"


def _by_id(bodies: Any) -> dict[str, Any]:
    return {body["id"]: body for body in map(msgspec.json.decode, bodies)}


def report(runs: list[Run]) -> str:
    """A table per size, and the ratios beside their goals."""
    return "\n\n".join(_report(size, [run for run in runs if run.size == size]) for size in SIZES)


def _report(size: int, runs: list[Run]) -> str:
    by_lane = {lane: [run for run in runs if run.lane == lane] for lane in LANES}
    rates = {lane: median(run.rate for run in own) for lane, own in by_lane.items()}
    head = ("lane", "events/s, median (min..max)", "x naive", "x pipelined", "CPU-s/100k", "server", "MiB", "others")
    rows = [
        (
            lane,
            spread([run.rate for run in own]),
            f"{rates[lane] / rates['naive']:.2f}",
            f"{rates[lane] / rates['pipelined']:.2f}",
            f"{median(run.cpu / run.events for run in own) * 1e5:.2f}",
            f"{median(run.server_cpu / run.events for run in own) * 1e5:.2f}",
            f"{max(run.peak_mib for run in own):.0f}",
            f"{median(run.others for run in own):.2f}",
        )
        for lane, own in by_lane.items()
    ]
    goals = [
        f"gateway / {lane}: {rates['gateway'] / rates[lane]:.2f} (goal >= {goal:g}, aim {aim:g})"
        for lane, (goal, aim) in GOALS.items()
    ]
    return f"throughput, events of {size} bytes\n{table(head, rows)}\n" + "\n".join(goals)


def plain(runs: list[Run]) -> list[dict[str, Any]]:
    """The same for machines."""
    return [{**asdict(run), "rate": run.rate} for run in runs]
