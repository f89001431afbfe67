"""Compile a CEL expression and find out what of an event it reads.

CEL wants its variables declared, and events have whatever keys they have. So the compiler itself is asked: what it
calls undeclared is declared as a value of any type, until it is content. It names whole chains (`data.total`, not
`data`), and a declared chain is one variable to it. That is what makes the filter cheap: only `data.total` is handed
over, never the rest of a large `data`.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from cel_expr_python import cel
from cel_expr_python.ext import ext_encoders, ext_math, ext_optional, ext_strings

from gateway import ConfigProblem

from .constants import check_constants

ATTRIBUTES = {
    "event.id": cel.Type.STRING,
    "event.type": cel.Type.STRING,
    "event.source": cel.Type.STRING,
    "event.time": cel.Type.TIMESTAMP,
    "event.subject": cel.Type.STRING,
    "event.correlation_id": cel.Type.STRING,
    "event.headers": cel.Type.Map(cel.Type.STRING, cel.Type.STRING),
    "event.body": cel.Type.DYN,
}
"""What `event.` leads to; everything else begins at the top of the body."""

_EXTENSIONS = (ext_strings.ExtStrings, ext_math.ExtMath, ext_encoders.ExtEncoders, ext_optional.ExtOptional)
_ERROR = re.compile(r"ERROR: <input>:(\d+):(\d+): (.*)")
_UNDECLARED = re.compile(r"undeclared reference to '\.?([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)'", re.ASCII)
_NO_CODE = re.compile(
    r'(?s)r?"""(?:\\.|.)*?"""|r?\'\'\'(?:\\.|.)*?\'\'\'|r?"(?:\\.|[^"\\\n])*"|r?\'(?:\\.|[^\'\\\n])*\'|//[^\n]*'
)
"""String literals and comments: what stands in them names nothing."""
_HAS = re.compile(r"(?<![\w.])has\s*\(([^()]*)\)")
_TYPE_WORD = re.compile(r"(?<![\w.])(type|int|uint|double|bool|string|bytes|list|map|null_type|dyn)\b(?!\s*\()")
"""CEL's names of types, used as values."""
_HEADER = re.compile(
    r"event\.headers\s*\[\s*([\"'])(?P<index>.*?)\1|event\.headers\.\??(?P<field>\w+)"
    r"|([\"'])(?P<member>[^\"'\n]*)\4\s+in\s+event\.headers"
)
_WORDS = re.compile(r"(?<![\w.])(?:and|or|not)\b(?!\s*[.\[])", re.IGNORECASE)
_SIGNS = {"and": "&&", "or": "||", "not": "!"}
_ROUNDS = 100
"""Names of one expression at the most; each round of asking finds at least one."""


class Compiled(NamedTuple):
    """An expression ready to be evaluated, and the names of the variables it wants."""

    expression: cel.Expression
    variables: tuple[str, ...]


def compile_expression(source: str) -> Compiled:
    """Compile an expression whose answer is, or may be, yes or no; raises ConfigProblem."""
    if not source.strip():
        raise ConfigProblem((), "the expression is empty", 'write a condition: "data.total > 100"')
    code = _NO_CODE.sub('""', source)
    _check_words(source, code)
    asked = _asked(code)
    names: set[str] = set()
    for _ in range(_ROUNDS):
        try:
            expression = _environment(names).compile(source)
        except RuntimeError as error:
            found = {_variable(chain, "`" in code, asked) for chain in _UNDECLARED.findall(str(error))}
            found -= names
            if not found:
                raise _problem(source, str(error)) from None
            names |= found
        else:
            break
    else:
        raise ConfigProblem((), f"the expression reads more than {_ROUNDS} names", "use several cel filters")
    answer = expression.return_type()
    if answer not in (cel.Type.BOOL, cel.Type.DYN):
        raise ConfigProblem((), f"the expression gives {answer.name()}, not yes or no", "compare it with something")
    check_constants(source, _NO_CODE, lambda: _environment(set()))
    return Compiled(expression, tuple(sorted(names)))


def _environment(names: set[str]) -> cel.Env:
    types = {name: ATTRIBUTES.get(name, cel.Type.DYN) for name in names}
    return cel.NewEnv(variables=types, extensions=[extension() for extension in _EXTENSIONS])


def _variable(chain: str, quoted: bool, asked: frozenset[str]) -> str:
    """The variable a chain of names stands for: all of it, or the attribute it begins with.

    With a key in backticks somewhere (`data.`a.b``) the compiler's message does not tell a dot in a key from one
    between keys, so more is handed over and CEL finds its own way. So it is with a chain `asked` for by has(): a
    declared one would be a variable, whose value has() would give instead of whether it is there.
    """
    parts = chain.split(".")
    if parts[0] == "event" and (quoted or parts[1:2] != ["body"]):
        return ".".join(parts[:2])
    if quoted:
        return parts[0]
    while chain in asked:
        chain = chain.rpartition(".")[0]
    return chain


def _asked(code: str) -> frozenset[str]:
    """The chains in has(...); raises ConfigProblem for an attribute, which has no key to look for."""
    chains = frozenset("".join(inside.split()).removeprefix(".") for inside in _HAS.findall(code))
    for chain in sorted(chains & ATTRIBUTES.keys()):
        raise ConfigProblem(
            (), f"has() asks for keys, and {chain} is none", "what is absent makes its comparison untrue"
        )
    return chains


def _check_words(source: str, code: str) -> None:
    """Refuse what compiles and cannot be meant, and what deserves a better word than the compiler's."""
    listing = ", ".join(ATTRIBUTES)
    if "$" in code:
        raise ConfigProblem((), "names with $ are none of CEL", f"the attributes are {listing}")
    for word in _TYPE_WORD.findall(code):
        if word == "type" or "type(" not in code:
            also = ", and the event's type is event.type" if word == "type" else ""
            raise ConfigProblem(
                (), f"{word} is a type in CEL, not a key of the event", f"the key is event.body.{word}{also}"
            )
    for header in _HEADER.finditer(source):
        name = header["index"] or header["field"] or header["member"] or ""
        if name != name.lower():
            raise ConfigProblem(
                (), f"no header is called {name} here", f"names in event.headers are lower case: {name.lower()}"
            )
    names = re.findall(r"(?<![\w.])event(?!\s*\.\??\w)(?!\w)", code)
    names += [name for name in re.findall(r"(?<![\w.])event\s*\.\??(\w+)", code) if f"event.{name}" not in ATTRIBUTES]
    if names:
        text = "event alone is no value" if names[0] == "event" else f"there is no event.{names[0]}"
        raise ConfigProblem((), text, f"there are {listing}; a key of the body called event is event.body.event")


def _problem(source: str, text: str) -> ConfigProblem:
    """What the compiler found, with its place in the expression."""
    faults = [
        (int(line), int(column), re.split(r" expecting | \(in container", words)[0])
        for line, column, words in _ERROR.findall(text)
    ]
    if not faults:
        return ConfigProblem((), f"the expression does not compile: {text.splitlines()[0].partition(' [')[0]}")
    said = "; ".join(f"line {line}, column {column}: {words}" for line, column, words in faults)
    line, column, _ = faults[0]
    lines = source.splitlines() or [""]
    at = lines[min(line, len(lines)) - 1]
    words = dict.fromkeys(word.lower() for word in _WORDS.findall(_NO_CODE.sub('""', source)) if "Syntax" in said)
    instead = "".join(f"; CEL writes {_SIGNS[word]} for {word}" for word in words)
    return ConfigProblem((), said, f"here: {at[: column - 1]}-->{at[column - 1 :]}{instead}")
