"""Fill in `${...}`: environment, files, systemd credentials.

    ${NAME}             an environment variable, [A-Z_][A-Z0-9_]*
    ${NAME:-default}    the default when it is unset or empty
    ${file:PATH}        a file's text without one trailing newline, relative to the folder of the config file
    ${credential:NAME}  the same of a file in $CREDENTIALS_DIRECTORY
    $${                 a literal ${

What came out of an expansion may be a secret: no fault repeats it, nor a default, and it is never expanded again.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from .files import UnreadableError
from .reads import Reads
from .tree import quote

_FORMS = "use ${NAME}, ${NAME:-default}, ${file:PATH} or ${credential:NAME}; a literal ${ is written $${"

_PLACEHOLDER = re.compile(
    r"""  (?P<escape>\$\$\{)
        | \$\{ (?: (?P<name>[A-Z_][A-Z0-9_]*) (?: :- (?P<default>[^}]*) )?
                 | file: (?P<file>[^}]+)
                 | credential: (?P<credential>[^}]+)
               ) \}
        | (?P<other>\$\{) (?P<head>[A-Za-z0-9_]{0,32}) (?P<rest>[^}]*) (?P<end>\}?)
    """,
    re.VERBOSE,
)


class Fault(NamedTuple):
    """Why a placeholder cannot be filled in, and what to do; safe to print."""

    text: str
    hint: str


class Expansion(NamedTuple):
    """A text with its placeholders filled in; `tainted` when there was one, `faults` for those that failed."""

    text: str
    tainted: bool
    faults: tuple[Fault, ...]
    unread: bool = False
    """Holds a credential that was not to be read."""

    def __repr__(self) -> str:
        """Hide the text, which may be a secret."""
        return f"Expansion(tainted={self.tainted}, faults={self.faults})"


class _UnreadError(Exception):
    """A credential that is not to be read."""


class _FaultError(Exception):
    def __init__(self, text: str, hint: str = _FORMS) -> None:
        super().__init__(text)
        self.fault = Fault(text, hint)


@dataclass(frozen=True, slots=True)
class Expander:
    """Expands texts with one environment and the folder of one config file."""

    env: Mapping[str, str] = field(repr=False)
    folder: str
    reads: Reads = field(default_factory=Reads, repr=False)
    """Takes note of the files that are read."""
    credentials: bool = True
    """Whether credentials are read, or stay as they stand."""

    def expand(self, text: str) -> Expansion:
        """Fill in every placeholder; those that fail are left out and reported, all of them."""
        if "${" not in text:
            return Expansion(text, tainted=False, faults=())
        parts: list[str] = []
        faults: list[Fault] = []
        tainted = unread = False
        end = 0
        for match in _PLACEHOLDER.finditer(text):
            parts.append(text[end : match.start()])
            end = match.end()
            if match["escape"]:
                parts.append("${")
                continue
            tainted = True
            try:
                parts.append(self._value(match))
            except _FaultError as error:
                faults.append(error.fault)
            except _UnreadError:
                unread = True
                parts.append(match[0])
        parts.append(text[end:])
        return Expansion("".join(parts), tainted, tuple(faults), unread)

    def _value(self, match: re.Match[str]) -> str:
        if match["other"]:
            raise _misspelt(match)
        if "${" in match[0][2:]:
            raise _FaultError("a ${...} inside another is not expanded", "give the default or path as plain text")
        if match["name"]:
            return self._variable(match["name"], match["default"])
        if match["file"]:
            return self._content(os.path.join(self.folder, match["file"]), f"file {quote(match['file'])}")
        return self._credential(match["credential"])

    def _variable(self, name: str, default: str | None) -> str:
        value = self.env.get(name)
        if default is not None and not value:
            return default
        if value is None:
            raise _FaultError(f"environment variable {name} is not set", f"set it, or give a default: ${{{name}:-...}}")
        # Bytes that are not UTF-8 reach os.environ as lone surrogates, which nothing later could encode.
        if any("\ud800" <= char <= "\udfff" for char in value):
            raise _FaultError(f"environment variable {name} is not UTF-8 text", "set it to UTF-8 text")
        return value

    def _credential(self, name: str) -> str:
        if "/" in name or name in (".", ".."):
            raise _FaultError(f"credential {quote(name)} is not a name", "a credential is named without folders")
        if not self.credentials:
            raise _UnreadError
        folder = self.env.get("CREDENTIALS_DIRECTORY")
        if not folder:
            raise _FaultError(
                f"credential {quote(name)} is not there: $CREDENTIALS_DIRECTORY is not set",
                f"run under systemd with LoadCredential={name}:/path in the unit, or set the variable to a folder",
            )
        return self._content(os.path.join(folder, name), f"credential {quote(name)}")

    def _content(self, path: str, what: str) -> str:
        try:
            text = self.reads.read_text(path)
        except UnreadableError as error:
            raise _FaultError(f"{what} {error.text}", error.hint or f"looked for at {os.path.abspath(path)}") from error
        return text[:-2] if text.endswith("\r\n") else text.removesuffix("\n")


def _misspelt(match: re.Match[str]) -> _FaultError:
    # What follows a name may be a default, as in the shell's ${NAME-text}, and the default a password: not shown.
    shown = "${" + match["head"] + ("..." if match["rest"] else match["end"])
    if not match["end"]:
        return _FaultError(f"{quote(shown)} has no closing }}")
    if match["head"] not in ("file", "credential") and re.fullmatch("[A-Z_]*[a-z][A-Za-z0-9_]*", match["head"]):
        hint = f"names are upper case: ${{{match['head'].upper()}}}; {_FORMS}"
        return _FaultError(f"{quote(shown)} cannot be expanded", hint)
    return _FaultError(f"{quote(shown)} cannot be expanded")
