"""Problems: what is wrong with a config, as values that can be sorted, counted and printed."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Code(StrEnum):
    """The closed list of what can be wrong with a config."""

    UNREADABLE = "unreadable"
    """The file cannot be read, or its bytes are not UTF-8 text."""
    SYNTAX = "syntax"
    """The text is not YAML."""
    EMPTY = "empty"
    """The document holds nothing, or no route."""
    DUPLICATE_KEY = "duplicate-key"
    """A mapping has the same key twice."""
    UNSUPPORTED_YAML = "unsupported-yaml"
    """A YAML feature that configs may not use: merge keys, foreign tags, a second document, runaway aliases."""
    TOO_DEEP = "too-deep"
    """Nested deeper than 100 levels."""
    EXPANSION = "expansion"
    """A `${...}` cannot be expanded."""
    INCLUDE = "include"
    """An include matches nothing, nests, or holds what only the main file may hold."""
    UNKNOWN_FIELD = "unknown-field"
    """A field nobody knows."""
    MISSING_FIELD = "missing-field"
    """A required field is not there."""
    WRONG_TYPE = "wrong-type"
    """A value of another type than the field takes."""
    INVALID_VALUE = "invalid-value"
    """A value of the right type that the field does not take."""
    DUPLICATE_ROUTE = "duplicate-route"
    """Two routes with one name."""
    DUPLICATE_DURABLE = "duplicate-durable"
    """Two routes that would share a stream and durable."""
    DUPLICATE_STREAM = "duplicate-stream"
    """Two declarations of one stream."""
    DUPLICATE_TARGET = "duplicate-target"
    """Two targets of a route with one name."""
    UNKNOWN_COMPONENT = "unknown-component"
    """A codec, filter, transform or audit no plugin offers."""
    AMBIGUOUS_COMPONENT = "ambiguous-component"
    """A short component name that two plugins claim."""
    INVALID_STEP = "invalid-step"
    """A step that is not one component's name with its config."""
    INVALID_PATTERN = "invalid-pattern"
    """A content filter that can never be evaluated."""
    INVALID_PATH = "invalid-path"
    """A path that does not parse, or names something that cannot be read or written."""
    INVALID_TEMPLATE = "invalid-template"
    """A template that does not parse."""
    INVALID_SUBJECT = "invalid-subject"
    """A NATS subject or wildcard that is not legal."""
    PLUGIN = "plugin"
    """A plugin failed to load, clashes or is disabled."""
    COMPONENT = "component"
    """A component refuses its own config."""
    LOOP = "loop"
    """A route publishes into what it reads."""
    SERVER = "server"
    """What the servers hold does not fit the config; only `check --live` asks them."""


class Severity(StrEnum):
    """How bad a finding is."""

    ERROR = "error"
    """The config cannot be used as it is."""
    WARNING = "warning"
    """It can, but most likely does not do what was meant; never changes an exit code, unless `--strict` says so."""


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One finding with its place; `line` and `column` count from 1, columns in characters."""

    file: str
    line: int
    column: int
    code: Code
    text: str
    hint: str = ""
    path: str = ""
    """Where in the config, as people write it: `routes[3].name`."""
    severity: Severity = Severity.ERROR

    @property
    def is_warning(self) -> bool:
        """Whether the config can be used all the same."""
        return self.severity is Severity.WARNING

    @property
    def head(self) -> str:
        """`file:line:column: path: text (code)` without the hint: one line, as logs want it."""
        where = f"{self.path}: " if self.path else ""
        return _one_line(f"{self.file}:{self.line}:{self.column}: {where}{self.text} ({self.code})")

    def __str__(self) -> str:
        """Write the head, and the hint below it."""
        return f"{self.head}\n  hint: {_one_line(self.hint)}" if self.hint else self.head


def log_fields(problem: Problem, event: str) -> dict[str, str]:
    """The `extra` of a log line about a problem; its message is the head."""
    fields = {"event": event, "code": str(problem.code)}
    return {**fields, "hint": problem.hint} if problem.hint else fields


def did_you_mean(word: str, names: Iterable[str], what: str) -> str:
    """A hint for a misspelt name: the nearest one, and all there are."""
    choices = sorted(names)
    listing = f"{what}: {', '.join(choices)}" if choices else f"there are no {what}"
    near = nearest(word, choices)
    return f'did you mean "{near}"? {listing}' if near else listing


def nearest(word: str, names: Iterable[str]) -> str | None:
    """The name that was most likely meant; `max_in_flight` and `maxInFlight` count as `max-in-flight`."""
    choices = list(names)
    kebab = "".join(f"-{char.lower()}" if char.isupper() else char for char in word).replace("_", "-").strip("-")
    for text in (kebab, word):
        found = difflib.get_close_matches(text, choices, n=1, cutoff=0.6)
        if found:
            return found[0]
    return None


def quoted(text: str) -> str:
    """A name as texts about plugins show it: in double quotes, on one line, cut at 80 characters."""
    cut = text if len(text) <= 80 else text[:79] + "…"
    return json.dumps(cut, ensure_ascii=not cut.isprintable())


def _one_line(text: str) -> str:
    """What a plugin says may have several lines; a problem has one, and one for its hint."""
    return " ".join(text.splitlines()) if len(text.splitlines()) > 1 or text.endswith("\n") else text
