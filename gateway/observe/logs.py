"""Logs on the standard library: JSON lines for machines, one readable line for a terminal.

A record's stable name is `extra={"event": "route.up"}`; every other `extra` field is shown as it is called, a Secret as
`***`. Messages change with the wording, event names do not.
"""

from __future__ import annotations

import io
import logging
import os
import re
import time
import traceback
from collections.abc import Mapping
from typing import Any, Literal, TextIO

import msgspec

Layout = Literal["auto", "text", "json"]

QUIET = {"nats": "critical", "aiohttp.server": "critical"}
"""Loggers that write tracebacks about what the gateway reports once, or what strangers send to its HTTP port; the
config may open them."""

_STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName", "event"}
_OWN = frozenset({"time", "level", "logger", "event", "message", "error", "trace"})
_SHORT = {"WARNING": "WARN", "CRITICAL": "CRIT"}
_PRIORITIES = ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6))
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_PLAIN = re.compile(r'[^\s"=]+')


def setup(
    level: str = "info", layout: Layout = "auto", loggers: Mapping[str, str] | None = None, stream: TextIO | None = None
) -> None:
    """Send the logs of the whole process to `stream`; a second call replaces the first.

    `layout` auto is text on a terminal, JSON elsewhere. `loggers` sets levels by logger name.
    """
    root = logging.getLogger()
    for handler in [handler for handler in root.handlers if isinstance(handler, _Handler)]:
        handler.withdraw()
        root.removeHandler(handler)
    root.addHandler(_Handler(layout, {"": level, **QUIET, **(loggers or {})}, stream))


class _Handler(logging.StreamHandler[TextIO]):
    """Writes lines, remembers whose levels it set, and never raises into the one who logs."""

    def __init__(self, layout: Layout, levels: Mapping[str, str], stream: TextIO | None) -> None:
        super().__init__(stream)
        if isinstance(self.stream, io.TextIOWrapper):
            self.stream.reconfigure(errors="backslashreplace")
        if layout == "auto":
            layout = "text" if self.stream.isatty() else "json"
        self.setFormatter(TextFormatter() if layout == "text" else JsonFormatter())
        self._journal = _is_journal(self.stream)
        self._levels = levels
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level.upper())

    def withdraw(self) -> None:
        """Give the loggers back the levels they are born with."""
        for name in self._levels:
            logging.getLogger(name).setLevel(logging.NOTSET if name else logging.WARNING)

    def format(self, record: logging.LogRecord) -> str:
        """The line, under systemd with the priority the journal strips and stores."""
        text = super().format(record)
        if not self._journal:
            return text
        priority = next((number for level, number in _PRIORITIES if record.levelno >= level), 7)
        return "\n".join(f"<{priority}>{line}" for line in text.split("\n"))

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the library's name
        """Say nothing: what could not be written to the log has no better place to go."""


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """Write a record; a field that JSON cannot hold becomes text."""
        line: dict[str, Any] = {"time": _utc(record.created), "level": record.levelname.lower(), "logger": record.name}
        if event := record.__dict__.get("event"):
            line["event"] = event
        line["message"] = _message(record)
        error, trace = _exception(record)
        for name, value in _extras(record).items():
            line[f"{name}_" if name in _OWN and (name != "error" or error) else name] = value
        if error:
            line["error"] = error
        if trace:
            line["trace"] = trace
        try:
            return _ENCODER.encode(line).decode()
        except Exception:  # noqa: BLE001 - whatever a field's own code raises, the line must come out
            return _ENCODER.encode({name: _safe(value) for name, value in line.items()}).decode()


class TextFormatter(logging.Formatter):
    """`12:03:04.123 INFO  route up route=eu-orders`, in local time."""

    def format(self, record: logging.LogRecord) -> str:
        """Write a record; control characters are escaped, so that no event's data can forge a line."""
        clock = time.strftime("%H:%M:%S", time.localtime(record.created))
        level = _SHORT.get(record.levelname, record.levelname)
        parts = [f"{clock}.{int(record.msecs):03d} {level:<5}", _escaped(_message(record))]
        parts += [f"{name}={_field(value)}" for name, value in _extras(record).items()]
        if record.name.partition(".")[0] != "gateway":
            parts.append(f"logger={record.name}")
        _, trace = _exception(record)
        lines = [" ".join(parts), *trace.splitlines()]
        return "\n".join([lines[0], *map(_escaped, lines[1:])])


def _is_journal(stream: TextIO) -> bool:
    """Whether the stream ends in systemd's journal, by the device and inode systemd tells."""
    try:
        stat = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{stat.st_dev}:{stat.st_ino}"


def _utc(seconds: float) -> str:
    whole, millis = divmod(int(seconds * 1000), 1000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(whole))}.{millis:03d}Z"


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception:  # noqa: BLE001 - a caller's wrong arguments are no reason to lose what it said
        return f"{_safe(record.msg)} (its arguments do not fit)"


def _extras(record: logging.LogRecord) -> dict[str, Any]:
    return {name: value for name, value in record.__dict__.items() if name not in _STANDARD}


def _exception(record: logging.LogRecord) -> tuple[str, str]:
    """The error in one line, and where it came from; both empty without one."""
    if not record.exc_info or record.exc_info[1] is None:
        return "", record.stack_info or ""
    try:
        error = traceback.format_exception_only(record.exc_info[1])[-1]
        return _escaped(error.strip()), "".join(traceback.format_exception(*record.exc_info)).rstrip()
    except Exception:  # noqa: BLE001 - an exception that cannot even be printed
        return type(record.exc_info[1]).__name__, ""


def _escaped(text: str) -> str:
    return _CONTROL.sub(lambda found: repr(found[0])[1:-1], text)


def _field(value: object) -> str:
    text = _escaped(f"{value:g}" if type(value) is float else _safe(value))
    return text if _PLAIN.fullmatch(text) else '"' + text.replace('"', '\\"') + '"'


def _safe(value: object) -> str:
    try:
        return str(value).encode("utf-8", "backslashreplace").decode()
    except Exception:  # noqa: BLE001 - str() of a foreign object may raise anything
        return f"<{type(value).__name__}>"


# str() of a Secret is ***.
_ENCODER = msgspec.json.Encoder(enc_hook=str)
