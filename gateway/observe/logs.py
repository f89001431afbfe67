"""Logs on the standard library: JSON lines for machines, one readable line for a terminal.

A record's stable name is `extra={"event": "route.up"}`; every other `extra` field is shown as it is called, a Secret as
`***`. Messages change with the wording, event names do not. What warnings and errors may be called is in `events`.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Iterable, Mapping
from typing import Literal, TextIO

from . import journal
from .lines import JsonFormatter, Secrets, TextFormatter
from .repeats import Repeats

Layout = Literal["auto", "text", "json"]

QUIET = {"nats": "critical", "aiohttp.server": "critical"}
"""Loggers that write tracebacks about what the gateway reports once, or what strangers send to its HTTP port; the
config may open them."""


def setup(
    level: str = "info", layout: Layout = "auto", loggers: Mapping[str, str] | None = None, stream: TextIO | None = None
) -> None:
    """Send the logs of the whole process to `stream`; a second call replaces the first, and loses no line.

    `layout` auto is text on a terminal, JSON elsewhere. `loggers` sets levels by logger name.
    """
    root = logging.getLogger()
    before = _handlers()
    handler = _Handler(layout, {"": level, **QUIET, **(loggers or {})}, stream)
    for one in before:
        handler.take_over(one)
    root.addHandler(handler)
    for one in before:
        root.removeHandler(one)
        one.close()


def hide(words: Iterable[str]) -> None:
    """Keep the secrets of another config out of all lines; those of the one before are kept out, too."""
    for handler in _handlers():
        handler.hide(words)


def tell_repeats() -> None:
    """Write what was held back: the process is about to end."""
    for handler in _handlers():
        handler.tell_repeats()


def _handlers() -> list[_Handler]:
    return [handler for handler in logging.getLogger().handlers if isinstance(handler, _Handler)]


class _Handler(logging.StreamHandler[TextIO]):
    """Writes lines, remembers whose levels it set, and never raises into the one who logs."""

    def __init__(self, layout: Layout, levels: Mapping[str, str], stream: TextIO | None) -> None:
        super().__init__(stream)
        if isinstance(self.stream, io.TextIOWrapper):
            self.stream.reconfigure(errors="backslashreplace")
        if layout == "auto":
            layout = "text" if self.stream.isatty() else "json"
        self._words: frozenset[str] = frozenset()
        self._secrets = Secrets()
        self.setFormatter((TextFormatter if layout == "text" else JsonFormatter)(lambda: self._secrets))
        self._journal = journal.is_behind(self.stream)
        assert self.lock is not None
        self._repeats = Repeats(self._write, self.lock)
        self._levels = levels
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level.upper())

    def take_over(self, before: _Handler) -> None:
        """Go on in the place of another; loggers nothing is said of any more have the levels they are born with."""
        self._words, self._secrets = before._words, before._secrets
        for name in before._levels.keys() - self._levels.keys():
            logging.getLogger(name).setLevel(logging.NOTSET)

    def hide(self, words: Iterable[str]) -> None:
        """Take these out of all lines, and those of the last call."""
        found = frozenset(words)
        self._secrets, self._words = Secrets(found | self._words), found

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record, or count it."""
        try:
            passes = self._repeats.passes(record)
        except Exception:  # noqa: BLE001 - a log call must not hurt its caller, and says what it has to say
            passes = True
        if passes:
            self._write(record)

    def _write(self, record: logging.LogRecord) -> None:
        try:
            text = self.format(record)
            if self._journal:
                if journal.wants_whole(text) and journal.send(record.levelno, text):
                    return
                text = journal.with_priority(record.levelno, text)
            self.stream.write(f"{text}\n")
            self.flush()
        except Exception:  # noqa: BLE001 - a log call must not hurt its caller
            self.handleError(record)

    def tell_repeats(self) -> None:
        """Write what was held back."""
        self.acquire()
        try:
            self._repeats.tell()
        finally:
            self.release()

    def close(self) -> None:
        """Write what was held back; from now on every record is written."""
        self.acquire()
        try:
            self._repeats.end()
        finally:
            self.release()
        super().close()

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the library's name
        """Say nothing: what could not be written to the log has no better place to go."""
