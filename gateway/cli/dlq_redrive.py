"""`gateway dlq redrive`: the events in dead letters sent again."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from typing import Any

import click

from ..dlq.engine import Redriven
from ..dlq.plan import Order, Way
from ..dlq.redrive import Request, Shop
from ..dlq.redrive import redrive as redrive_all
from ..errors import Retry
from ..jetstream.oneshot import LOST
from .asking import ended, notice, settings
from .dlq_options import LIMIT, Asked, rate, selecting
from .dlq_report import JsonReporter, Reporter, TextReporter
from .exits import FINDINGS, GOOD, TRY_AGAIN
from .options import json_option


@click.command()
@selecting
@click.option("--failed-targets", is_flag=True, help="Send only to the targets that failed.")
@click.option("--to-source", is_flag=True, help="Send back to the subject the event came from.")
@click.option("--to-route", default="", metavar="NAME", help="Send through this route; needs --route.")
@click.option("--limit", default=0, type=LIMIT, metavar="N", help="The oldest N only; 0 for all.")
@click.option("--rate", callback=rate, metavar="RATE", help="Letters a second at most: 100/s, 600/m.")
@click.option("--dry-run", is_flag=True, help="Say what would be sent, and send nothing.")
@click.option(
    "--max-redrives",
    default=3,
    show_default=True,
    type=click.IntRange(min=1),
    metavar="N",
    help="Keep letters of events that were redriven N times already.",
)
@click.option("--force", is_flag=True, help="Take also what is kept for caution; the summary names it.")
@json_option
def redrive(config: str, patience: float, dry_run: bool, as_json: bool, **given: Any) -> None:
    """Send the events in dead letters again.

    Each goes through its route as the config has it now, to all of its targets. A letter is removed when streams hold
    every copy; where one calls a copy a duplicate, only when it is seen to be there. An event that fails again has a
    new letter before the old one goes. What a filter or transform ends stays.

    A run that was ended, in whatever way, goes on when the command is given again: the message ids are the same.
    Letters that come while it runs are not taken. Ctrl-C finishes what is in flight; a second one ends at once.

    Exit codes: 0 every letter that was meant is gone, 1 some are kept or failed again, or there is no dead-letter
    stream, 2 wrong usage, 69 no connection within --timeout, 75 the connection was lost, 78 the config cannot be
    used, 130 ended by Ctrl-C (143 by SIGTERM) with letters left.
    """
    asked = Asked(given)
    order = _order(asked, **given)
    loaded, registry = settings(config)
    if order.to_route and order.to_route not in {route.name for route in loaded.routes}:
        raise click.BadParameter(f"the config has no route {order.to_route}", param_hint="--to-route")
    request = Request(
        order,
        lambda routes: asked.selection(loaded, routes),
        stream=asked.stream,
        dry_run=dry_run,
        patience=patience,
    )
    to_source = order.way is Way.SOURCE
    reporter: Reporter = JsonReporter() if as_json else TextReporter(sys.stderr.isatty(), to_source)
    stops = Stops()

    async def work() -> Redriven:
        stops.listen()
        return await redrive_all(Shop(loaded, registry), request, reporter, stops.stop)

    try:
        redriven = ended(work())
    finally:
        reporter.close()
    for line in asked.strangers(loaded, registry):
        reporter.notice(line)
    reporter.ended(redriven)
    if redriven.fault is not None:
        notice(str(redriven.fault))
    sys.exit(_code(redriven, stops))


def _order(asked: Asked, *, failed_targets: bool, to_source: bool, to_route: str, **rest: Any) -> Order:
    """What was ordered; a UsageError where that contradicts itself."""
    if failed_targets + to_source + bool(to_route) > 1:
        raise click.UsageError("one of --failed-targets, --to-source and --to-route")
    if to_route and not asked.routes:
        raise click.UsageError("--to-route needs --route: whose letters?")
    way = Way.SOURCE if to_source else Way.FAILED_TARGETS if failed_targets else Way.ROUTE
    return Order(way=way, to_route=to_route, **rest)


def _code(redriven: Redriven, stops: Stops) -> int:
    """The exit code."""
    fault = redriven.fault
    if fault is not None:
        return FINDINGS if isinstance(fault, Retry) and fault.code not in LOST else TRY_AGAIN
    if redriven.stopped:
        return 128 + stops.by
    return GOOD if redriven.good else FINDINGS


class Stops:
    """Ctrl-C and SIGTERM: the first ends the run in order, the second at once."""

    def __init__(self) -> None:
        self.stop = asyncio.Event()
        self.by = signal.SIGINT

    def listen(self) -> None:
        """From now on."""
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, self._heard, number)

    def _heard(self, number: signal.Signals) -> None:
        if self.stop.is_set():
            os._exit(128 + number)
        self.by = number
        self.stop.set()
