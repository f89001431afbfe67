"""Find the constants of an expression that no event can mend: the compiler takes them, and every evaluation fails."""

from __future__ import annotations

import re
from collections.abc import Callable

from cel_expr_python import cel

from gateway import ConfigProblem

_CALL = re.compile(r"(?<!\w)(?P<function>timestamp|duration|int|uint|double|bool)\s*\(\s*$")
_MATCHES = re.compile(r"(?<!\w)matches\s*\((?:[^()]*,)?\s*$")
_WHAT = {
    "matches": "no regular expression of RE2",
    "timestamp": "no timestamp",
    "duration": "no duration",
    "int": "no whole number",
    "uint": "no whole number from 0 on",
    "double": "no number",
    "bool": "neither true nor false",
}
_HINTS = {
    "timestamp": 'as in timestamp("2026-01-01T00:00:00Z")',
    "duration": 'as in duration("90s") or duration("1h30m")',
    "matches": "RE2 has no look-around and no back references; a backslash is written twice, or in r'...'",
}


def check_constants(source: str, literals: re.Pattern[str], environment: Callable[[], cel.Env]) -> None:
    """Try each literal text that alone is the pattern of `matches` or is converted; raises ConfigProblem.

    `literals` finds texts and comments of an expression that compiles.
    """
    for found in literals.finditer(source):
        literal = found[0]
        if literal.startswith("//") or not re.match(r"\s*\)", source[found.end() :]):
            continue
        before = source[: found.start()]
        call = _CALL.search(before)
        function = call["function"] if call else "matches" if _MATCHES.search(before) else ""
        tried = f'"".matches({literal})' if function == "matches" else f"{function}({literal})"
        if function and _fails(tried, environment):
            line, column = before.count("\n") + 1, found.start() - before.rfind("\n")
            shown = literal.splitlines()[0]
            text = f"line {line}, column {column}: {shown} is {_WHAT[function]}, and no event could be decided"
            raise ConfigProblem((), text, _HINTS.get(function, ""))


def _fails(expression: str, environment: Callable[[], cel.Env]) -> bool:
    result = environment().compile(expression).eval(data={})
    return bool(result.type().name() == "ERROR")
