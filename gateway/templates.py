"""Templates: `billing.{detail.data.orderId}`, `{path|or:none}`, `{path|token}`; `{{` and `}}` are literal braces.

One parse serves three readers, which differ in what they refuse: a value (any JSON type), a header (no line ends), a
subject (one legal token per placeholder).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from .errors import ConfigProblem, UnsafeValue
from .headers import value_is_safe
from .missing import MISSING
from .paths import Path, Readable
from .subjects import MAX_SUBJECT, first_token_is_reserved, safe_token, subject_fault, token_is_safe

_encode = msgspec.json.Encoder().encode
_BRACES = re.compile(r"\{\{|\}\}|\{|\}")
_QUOTED_OR = re.compile(r'"(?:[^"\\]|\\.)*"|.', re.DOTALL)
"""A quoted key, or one character."""


@dataclass(frozen=True, slots=True)
class Placeholder:
    """`{path|or:text|token}`: `default` stands in for what is absent, `token` makes any text one legal token."""

    path: Path
    default: str | None = None
    token: bool = False

    def read(self, event: Readable) -> Any:
        """The value, its default, or MISSING."""
        value = self.path.read(event)
        if value is MISSING and self.default is not None:
            return self.default
        return value


ROUTE_NAMES = ("$gateway", "$route", "$stream")
"""The placeholders of dead-letter subjects, audit subjects and audit files: names no event can change."""


class Template:
    """A parsed template; `constant` is its text when it has no placeholder, else None."""

    __slots__ = ("constant", "parts", "text")

    def __init__(self, text: str) -> None:
        """Parse `text`; raises ConfigProblem when it is no template."""
        self.text = text
        self.parts: tuple[str | Placeholder, ...] = tuple(_parts(text))
        literal = all(isinstance(part, str) for part in self.parts)
        self.constant = "".join(str(part) for part in self.parts) if literal else None

    def placeholders(self) -> list[Placeholder]:
        """The placeholders, in order."""
        return [part for part in self.parts if isinstance(part, Placeholder)]

    def value(self, event: Readable) -> Any:
        """The value for a transform: one placeholder alone keeps its JSON type; MISSING if any part is absent."""
        if self.constant is not None:
            return self.constant
        if len(self.parts) == 1:
            only = self.parts[0]
            assert isinstance(only, Placeholder)
            value = only.read(event)
            return safe_token(_text(value)) if only.token and value is not MISSING else value
        return self.render(event)

    def render(self, event: Readable) -> Any:
        """The text of it: numbers as JSON, objects as compact JSON; MISSING if any part is absent."""
        if self.constant is not None:
            return self.constant
        texts: list[str] = []
        for part in self.parts:
            if isinstance(part, str):
                texts.append(part)
                continue
            value = part.read(event)
            if value is MISSING:
                return MISSING
            text = _text(value)
            texts.append(safe_token(text) if part.token else text)
        return "".join(texts)

    def header(self, event: Readable) -> str | None:
        """The text for a header value, None when absent; raises UnsafeValue for CR, LF or NUL."""
        text = self.render(event)
        if text is MISSING:
            return None
        if not value_is_safe(text):
            raise UnsafeValue("unsafe-header", f"a value made of {self._names()} holds a line end or NUL")
        return str(text)

    def subject(self, event: Readable) -> str:
        """The subject to publish to; raises UnsafeValue unless every placeholder gives one legal token."""
        if self.constant is not None:
            return self.constant
        texts = [part if isinstance(part, str) else _token(part, event) for part in self.parts]
        subject = "".join(texts)
        if first_token_is_reserved(subject) and not (isinstance(self.parts[0], str) and self.parts[0]):
            fault = f"a subject made of {self._names()} would begin with $ or _, which is the server's own"
            raise UnsafeValue("unsafe-subject", fault)
        if len(subject) > MAX_SUBJECT // 4 and len(subject.encode()) > MAX_SUBJECT:
            raise UnsafeValue("unsafe-subject", f"a subject made of {self._names()} would be over {MAX_SUBJECT} bytes")
        return subject

    def _names(self) -> str:
        """The placeholders, for an error text; the literal parts may hold what an expansion put there."""
        return " ".join(f"{{{placeholder.path}}}" for placeholder in self.placeholders())

    def __repr__(self) -> str:
        """The placeholders only, as in an error text."""
        return f"<Template of {self._names() or 'text'}>"

    def __str__(self) -> str:
        return self.text

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Template) and other.text == self.text

    def __hash__(self) -> int:
        return hash(self.text)


def check_subject(template: Template, allowed: Sequence[str] | None = None) -> None:
    """Check the literal parts of a subject template; raises ConfigProblem.

    `allowed` limits the placeholders to these paths: dead-letter and audit subjects take only names no event can
    change, so that no event can make them unpublishable.
    """
    if allowed is not None:
        for placeholder in template.placeholders():
            if placeholder.path.text not in allowed:
                raise ConfigProblem((), f"{{{placeholder.path}}} may not stand here", f"only {', '.join(allowed)} may")
    example = "".join(part if isinstance(part, str) else "x" for part in template.parts)
    fault = subject_fault(example)
    if fault:
        raise ConfigProblem((), f"{template.text!r} is no subject: {fault}")
    if len("".join(part for part in template.parts if isinstance(part, str)).encode()) > MAX_SUBJECT:
        raise ConfigProblem((), f"the subject is over {MAX_SUBJECT} bytes, more than a server takes")
    first = template.parts[0]
    if isinstance(first, Placeholder) and first.default and first_token_is_reserved(first.default):
        fault = f"with its default {template.text!r} would begin with $ or _, which is the server's own"
        raise ConfigProblem((), fault)
    for placeholder in template.placeholders():
        if placeholder.default is not None and not placeholder.token and not token_is_safe(placeholder.default):
            raise ConfigProblem((), f"the default {placeholder.default!r} in {template.text!r} is not one legal token")


def fixed_text(template: Template, gateway: str, route: str, stream: str) -> str:
    """The text of a template that has placeholders of `ROUTE_NAMES` only, each made one legal token."""
    values = {"$gateway": gateway, "$route": route, "$stream": stream}
    return "".join(part if isinstance(part, str) else safe_token(values[part.path.text]) for part in template.parts)


def _token(part: Placeholder, event: Readable) -> str:
    value = part.read(event)
    kind = type(value)
    if kind is str:
        text: str = value
    elif kind is bool or kind is int:
        text = _text(value)
    elif value is MISSING:
        raise UnsafeValue("unsafe-subject", f"{{{part.path}}} is absent")
    elif part.token:
        text = _text(value)
    else:
        raise UnsafeValue("unsafe-subject", f"{{{part.path}}} is no string, integer or boolean")
    if part.token:
        return safe_token(text)
    if not token_is_safe(text):
        raise UnsafeValue("unsafe-subject", f"{{{part.path}}} is not one legal token")
    return text


def _text(value: Any) -> str:
    return value if type(value) is str else _encode(value).decode()


def _parts(text: str) -> list[str | Placeholder]:
    """Split into literals and placeholders; neighbouring literals become one."""
    parts: list[str | Placeholder] = []
    literal: list[str] = []
    position = 0
    while found := _BRACES.search(text, position):
        literal.append(text[position : found.start()])
        if found[0] in ("{{", "}}"):
            literal.append(found[0][0])
            position = found.end()
            continue
        if found[0] == "}":
            raise ConfigProblem(
                (), f"'}}' without '{{' at character {found.start() + 1}", "a literal brace is doubled: {{ or }}"
            )
        end = _end(text, found.end())
        if "".join(literal):
            parts.append("".join(literal))
        literal = []
        parts.append(_placeholder(text[found.end() : end]))
        position = end + 1
    literal.append(text[position:])
    if "".join(literal) or not parts:
        parts.append("".join(literal))
    return parts


def _end(text: str, start: int) -> int:
    """The index of the `}` that ends a placeholder; one inside quotes is part of a key."""
    for found in _QUOTED_OR.finditer(text, start):
        if found[0] == "}":
            return found.start()
    raise ConfigProblem((), f"'{{' at character {start} is never closed", "a literal brace is doubled: {{ or }}")


def _placeholder(inner: str) -> Placeholder:
    path, *options = _split_bars(inner)
    if path != path.strip(" "):
        # A key may have spaces, but one at an edge is most likely meant for the reader's eye.
        hint = f"write {{{path.strip(' ')}}}; a key with a space at its edge stands in quotes"
        raise ConfigProblem((), f"a space at the edge of the path in {{{inner}}}", hint)
    default: str | None = None
    token = False
    for option in options:
        if option.startswith("or:"):
            default = option[3:]
        elif option == "token":
            token = True
        else:
            raise ConfigProblem(
                (), f"nobody knows the option {option!r} in {{{inner}}}", "the options are or:TEXT and token"
            )
    return Placeholder(Path(path), default, token)


def _split_bars(inner: str) -> list[str]:
    """Split at the bars outside quotes."""
    pieces = [""]
    for found in _QUOTED_OR.finditer(inner):
        if found[0] == "|":
            pieces.append("")
        else:
            pieces[-1] += found[0]
    return pieces
