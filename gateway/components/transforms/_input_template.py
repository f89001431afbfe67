"""EventBridge's input templates, compiled: `{"total": <total>, "text": "order <id>"}` or `"order <id>"`.

The template is read once, as JSON with marks where variables stand, and becomes a function that makes a value. No text
is ever pasted into JSON, so no value of an event can break out of its place, whatever it holds.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from ...errors import ConfigProblem
from ...event import Event
from ...missing import MISSING

Value = Callable[[Event], Any]

_VARIABLE = re.compile(r"<([A-Za-z0-9_.\-]+)>")
_STRING_OR_VARIABLE = re.compile(r'"(?:[^"\\]|\\.)*"|' + _VARIABLE.pattern, re.DOTALL)
_MARK = re.compile("\x00([wt])([^\x00]*)\x00")
"""A variable inside the parsed template: `w` is the whole value, `t` a part of a text."""
_encode = msgspec.json.Encoder().encode


def compile_template(text: str, variables: Mapping[str, Value]) -> tuple[Value, set[str]]:
    """The function that makes the new body, and the names of the variables used. Raises ConfigProblem.

    What begins with `{` or `[` is a JSON template, what begins with a quote a text or several quoted lines of one;
    one variable alone is its value; anything else is plain text.
    """
    if "\x00" in text or "\\u0000" in text:
        raise ConfigProblem((), "a template cannot hold NUL")
    names = set(_VARIABLE.findall(text))
    for name in sorted(names - set(variables)):
        raise ConfigProblem((), f"nobody knows the variable <{name}>", _hint(name, variables))
    return _compile(_parse(text.strip()), variables), names


def _hint(name: str, variables: Mapping[str, Value]) -> str:
    near = difflib.get_close_matches(name, variables, 1)
    known = f"the variables are {', '.join(f'<{each}>' for each in variables)}"
    return f"did you mean <{near[0]}>? {known}" if near else f"add it to paths; {known}"


def _parse(text: str) -> Any:
    """The template as plain data, with marks for variables."""
    if text.startswith(("{", "[")):
        return _json(text)
    if text.startswith('"'):
        # Not splitlines(): JSON texts may hold the other characters it ends lines at.
        lines = [_json(line) for line in text.split("\n") if line.strip()]
        for line in lines:
            if not isinstance(line, str):
                raise ConfigProblem((), "a template that begins with a quote holds quoted texts, one a line")
        return "\n".join(lines)
    whole = _VARIABLE.fullmatch(text)
    return f"\x00w{whole[1]}\x00" if whole else _VARIABLE.sub("\x00t\\1\x00", text)


def _json(text: str) -> Any:
    marked = _STRING_OR_VARIABLE.sub(_mark, text)
    try:
        return msgspec.json.decode(marked.encode())
    except (ValueError, RecursionError) as error:
        raise ConfigProblem(
            (),
            f"the template is not JSON: {error}",
            "outside quotes write <name>, inside them any text with <name>; plain text begins with no brace or quote",
        ) from None


def _mark(found: re.Match[str]) -> str:
    """Mark variables within a string, or turn one outside of strings into a string that is nothing but its mark."""
    name: str | None = found[1]
    if name is not None:
        return f'"\\u0000w{name}\\u0000"'
    return _VARIABLE.sub(r"\\u0000t\1\\u0000", found[0])


def _compile(node: Any, variables: Mapping[str, Value]) -> Value:
    if isinstance(node, dict):
        if any("\x00" in key for key in node):
            raise ConfigProblem((), "a variable may not stand in an object's key")
        fields = {key: _compile(inner, variables) for key, inner in node.items()}
        return lambda event: {key: make(event) for key, make in fields.items()}
    if isinstance(node, list):
        items = [_compile(inner, variables) for inner in node]
        return lambda event: [make(event) for make in items]
    if isinstance(node, str) and "\x00" in node:
        return _compile_text(node, variables)
    return lambda event: node


def _compile_text(node: str, variables: Mapping[str, Value]) -> Value:
    mark = _MARK.fullmatch(node)
    if mark and mark[1] == "w":
        whole = variables[mark[2]]
        return lambda event: _or_empty(whole(event))
    literals = _MARK.split(node)
    parts = [(literal, variables[name]) for literal, name in zip(literals[0::3], literals[2::3], strict=False)]
    tail = literals[-1]
    return lambda event: "".join(literal + _text(part(event)) for literal, part in parts) + tail


def _or_empty(value: Any) -> Any:
    """What is absent becomes an empty text, as with EventBridge."""
    return "" if value is MISSING else value


def _text(value: Any) -> str:
    """A value inside a text: texts as they are, the rest as compact JSON."""
    if value is MISSING:
        return ""
    return value if type(value) is str else _encode(value).decode()
