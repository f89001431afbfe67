"""Lines that come again and again: the first is written at once, then one an interval that says how many there were.

Two lines are the same when they tell of the same event, with the same code, of the same route, step, target and so on;
what else they say, a sequence for example, may differ. Every line is either written or counted, and every count is
written: when the interval is over, or at the end.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Hashable
from contextlib import AbstractContextManager

from .events import told_each
from .lines import error_text, event_of

INTERVAL = 30.0
"""Seconds between two lines about the same thing."""
LOOK = 1.0
"""Seconds between two looks for what is due, as long as anything is held back."""
MOST = 1000
"""Different things that are remembered. Beyond them, those of one event count as the same, whatever they are about."""

_ABOUT = ("code", "route", "step", "target", "stream", "component", "plugin", "hook", "bucket", "place")
"""Fields with which a line tells of something else. Their values are names of the config, never data of events."""


class _Kept:
    """What is known of one thing that was told."""

    __slots__ = ("count", "record", "since")

    def __init__(self, since: float) -> None:
        self.since = since
        self.count = 0
        """Lines held back since then."""
        self.record: logging.LogRecord | None = None
        """The last of them."""


class Repeats:
    """Decides which warnings are written. Whoever calls holds `lock`, from any thread."""

    def __init__(
        self,
        write: Callable[[logging.LogRecord], None],
        lock: AbstractContextManager[object],
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """`write` gets the lines that say how many there were, in their field `repeated`."""
        self._write = write
        self._lock = lock
        self._now = now
        self._kept: dict[Hashable, _Kept] = {}
        self._forget_at = 0.0
        self._teller: threading.Thread | None = None
        self._over = threading.Event()

    def passes(self, record: logging.LogRecord) -> bool:
        """Whether to write a record now; else it is counted."""
        if record.levelno < logging.WARNING or self._over.is_set():
            return True
        event = event_of(record)
        if event is not None and told_each(event):
            return True
        about = _about(event, record)
        now = self._now()
        kept = self._kept.get(about)
        if kept is None and len(self._kept) >= MOST:
            if now >= self._forget_at:
                self._forget(now)
            about = about if len(self._kept) < MOST else event or record.name
            kept = self._kept.get(about)
        if kept is None or (not kept.count and now - kept.since >= INTERVAL):
            self._kept[about] = _Kept(now)
            return True
        if not self._will_be_told():
            return True
        kept.count += 1
        kept.record = _without_trace(record)
        return False

    def tell(self, due: float = 0.0) -> float | None:
        """Write what was held back `due` seconds ago or earlier; returns the seconds until the next is due, if any."""
        now = self._now()
        waits = []
        for kept in list(self._kept.values()):
            if not kept.count:
                continue
            left = kept.since + due - now
            if left > 0:
                waits.append(left)
                continue
            assert kept.record is not None
            moment = time.time()  # lines stand in the order of their times
            fields = {"repeated": kept.count, "created": moment, "msecs": moment % 1 * 1000}
            counted = logging.makeLogRecord({**kept.record.__dict__, **fields})
            kept.count, kept.record, kept.since = 0, None, now
            self._write(counted)
        return min(waits, default=None)

    def end(self) -> None:
        """Write all that was held back, and hold back no more."""
        self._over.set()
        self.tell()

    def _forget(self, now: float) -> None:
        """What was not repeated for an interval is new when it comes again. It takes a while: not for every record."""
        self._forget_at = now + LOOK
        for about in [about for about, kept in self._kept.items() if not kept.count and now - kept.since >= INTERVAL]:
            del self._kept[about]

    def _will_be_told(self) -> bool:
        """Have a thread that tells what is held back: the event loop may be what does not turn."""
        if self._teller is not None and self._teller.is_alive():  # after a fork it is not
            return True
        self._teller = threading.Thread(target=self._tell_in_time, name="gateway-log-repeats", daemon=True)
        try:
            self._teller.start()
        except RuntimeError:  # no more threads for this process, or it ends
            return False
        return True

    def _tell_in_time(self) -> None:
        """Runs as long as something is held back."""
        while True:
            with self._lock:
                wait = self.tell(INTERVAL)
                if wait is None:
                    self._teller = None
                    return
            # Not all of it: what is held back meanwhile may be due earlier.
            if self._over.wait(min(wait, LOOK)):
                return


def _about(event: str | None, record: logging.LogRecord) -> Hashable:
    """What a record is about. One without an event is known by the place that logs it."""
    fields = record.__dict__
    what: Hashable = (record.pathname, record.lineno)
    if event is not None:
        what = tuple([_word(fields[name]) for name in _ABOUT if name in fields])
    error = record.exc_info[1] if record.exc_info else None
    where = None if error is None else _where(error)
    return str(event), record.name, record.levelno, what, where


def _word(value: object) -> str:
    try:
        return value if type(value) is str else str(value)
    except Exception:  # noqa: BLE001 - a plugin may log whatever it likes
        return type(value).__name__


def _where(error: BaseException) -> tuple[str, int]:
    """The kind of an exception, and the line it comes from: another one is worth its own trace."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return type(error).__name__, 0 if trace is None else trace.tb_lineno


def _without_trace(record: logging.LogRecord) -> logging.LogRecord:
    """The same with its error as one line: a trace keeps the events of its frames alive, and was written before."""
    error = record.exc_info[1] if record.exc_info else None
    if error is None:
        return record
    return logging.makeLogRecord({"error": error_text(error), **record.__dict__, "exc_info": None})
