"""The gateway's exceptions, one tree.

GatewayError
  ConfigError            a config with problems; carries all of them
  ConfigProblem          a component refuses its own config: path, text, hint
  PatternError           a content filter that is not valid
  PluginError            a plugin cannot be loaded or breaks the contract
  EventError             an event cannot go on
    DecodeError          its bytes are not what the codec expects
    EncodeError          its body cannot be written as the codec wants
    UnsafeValue          a value of it would make an unsafe subject or header
    Reject               a plugin refuses it for good
    Retry                a plugin asks for another try
  RouteFault             a route cannot run now: code, reason, hint
  ServerUnreachable      no NATS server answered in the time given
  ConnectionGone         the connection was closed for good
"""

from __future__ import annotations

from collections.abc import Sequence

from .problems import Problem

PathStep = str | int
"""One step into a config value: a mapping's key or a list's index."""


class GatewayError(Exception):
    """Root of everything the gateway raises on purpose."""


class ConfigError(GatewayError):
    """The config cannot be used; `problems` holds every finding of the run, in file order."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in problems))


class ConfigProblem(GatewayError):
    """Raised by a component's `prepare()`: its config has the right type but makes no sense.

    `path` leads from the component's own config to the value at fault, for example `("paths", "total")`; the
    gateway turns it into file:line:column.
    """

    def __init__(self, path: Sequence[PathStep] = (), text: str = "", hint: str = "") -> None:
        self.path: tuple[PathStep, ...] = (path,) if isinstance(path, str) else tuple(path)
        self.text = text
        self.hint = hint
        super().__init__(path_error_text(self.path, text))


class PatternError(GatewayError):
    """A content filter pattern is not valid; `path` is the place inside the pattern, as walked in the document."""

    def __init__(self, path: Sequence[PathStep], text: str, hint: str = "") -> None:
        self.path: tuple[PathStep, ...] = tuple(path)
        self.text = text
        self.hint = hint
        super().__init__(path_error_text(self.path, text))


class PluginError(GatewayError):
    """A plugin cannot be loaded, clashes with another or breaks the contract."""


class EventError(GatewayError):
    """This event cannot go on; `code` is the kebab-case word that metrics, logs and dead letters carry."""

    # Defaults for a plugin's subclass that does not call this __init__: an event must not get stuck over it.
    code = "other"
    message = ""

    def __init__(self, code: str, message: str) -> None:
        self.code = code
        self.message = message
        super().__init__(message)


class DecodeError(EventError):
    """The bytes are not what the codec expects; the message names the place, never the data."""

    def __init__(self, message: str) -> None:
        super().__init__("decode-error", message)


class EncodeError(EventError, ValueError):
    """A codec cannot write this body; the message names types, never the data."""

    def __init__(self, message: str) -> None:
        super().__init__("encode-error", message)


class UnsafeValue(EventError):
    """A value of the event may not stand where a template puts it (`unsafe-subject` or `unsafe-header`)."""


class Reject(EventError):
    """Raised by a plugin: this event is refused for good and goes to the dead-letter stream under `code`."""

    def __init__(self, code: str, message: str = "") -> None:
        super().__init__(code, message or code)


class Retry(EventError):
    """Raised by a plugin: a passing fault; the event is tried again after `after` seconds, or by the retry policy."""

    code = "retry"
    after: float | None = None

    def __init__(self, message: str = "", *, after: float | None = None, code: str = "retry") -> None:
        self.after = after
        super().__init__(code, message or "the step asked for another try")


class RouteFault(GatewayError):
    """A route cannot run now. `code` and `text` become its status; it is tried again until it can."""

    def __init__(self, code: str, text: str, hint: str = "") -> None:
        self.code = code
        self.text = text
        self.hint = hint
        super().__init__(text)


class ServerUnreachable(GatewayError):
    """No NATS server answered within the time a one-shot command was given."""


class ConnectionGone(GatewayError):
    """The server closed the connection and reconnecting is no use."""


def path_error_text(path: Sequence[PathStep], text: str) -> str:
    """Write `detail.state[0]: text`, the form in which every path-carrying error reads."""
    place = path_text(path)
    return f"{place}: {text}" if place else text


def path_text(path: Sequence[PathStep]) -> str:
    """Write a config path as people do: `("routes", 3, "name")` is `routes[3].name`."""
    parts: list[str] = []
    for step in path:
        if isinstance(step, int):
            parts.append(f"[{step}]")
        else:
            parts.append(f".{step}" if parts else step)
    return "".join(parts)
