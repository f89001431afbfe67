"""What required audits cost: the gateway's throughput with each sink, beside the same without audit."""

from __future__ import annotations

import sys
from dataclasses import asdict, replace
from pathlib import Path
from statistics import median
from typing import Any

from gateway.chain.stored import read

from .bed import AUDIT, Bed
from .table import spread, table
from .throughput import Run, calm

SIZE = 256
NONE, STREAM, FILE = "no audit", "stream", "file"
GOAL = 0.6
"""Share of the throughput without audit that a required stream audit has to leave."""


async def measure(bed: Bed, events: int, reps: int) -> list[Run]:
    """Drain the same events without and with audits, in turn; each run's records are counted."""
    await bed.fill(f"ORDERS_{SIZE}", events, SIZE, half=False)
    file = bed.folder / "audit.jsonl"
    sinks: dict[str, list[Any]] = {
        NONE: [],
        STREAM: [{"stream": {"subject": "audit.{$route}", "stream": AUDIT}}],
        FILE: [{"file": {"path": str(file), "rotate": None}}],
    }
    runs = []
    for _ in range(reps):
        for name, audits in sinks.items():
            file.unlink(missing_ok=True)
            run = replace(await calm(bed, "gateway", SIZE, events, events, audits), lane=name)
            print(f"{name:9} {run.rate:10,.0f} events/s", file=sys.stderr)
            runs.append(run)
            if name == STREAM:
                _check([data for data, _ in await bed.read(AUDIT)], events)
            elif name == FILE:
                _check(_lines(file), events)
    return runs


def _lines(file: Path) -> list[bytes]:
    return file.read_bytes().splitlines()


def _check(records: list[bytes], events: int) -> None:
    """Every event has its record; raises AssertionError. A file holds the chains of earlier tries, too."""
    found = [stored for data in records if (stored := read(data)) is not None]
    assert len(found) == len(records), "something is no record of a chain"
    mine = [stored for stored in found if stored.chain == found[-1].chain]
    assert sum(stored.kind is None for stored in mine) == events, "an event has no record, or two"


def report(runs: list[Run]) -> str:
    """A table, and the ratio beside its goal."""
    by_sink = {name: [run for run in runs if run.lane == name] for name in (NONE, STREAM, FILE)}
    rates = {name: median(run.rate for run in own) for name, own in by_sink.items()}
    head = ("audit", "events/s, median (min..max)", "x without", "CPU-s/100k", "server", "others")
    rows = [
        (
            name,
            spread([run.rate for run in own]),
            f"{rates[name] / rates[NONE]:.2f}",
            f"{median(run.cpu / run.events for run in own) * 1e5:.2f}",
            f"{median(run.server_cpu / run.events for run in own) * 1e5:.2f}",
            f"{median(run.others for run in own):.2f}",
        )
        for name, own in by_sink.items()
    ]
    goal = f"stream / no audit: {rates[STREAM] / rates[NONE]:.2f} (goal >= {GOAL:g})"
    return f"required audits, events of {SIZE} bytes\n{table(head, rows)}\n{goal}"


def plain(runs: list[Run]) -> list[dict[str, Any]]:
    """The same for machines."""
    return [{**asdict(run), "rate": run.rate} for run in runs]
