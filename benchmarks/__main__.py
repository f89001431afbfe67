"""`python -m benchmarks [--quick] [PART]`; the parts are in PARTS, and in README.md. Exits with 1 over a limit."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import uvloop

from . import audit, calls, latency, pattern, process, resources, steps, throughput
from .bed import Bed

PARTS = ("throughput", "latency", "audit", "steps", "calls", "pattern", "resources")


def main() -> None:
    """Run the parts asked for, or all of them."""
    options = _options()
    head: dict[str, Any] = {
        **process.machine(),
        "python": sys.version.split()[0],
        **{name: version(name) for name in ("nats-py", "uvloop", "msgspec")},
        "command": " ".join(["python -m benchmarks", *sys.argv[1:]]),
    }
    texts, figures = [", ".join(f"{name} {what}" for name, what in head.items())], {"machine": head}
    for part in [options.part] if options.part else PARTS:
        text, found = _run(part, options)
        texts.append(text)
        figures[part] = found
    print(json.dumps(figures, indent=2) if options.json else "\n\n".join(texts))
    over = resources.missed(figures.get("resources", {}))
    if over:
        print(f"over their limits: {', '.join(over)}", file=sys.stderr)
        sys.exit(1)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("part", nargs="?", choices=PARTS, help="only this one")
    parser.add_argument("--quick", action="store_true", help="a tenth of the work: to see that it runs")
    parser.add_argument("--events", type=int, help="events the gateway drains in one run (200,000)")
    parser.add_argument("--reps", type=int, help="runs of each lane (3)")
    parser.add_argument("--half", action="store_true", help="throughput: every other event is filtered away")
    parser.add_argument("--json", action="store_true", help="figures as JSON, times in seconds unless named otherwise")
    options = parser.parse_args()
    options.events = options.events or (20_000 if options.quick else 200_000)
    options.reps = options.reps or (1 if options.quick else 3)
    return options


def _run(part: str, options: argparse.Namespace) -> tuple[str, Any]:
    """One part: what people read, and what machines read."""
    if part == "throughput":
        runs = uvloop.run(_throughput(options))
        return throughput.report(runs), throughput.plain(runs)
    if part == "latency":
        found = uvloop.run(_latency(2.0 if options.quick else 15.0))
        return latency.report(found), latency.plain(found)
    if part == "audit":
        audited = uvloop.run(_audit(options))
        return audit.report(audited), audit.plain(audited)
    if part == "steps":
        costs = steps.measure(500 if options.quick else 5000)
        return steps.report(costs), steps.plain(costs)
    if part == "calls":
        cost = calls.measure(40 if options.quick else 400)
        return calls.report(cost), calls.plain(cost)
    if part == "resources":
        costs_of_many = uvloop.run(_resources(3.0 if options.quick else 20.0))
        return resources.report(costs_of_many), resources.plain(costs_of_many)
    times = pattern.measure()
    return pattern.report(times), times


async def _throughput(options: argparse.Namespace) -> list[throughput.Run]:
    with tempfile.TemporaryDirectory(prefix="gateway-bench-") as folder:
        async with Bed(Path(folder)) as bed:
            return await throughput.measure(bed, options.events, options.reps, half=options.half)


async def _resources(idle: float) -> resources.Figures:
    with tempfile.TemporaryDirectory(prefix="gateway-bench-") as folder:
        async with Bed(Path(folder)) as bed:
            return await resources.measure(bed, idle)


async def _audit(options: argparse.Namespace) -> list[throughput.Run]:
    with tempfile.TemporaryDirectory(prefix="gateway-bench-") as folder:
        async with Bed(Path(folder)) as bed:
            return await audit.measure(bed, options.events, options.reps)


async def _latency(seconds: float) -> list[latency.Latency]:
    with tempfile.TemporaryDirectory(prefix="gateway-bench-") as folder:
        async with Bed(Path(folder)) as bed:
            return await latency.measure(bed, seconds)


if __name__ == "__main__":
    main()
