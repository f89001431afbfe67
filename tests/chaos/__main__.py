"""`python -m tests.chaos [--seed N] [--faults N | --minutes N] [--rate N]`: docs/proof.md tells what it proves."""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from pathlib import Path

from .report import report
from .run import SCENE, run
from .schedule import schedule, schedule_for


def main() -> None:
    """Run, print the table, and exit with 1 when anything is not as it must be."""
    options = _options()
    seed = options.seed if options.seed is not None else time.time_ns() % 1_000_000
    if options.minutes is not None:
        faults = schedule_for(seed, options.minutes * 60, SCENE)
    else:
        faults = schedule(seed, max(0, options.faults), SCENE)
    if not faults:
        _say("nothing to do: FAULTS must be 1 or more, or MINUTES long enough for one to begin")
        sys.exit(2)
    _say(f"seed {seed}: {len(faults)} faults, the last one ends after {max(fault.end for fault in faults):.0f} s")
    if options.plan:
        _say("\n".join(map(str, faults)))
        return
    folder = Path(options.folder or tempfile.mkdtemp(prefix="chaos-"))
    outcome = asyncio.run(run(folder, seed, faults, options.rate, _say))
    _say(f"\n{report(outcome)}")
    _say(f"logs and stores: {folder}")
    sys.exit(not outcome.good)


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, help="the same seed is the same schedule")
    parser.add_argument("--faults", type=int, default=60, help="how many (60)")
    parser.add_argument("--minutes", type=float, help="as many as begin within so many minutes, instead")
    parser.add_argument("--rate", type=float, default=100.0, help="events a second (100)")
    parser.add_argument("--folder", help="where logs and stores go; a temporary one without")
    parser.add_argument("--plan", action="store_true", help="print the schedule, and do nothing")
    return parser.parse_args()


if __name__ == "__main__":
    main()
