"""Where the demo shows itself: a table that is drawn anew on a terminal, plain lines on a pipe."""

from __future__ import annotations

import asyncio
import logging
import shutil
import sys
import time
from collections import deque
from typing import Protocol, TextIO

from ..runtime.stats import GatewayStats
from .table import Table, count_all

_EVERY = 1.0
"""Seconds between two looks."""
_NEWS = 10.0
"""Seconds a warning is shown."""


class Screen(Protocol):
    """What the demo needs of one."""

    def open(self, stats: GatewayStats, nats_url: str, http_url: str | None) -> None:
        """Say what runs where."""
        ...

    async def show(self, stop: asyncio.Event) -> None:
        """Show what happens until `stop`."""
        ...

    def close(self, sent: int) -> None:
        """Show how it ended; `sent` is how many orders the shop got rid of."""
        ...


class Lines:
    """A line a second and a last one, each word before its count; everything else goes to `notices`."""

    def __init__(self, out: TextIO = sys.stdout, notices: TextIO = sys.stderr) -> None:
        self._out = out
        self._notices = notices
        self._stats = GatewayStats("", "")

    def open(self, stats: GatewayStats, nats_url: str, http_url: str | None) -> None:
        """Say what runs where."""
        self._stats = stats
        self._notices.write(f"nats-server {nats_url}, gateway {http_url}/metrics\n")

    async def show(self, stop: asyncio.Event) -> None:
        """Write a line a second; a reader that has gone away ends the demo."""
        while not await _ended(stop):
            try:
                self._write()
            except BrokenPipeError:
                stop.set()

    def close(self, sent: int) -> None:
        """Write the last line."""
        self._notices.write(f"the shop sent {sent} orders\n")
        self._write()

    def _write(self) -> None:
        self._out.write(f"{count_all(self._stats).line}\n")
        self._out.flush()


class _Latest(logging.Handler):
    """Keeps the latest warnings: written between the lines of a table they would tear it."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._records: deque[logging.LogRecord] = deque(maxlen=4)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one."""
        self._records.append(record)

    @property
    def texts(self) -> list[str]:
        """Those of the last seconds."""
        since = time.time() - _NEWS
        return [
            f"{record.levelname.lower()}: {record.getMessage()}" for record in self._records if record.created > since
        ]


class Live:
    """The table, drawn over itself, with the latest warnings below."""

    def __init__(self, out: TextIO = sys.stdout) -> None:
        self._out = out
        self._drawn = 0
        self._latest = _Latest()
        self._stats = GatewayStats("", "")
        self._table = Table([])

    def open(self, stats: GatewayStats, nats_url: str, http_url: str | None) -> None:
        """Say what runs where, and take over the log."""
        self._stats = stats
        self._table = Table(
            [
                "nats-event-gateway demo: a shop's orders on their way, Ctrl-C ends it",
                f"nats-server {nats_url}",
                f"gateway     {http_url}/metrics  {http_url}/readyz",
            ]
        )
        logging.getLogger().addHandler(self._latest)

    async def show(self, stop: asyncio.Event) -> None:
        """Draw the table every second."""
        seconds = 0.0
        while True:
            self._draw(seconds)
            seconds = _EVERY
            if await _ended(stop):
                return

    def close(self, sent: int) -> None:
        """Draw the last state and sum it up."""
        logging.getLogger().removeHandler(self._latest)
        self._draw(_EVERY)
        self._out.write(f"\nthe shop sent {sent} orders\n{count_all(self._stats).line}\n")
        self._out.flush()

    def _draw(self, seconds: float) -> None:
        width = shutil.get_terminal_size().columns
        table = self._table.lines(self._stats, seconds, width)
        lines = [line[:width] for line in [*table, "", *self._latest.texts]]
        back = f"\x1b[{self._drawn}A" if self._drawn else ""
        # Cursor up to the first line, then erase what is below.
        self._out.write(f"{back}\r\x1b[J" + "\n".join(lines) + "\n")
        self._out.flush()
        self._drawn = len(lines)


async def _ended(stop: asyncio.Event) -> bool:
    """Wait for `stop`, but not longer than until the next look."""
    try:
        await asyncio.wait_for(stop.wait(), _EVERY)
    except TimeoutError:
        return False
    return True
