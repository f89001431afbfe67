"""A log record as a line: a JSON object for machines, one readable line for a terminal.

Every warning and error has a `code`: the one its caller gave, else its event's name with a dash for the dot.
docs/troubleshooting.md has an entry for each.
"""

from __future__ import annotations

import json
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
_NUMBERS = (int, float, bool)
_SHORT = {"WARNING": "WARN", "CRITICAL": "CRIT"}
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_PLAIN = re.compile(r'[^\s"=]+')

MASK = "***"
SHORTEST = 4
"""Letters of the shortest secret that is looked for: to take out a shorter one would leave lines nobody can read."""


def event_of(record: logging.LogRecord) -> str | None:
    """The event a record tells of. What others call `event`, an object of theirs perhaps, is a field like any other."""
    event = record.__dict__.get("event")
    return event if type(event) is str else None


def error_text(error: BaseException) -> str:
    """An exception in one line, without the notes that were added to it."""
    try:
        lines = traceback.format_exception_only(error)
    except Exception:  # noqa: BLE001 - an exception that cannot even be printed
        return type(error).__name__
    return _escaped(lines[-1 if isinstance(error, SyntaxError) else 0].strip())  # of that one the place comes first


class Secrets:
    """Takes secrets out of what libraries and plugins say. The gateway's own lines have none: a Secret shows as ***."""

    def __init__(self, words: Iterable[str] = ()) -> None:
        # The longest first: a part of a secret must not be taken out of it before the whole.
        found = sorted({word for word in words if len(word) >= SHORTEST}, key=len, reverse=True)
        forms = dict.fromkeys(form for word in found for form in _forms(word))
        self._any = re.compile("|".join(map(re.escape, forms))) if forms else None

    def out_of(self, text: str) -> str:
        """A text without them."""
        return text if self._any is None else self._any.sub(MASK, text)

    def out_of_value(self, value: object) -> object:
        """A value for JSON without them. Numbers are none: `***` in the place of one would break the line."""
        if self._any is None or value is None or type(value) in _NUMBERS:
            return value
        if type(value) is str:
            return self.out_of(value)
        return self._out_of_plain(msgspec.to_builtins(value, str_keys=True, enc_hook=str))

    def _out_of_plain(self, value: Any) -> Any:
        if type(value) is str:
            return self.out_of(value)
        if type(value) is dict:
            return {self.out_of(name): self._out_of_plain(inner) for name, inner in value.items()}
        if type(value) in (list, tuple):
            return [self._out_of_plain(inner) for inner in value]
        return value


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def __init__(self, secrets: Callable[[], Secrets] = Secrets) -> None:
        super().__init__()
        self._secrets = secrets

    def format(self, record: logging.LogRecord) -> str:
        """Write a record; a field that JSON cannot hold becomes text."""
        line: dict[str, Any] = {"time": _utc(record.created), "level": record.levelname.lower(), "logger": record.name}
        if event := event_of(record):
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
            fields = {_text(name): _json(value, secrets) for name, value in line.items()}
            return _ENCODER.encode(fields).decode()


class TextFormatter(logging.Formatter):
    """`12:03:04.123 INFO  route up route=eu-orders`, in local time.

    The event is named where a code does not give it away: docs and alerts call lines by it.
    """

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
        if type(extras.get("repeated")) is int:
            message = f"{message} (repeated {extras.pop('repeated'):,} times)"
        parts = [f"{clock}.{int(record.msecs):03d} {level:<5}", _escaped(secrets.out_of(message))]
        if code := _code(record):
            event = event_of(record)
            if event and code != code_of(event):
                parts.append(f"event={_quoted(event)}")
            parts.append(f"code={_quoted(code)}")
        parts += [f"{_quoted(_text(name))}={_field(value, secrets)}" for name, value in extras.items()]
        if record.name.partition(".")[0] != "gateway":
            parts.append(f"logger={_quoted(record.name)}")
        _, trace = _exception(record)
        lines = [" ".join(parts), *secrets.out_of(trace).splitlines()]
        return "\n".join([lines[0], *map(_escaped, lines[1:])])


def _code(record: logging.LogRecord) -> str:
    """The code of a line: of every one that is a warning or worse, and of others that were given one."""
    code = _text(record.__dict__.get("code", ""))
    if code or record.levelno < logging.WARNING:
        return code
    event = event_of(record)
    return code_of(event) if event else FOREIGN


def _utc(seconds: float) -> str:
    whole, millis = divmod(int(seconds * 1000), 1000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(whole))}.{millis:03d}Z"


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception:  # noqa: BLE001 - a caller's wrong arguments are no reason to lose what it said
        return f"{_text(record.msg)} (its arguments do not fit)"


def _extras(record: logging.LogRecord) -> dict[str, Any]:
    fields = record.__dict__
    told = {name: value for name, value in fields.items() if name not in _STANDARD and name != "code"}
    return told if event_of(record) is not None or fields.get("event") is None else {**told, "event": fields["event"]}


def _exception(record: logging.LogRecord) -> tuple[str, str]:
    """The error in one line, and where it came from; both empty without one."""
    if not record.exc_info or record.exc_info[1] is None:
        return "", record.stack_info or ""
    try:
        trace = "".join(traceback.format_exception(*record.exc_info)).rstrip()
    except Exception:  # noqa: BLE001 - an exception that cannot even be printed
        trace = ""
    return error_text(record.exc_info[1]), trace


def _escaped(text: str) -> str:
    return _CONTROL.sub(lambda found: repr(found[0])[1:-1], text)


def _json(value: object, secrets: Secrets) -> object:
    """A field for JSON, as text if there is no other way."""
    try:
        return msgspec.Raw(_ENCODER.encode(secrets.out_of_value(value)))
    except Exception:  # noqa: BLE001 - its own code may raise anything
        return secrets.out_of(_text(value))


def _field(value: object, secrets: Secrets) -> str:
    if type(value) in _NUMBERS:
        return f"{value:g}" if type(value) is float else str(value)
    return _quoted(secrets.out_of(_text(value)))


def _quoted(text: str) -> str:
    text = _escaped(text)
    return text if _PLAIN.fullmatch(text) else '"' + text.replace('"', '\\"') + '"'


def _text(value: object) -> str:
    try:
        return str(value).encode("utf-8", "backslashreplace").decode()
    except Exception:  # noqa: BLE001 - str() of a foreign object may raise anything
        return f"<{type(value).__name__}>"


def _forms(word: str) -> tuple[str, ...]:
    """How a word may be written: as it is, as in the repr of what holds it, and in JSON."""
    return word, repr(word)[1:-1], json.dumps(word)[1:-1], json.dumps(word, ensure_ascii=False)[1:-1]


# str() of a Secret is ***.
_ENCODER = msgspec.json.Encoder(enc_hook=str)
