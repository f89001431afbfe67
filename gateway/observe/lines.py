"""A log record as a line: a JSON object for machines, one readable line for a terminal.

Every warning and error has a `code`: the one its caller gave, else its event's name with a dash for the dot.
docs/troubleshooting.md has an entry for each.
"""

from __future__ import annotations

import logging
import re
import time
import traceback
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from .events import FOREIGN, code_of

_STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName", "event"}
_OWN = frozenset({"time", "level", "logger", "event", "message", "error", "trace"})
_SHORT = {"WARNING": "WARN", "CRITICAL": "CRIT"}
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_PLAIN = re.compile(r'[^\s"=]+')

MASK = "***"
SHORTEST = 4
"""Letters of the shortest secret that is looked for: to take out a shorter one would leave lines nobody can read."""


class Secrets:
    """Takes secrets out of what libraries and plugins say. The gateway's own lines have none: a Secret shows as ***."""

    def __init__(self, words: Iterable[str] = ()) -> None:
        # The longest first: a part of a secret must not be taken out of it before the whole.
        found = sorted({word for word in words if len(word) >= SHORTEST}, key=len, reverse=True)
        self._plain = _any_of([form for word in found for form in dict.fromkeys((word, repr(word)[1:-1]))])
        self._json = _any_of([msgspec.json.encode(_text(word)).decode()[1:-1] for word in found])

    def out_of(self, text: str) -> str:
        """A text without them."""
        return text if self._plain is None else self._plain.sub(MASK, text)

    def out_of_value(self, value: object) -> object:
        """A value for JSON without them."""
        if self._json is None or value is None or type(value) in (int, float, bool):
            return value
        if type(value) is str:
            return self.out_of(value)
        return msgspec.Raw(self._json.sub(MASK, _ENCODER.encode(value).decode()).encode())


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def __init__(self, secrets: Callable[[], Secrets] = Secrets) -> None:
        super().__init__()
        self._secrets = secrets

    def format(self, record: logging.LogRecord) -> str:
        """Write a record; a field that JSON cannot hold becomes text."""
        line: dict[str, Any] = {"time": _utc(record.created), "level": record.levelname.lower(), "logger": record.name}
        if event := record.__dict__.get("event"):
            line["event"] = event
        if code := _code(record):
            line["code"] = code
        own = len(line)
        line["message"] = _message(record)
        error, trace = _exception(record)
        for name, value in _extras(record).items():
            line[f"{name}_" if name in _OWN and (name != "error" or error) else name] = value
        if error:
            line["error"] = error
        if trace:
            line["trace"] = trace
        secrets = self._secrets()
        try:
            shown = {
                name: value if index < own else secrets.out_of_value(value)
                for index, (name, value) in enumerate(line.items())
            }
            return _ENCODER.encode(shown).decode()
        except Exception:  # noqa: BLE001 - whatever a field's own code raises, the line must come out
            texts = {name: secrets.out_of(_text(value)) for name, value in line.items()}
            return _ENCODER.encode(texts).decode()


class TextFormatter(logging.Formatter):
    """`12:03:04.123 INFO  route up route=eu-orders`, in local time."""

    def __init__(self, secrets: Callable[[], Secrets] = Secrets) -> None:
        super().__init__()
        self._secrets = secrets

    def format(self, record: logging.LogRecord) -> str:
        """Write a record; control characters are escaped, so that no event's data can forge a line."""
        secrets = self._secrets()
        clock = time.strftime("%H:%M:%S", time.localtime(record.created))
        level = _SHORT.get(record.levelname, record.levelname)
        extras = _extras(record)
        message = _message(record)
        if (repeated := extras.pop("repeated", None)) is not None:
            message = f"{message} (repeated {repeated:,} times)"
        parts = [f"{clock}.{int(record.msecs):03d} {level:<5}", _escaped(secrets.out_of(message))]
        if code := _code(record):
            parts.append(f"code={code}")
        parts += [f"{name}={_field(value, secrets)}" for name, value in extras.items()]
        if record.name.partition(".")[0] != "gateway":
            parts.append(f"logger={record.name}")
        _, trace = _exception(record)
        lines = [" ".join(parts), *secrets.out_of(trace).splitlines()]
        return "\n".join([lines[0], *map(_escaped, lines[1:])])


def _code(record: logging.LogRecord) -> str:
    """The code of a line: of every one that is a warning or worse, and of others that were given one."""
    fields = record.__dict__
    code = _text(fields.get("code", ""))
    if code:
        return code
    if record.levelno < logging.WARNING:
        return ""
    return code_of(str(fields["event"])) if fields.get("event") else FOREIGN


def _utc(seconds: float) -> str:
    whole, millis = divmod(int(seconds * 1000), 1000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(whole))}.{millis:03d}Z"


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception:  # noqa: BLE001 - a caller's wrong arguments are no reason to lose what it said
        return f"{_text(record.msg)} (its arguments do not fit)"


def _extras(record: logging.LogRecord) -> dict[str, Any]:
    return {name: value for name, value in record.__dict__.items() if name not in _STANDARD and name != "code"}


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


def _field(value: object, secrets: Secrets) -> str:
    text = _escaped(secrets.out_of(f"{value:g}" if type(value) is float else _text(value)))
    return text if _PLAIN.fullmatch(text) else '"' + text.replace('"', '\\"') + '"'


def _text(value: object) -> str:
    try:
        return str(value).encode("utf-8", "backslashreplace").decode()
    except Exception:  # noqa: BLE001 - str() of a foreign object may raise anything
        return f"<{type(value).__name__}>"


def _any_of(words: list[str]) -> re.Pattern[str] | None:
    return re.compile("|".join(map(re.escape, words))) if words else None


# str() of a Secret is ***.
_ENCODER = msgspec.json.Encoder(enc_hook=str)
