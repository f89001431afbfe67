"""Say in plain words what libyaml dislikes about a text, where, and what most often is the cause."""

from __future__ import annotations

import re
from typing import NamedTuple

import yaml

from .files import position


class Finding(NamedTuple):
    """What is wrong with a text, its place (from 1) and a hint; never repeats more than one character of the text."""

    line: int
    column: int
    text: str
    hint: str


class _Words(NamedTuple):
    text: str
    hint: str
    at_context: bool = False
    """Report where the thing began: libyaml notices an open quote only at the end of the file."""


_QUOTE = "quote the whole value"
_INDENT = "check the indentation of this line and the ones above"
_DIRECTIVE = _Words('a line that begins with "%" is a directive', _QUOTE, at_context=True)
_OPEN_QUOTE = _Words("this quote is never closed", "close it, or double it inside", at_context=True)

_PLAIN_WORDS = {
    "mapping values are not allowed in this context": _Words(
        '":" cannot stand here', f'{_QUOTE} when it holds ": "; else {_INDENT}, and the space after each colon'
    ),
    "block sequence entries are not allowed in this context": _Words(
        '"- " cannot stand here', "a list begins on the line below its key"
    ),
    "could not find expected ':'": _Words(
        'this is neither a "key: value" nor part of the value above',
        "a key is followed by a colon and a space; a text over several lines is indented or quoted",
        at_context=True,
    ),
    "found unexpected end of stream": _OPEN_QUOTE,
    "found unexpected document indicator": _OPEN_QUOTE,
    "found unknown escape character": _Words(
        "unknown escape in a double-quoted text", "in '...' a backslash is a backslash; in \"...\" write \\\\"
    ),
    "found invalid Unicode character escape code": _Words(
        "this escape is no character: YAML has no surrogate pairs, unlike JSON",
        "write the character itself, or \\UXXXXXXXX with its 8 hexadecimal digits",
    ),
    "found unknown directive name": _DIRECTIVE,
    "found unexpected non-alphabetical character": _DIRECTIVE,
    "found a tab character where an indentation space is expected": _Words("a tab cannot indent", "indent with spaces"),
    "did not find expected '-' indicator": _Words('expected "- " and the next item of the list', _INDENT),
    "did not find expected key": _Words("expected the next key of the mapping", _INDENT),
    "did not find expected node content": _Words(
        "expected a value", "quote a value that begins with a bracket or comma; close what is open"
    ),
    "found undefined tag handle": _Words("this tag is not known", "leave it out; quote a value that begins with !"),
    "did not find expected <document start>": _Words("text after the end of the document", "a config is one document"),
    "found incompatible YAML document": _Words("the %YAML directive names a version not known", "leave it out"),
}

_UNWANTED = re.compile("[^\t\n\r\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")
"""Characters YAML forbids, and those that end a line in YAML 1.1 but not in 1.2, nor in an editor."""


def find_unwanted(text: str) -> Finding | None:
    """The first character that no config may hold as such: control characters, lone surrogates, U+2028 and its like."""
    match = _UNWANTED.search(text)
    if match is None:
        return None
    line, column = position(text, match.start())
    code = ord(match[0])
    hint = "is this a text file?" if code == 0 else f'in a double-quoted text write it as "\\u{code:04x}"'
    if 0xD800 <= code < 0xE000:
        hint = "half of a surrogate pair; write the whole character"
    return Finding(line, column, f"the character U+{code:04X} cannot stand in a config", hint)


def explain(error: yaml.YAMLError, text: str) -> Finding:
    """Turn an error of libyaml about `text` into a finding."""
    if not isinstance(error, yaml.MarkedYAMLError) or error.problem_mark is None:
        return Finding(1, 1, f"not YAML: {error}".splitlines()[0], "")
    problem = error.problem or "not YAML"
    opened = error.context_mark.line + 1 if error.context_mark else 0
    words = _words_at(text, problem, error.problem_mark.line, error.problem_mark.column, opened) or _PLAIN_WORDS.get(
        problem
    )
    if words is None:
        words = _Words(f"{problem} {error.context or ''}".rstrip(), "")
    mark = error.context_mark if words.at_context and error.context_mark else error.problem_mark
    return Finding(mark.line + 1, mark.column + 1, words.text, words.hint)


def _words_at(text: str, problem: str, line: int, column: int, opened: int) -> _Words | None:
    """Words that depend on the characters around the place; `line` and `column` count from 0.

    `opened` is the line, from 1, on which libyaml thinks began what it was reading.
    """
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    row = lines[line] if line < len(lines) else ""
    here = row[column : column + 1]
    before = row[:column].rstrip()[-1:]
    if here == "\t":
        return _Words("a tab cannot indent", "indent with spaces")
    if problem == "found character that cannot start any token":
        return _Words(f'a value cannot begin with "{here}"', _QUOTE)
    if problem == "did not find expected alphabetic or numeric character":
        # libyaml points behind the * or &.
        return _Words(f'a value that begins with "{before}" is an alias or anchor', _QUOTE, at_context=True)
    if problem.startswith("did not find expected ',' or"):
        above = opened if opened <= line else 0
        return _words_in_flow(here, above, bracket=problem[-2], ended=not (row[column:] or any(lines[line + 1 :])))
    if problem == "did not find expected key" and here and before and before in "}]\"'":
        return _Words(
            f"text after the closing {before}", f"{_QUOTE}: one that begins with a bracket or quote ends with it"
        )
    return None


def _words_in_flow(here: str, above: int, bracket: str, *, ended: bool) -> _Words:
    """Words for a place between brackets; `above` is the line of the opening one if that is an earlier line."""
    opening = {"}": "{", "]": "["}[bracket]
    unclosed = f'the "{opening}" of line {above} is not closed' if above else f'a "{opening}" above is not closed'
    if here == "{":
        hint = "within {...} and [...], quote a value that holds ${ or {"
        hint = f"{unclosed}; or {hint}" if above else hint
        return _Words('"{" cannot stand inside a plain value here', hint)
    if here == ":":
        hint = f'quote a value that holds ": "; or {unclosed}, or the key is not on this line'
        return _Words('":" cannot stand here', hint)
    if ended:
        return _Words(f'this "{opening}" is never closed', f'close it with "{bracket}"', at_context=True)
    return _Words(f'expected "," or "{bracket}"', f"a comma is missing, or {unclosed}")
