"""`python -m tests.chaos.soak [--minutes N]`: two gateways under load for an hour; what they hold must not grow.

Mild disturbances all the time: what leaks is what is made anew, and nothing is made anew where nothing happens.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.support.proc import usage
from tests.support.witness import all_settled

from . import events
from .bed import DURABLES, GATEWAYS, NODES, Bed
from .faults import Disturber
from .load import Load, steady
from .run import WINDOW, log_faults
from .schedule import Fault, Kind

EVERY = 5.0
"""Seconds between two samples, and between two disturbances."""
WARM_UP = 0.25
"""The part at the beginning that no slope is taken of: caches, pools and windows fill."""
KEPT = 120
"""Seconds the streams keep what they hold: an hour's events would fill disks to prove nothing."""
TOLERANCE = {"MiB": 8.0, "fds": 4.0, "threads": 2.0, "tasks": 6.0}
"""How much more there may be at the end of the slope than at its beginning. 8 MiB are 30 bytes an event of an hour."""
_BARS = "▁▂▃▄▅▆▇█"
_WIDTH = 60


@dataclass(frozen=True)
class Sample:
    """What a gateway holds at a moment."""

    at: float
    """Seconds since the beginning."""
    holds: dict[str, float]
    """By the names of `TOLERANCE`."""


def growth(samples: Sequence[Sample], name: str) -> float:
    """How much more there is at the end than at the beginning, by the median slope.

    The median of all slopes between two samples: a few peaks, as a reload makes them, move it by nothing.
    """
    measured = samples[int(len(samples) * WARM_UP) :]
    step = max(1, len(measured) // 200)
    points = [(sample.at, sample.holds[name]) for sample in measured[::step]]
    slopes = sorted(
        (later - value) / (then - at) for i, (at, value) in enumerate(points) for then, later in points[i + 1 :]
    )
    return slopes[len(slopes) // 2] * (points[-1][0] - points[0][0]) if slopes else 0.0


def graph(values: Sequence[float]) -> str:
    """A line of bars from the lowest to the highest."""
    step = max(1.0, len(values) / _WIDTH)
    shown = [values[int(i * step)] for i in range(int(len(values) / step))]
    low, high = min(shown), max(shown)
    return "".join(_BARS[int((value - low) / (high - low or 1) * (len(_BARS) - 1))] for value in shown)


def report(samples: dict[str, list[Sample]]) -> tuple[str, list[str]]:
    """A table, and what grows."""
    lines = [
        "| gateway | holds | at first | at last | growth | may grow | from beginning to end |",
        "|---|---|---:|---:|---:|---:|---|",
    ]
    grows = []
    for gateway, taken in samples.items():
        for name, may in TOLERANCE.items():
            values = [sample.holds[name] for sample in taken]
            grown = growth(taken, name)
            ends = f"{values[0]:.1f} | {values[-1]:.1f} | {grown:+.1f}"
            lines.append(f"| {gateway} | {name} | {ends} | {may:.0f} | {graph(values)} |")
            if grown > may:
                grows.append(f"{gateway}: {name} grow by {grown:.1f}")
    return "\n".join(lines), grows


def disturbances(seconds: float) -> list[Fault]:
    """In turn and for ever the same: reloads, reconnects, new leaders."""
    turns = [
        (Kind.GATEWAY_RELOAD, 0.0, (GATEWAYS[0],)),
        (Kind.LINK_CUT, 0.3, (GATEWAYS[1], NODES[0])),
        (Kind.CONSUMER_STEP_DOWN, 0.0, (DURABLES[0],)),
        (Kind.GATEWAY_RELOAD, 0.0, (GATEWAYS[1],)),
        (Kind.GATEWAY_CUT, 0.3, (GATEWAYS[0],)),
        (Kind.GATEWAY_CUT, 0.3, (GATEWAYS[1],)),
        (Kind.LINK_DELAY, 2.0, (GATEWAYS[0], NODES[1])),
    ]
    in_turn = enumerate(itertools.islice(itertools.cycle(turns), int(seconds / EVERY)))
    return [Fault(i, (i + 1) * EVERY, lasting, kind, on) for i, (kind, lasting, on) in in_turn]


async def soak(folder: Path, minutes: float, rate: float, say: Callable[[str], None]) -> bool:
    """Whether everything stayed as it was."""
    bed = Bed(folder, WINDOW, keep=KEPT)
    samples: dict[str, list[Sample]] = {gateway: [] for gateway in bed.gateways}
    async with bed.running():
        async with steady(bed.nc, events.event, rate) as load:
            await load.reached(int(rate * 3), 60)
            disturber = Disturber(bed)
            sampling = asyncio.create_task(_sample(bed, samples, load, say))
            await disturber.run(disturbances(minutes * 60), lambda _line: None)
            sampling.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await sampling
        await all_settled(bed.nc, events.SOURCE, DURABLES, 60)
        wrong = [*disturber.wrong, *log_faults(bed)]
    table, grows = report(samples)
    say(f"\n{minutes:g} minutes, {load.sent} events, {len(disturber.done)} disturbances\n\n{table}\n")
    for line in [*grows, *wrong]:
        say(line)
    say("flat" if not grows and not wrong else "NOT GOOD")
    return not grows and not wrong


async def _sample(bed: Bed, samples: dict[str, list[Sample]], load: Load, say: Callable[[str], None]) -> None:
    began = told = time.monotonic()
    while True:
        for name, gateway in bed.gateways.items():
            now = usage(gateway.pid)
            assert now is not None, f"{name} has ended"
            try:
                tasks = await gateway.metric("plugin_chaos_steps_tasks")
            except AssertionError:
                continue  # no answer within two seconds: a busy machine, and no sample
            holds = {"MiB": now.rss / (1 << 20), "fds": now.fds, "threads": now.threads, "tasks": tasks}
            samples[name].append(Sample(time.monotonic() - began, holds))
        if time.monotonic() - told > 60:
            told = time.monotonic()
            held = {name: round(taken[-1].holds["MiB"], 1) for name, taken in samples.items() if taken}
            say(f"{(told - began) / 60:5.0f} min  {load.sent} events  MiB {held}")
        await asyncio.sleep(EVERY)


def main() -> None:
    """Soak, print the table, and exit with 1 when something grows."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0, help="how long (60)")
    parser.add_argument("--rate", type=float, default=100.0, help="events a second (100)")
    parser.add_argument("--folder", help="where logs and stores go; a temporary one without")
    options = parser.parse_args()
    folder = Path(options.folder or tempfile.mkdtemp(prefix="soak-"))

    def say(line: str) -> None:
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()

    sys.exit(not asyncio.run(soak(folder, options.minutes, options.rate, say)))


if __name__ == "__main__":
    main()
