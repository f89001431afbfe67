"""A thread between the event loop and the collector: bounded, counted, and closed within a limit.

Unlike the SDK's BatchSpanProcessor it counts what finds no room, and its spans are made off the event loop.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from itertools import islice

from gateway import AuditRecord

BATCH = 512
"""Records of one request."""
LAST_WORD = 0.5
"""Seconds the thread has to end in once nothing is waited for any more."""
QUIET = 60.0
"""Seconds between two lines about a queue that is full."""


class Pump:
    """Takes records on the event loop, hands them to `export` in batches, in a thread of its own."""

    def __init__(
        self,
        export: Callable[[Sequence[AuditRecord]], int],
        count: Callable[[str, int], None],
        spans: Callable[[Sequence[AuditRecord]], int],
        room: int,
        delay: float,
        log: logging.Logger,
    ) -> None:
        """`export` may block, and says how many of a batch's spans the collector took; `count` is told of every span
        once: `exported`, `failed`, `overflow` or `unsent`. `spans` says how many records become; `room` is for records.
        """
        self._export = export
        self._count = count
        self._spans = spans
        self._room = room
        self._delay = delay
        self._log = log
        self._waiting: deque[AuditRecord] = deque()
        self._change = threading.Condition()
        self._closing = False
        self._hurried = False
        self._overflow = 0
        """Spans that found no room since the log said so."""
        self._told = float("-inf")
        # A daemon: a collector that never answers must not keep the process from ending.
        self._thread = threading.Thread(target=self._work, name="gateway-otel", daemon=True)
        self._thread.start()

    def offer(self, records: Sequence[AuditRecord]) -> None:
        """Take records, as many as there is room for. Never waits for the collector."""
        with self._change:
            fitting = max(0, self._room - len(self._waiting))
            self._waiting.extend(islice(records, fitting))
            self._change.notify()
        if len(records) > fitting:
            self._no_room(self._spans(records[fitting:]))

    def _no_room(self, spans: int) -> None:
        """Every span is counted, and one line now and then says it: the first at once."""
        self._count("overflow", spans)
        self._overflow += spans
        now = time.monotonic()
        if now - self._told >= QUIET:
            self._log.warning(
                "the queue is full: %d spans found no room", self._overflow, extra={"event": "otel.overflow"}
            )
            self._told, self._overflow = now, 0

    def hurry(self) -> None:
        """Wait for no full batch any more: the end is near."""
        with self._change:
            self._hurried = True
            self._change.notify()

    def close(self, limit: float, abandon: Callable[[], None]) -> None:
        """Export what waits, for at most `limit` seconds; then `abandon` has to end the call that is under way."""
        with self._change:
            self._closing = True
            self._change.notify()
        self._thread.join(limit)
        with self._change:
            left = self._spans(self._waiting)
            self._waiting.clear()
        abandon()
        self._thread.join(LAST_WORD)
        if left:
            self._count("unsent", left)
            self._log.warning("%d spans were not sent within %g s", left, limit, extra={"event": "otel.unsent"})

    def _work(self) -> None:
        while batch := self._next():
            try:
                taken = self._export(batch)
            except Exception:  # noqa: BLE001 - a batch that cannot be exported must not end the thread
                self._log.exception("spans could not be exported", extra={"event": "otel.export-failed"})
                taken = 0
            self._count("exported", taken)
            self._count("failed", self._spans(batch) - taken)

    def _next(self) -> list[AuditRecord]:
        """The next batch, once it is full or its time is up; empty at the end."""
        with self._change:
            self._change.wait_for(lambda: self._waiting or self._closing)
            self._change.wait_for(lambda: self._closing or self._hurried or len(self._waiting) >= BATCH, self._delay)
            return [self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))]
