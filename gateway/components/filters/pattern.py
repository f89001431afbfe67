"""EventBridge's content filter: which events a pattern matches, exactly, and why one does not.

A pattern is checked and compiled once. It becomes branches (`_pattern_parse`), which closures judge in the time of a
few dictionary look-ups (`_pattern_fast`), or, where the event has lists of objects or dotted keys, a search for
consistent elements (`_pattern_walk`).

The reference is AWS's event-ruler. Where its answer is an accident of its machine, this filter differs:

- `exists: false` inside lists of objects does not depend on the order of field names: it is judged last, within the
  elements the other fields chose.
- `cidr` takes /32 and /128, keeps IPv4 and IPv6 apart, and never matches a number.
- A plain string that looks like an address is compared as a string.
- `equals-ignore-case`, also in `prefix` and `suffix`, is Unicode case folding, in both directions.
- `numeric` also compares large integers that a double holds exactly, such as 2**60, not only those whose shortest
  decimal form is the double.
- Of a key given twice in an event, the last counts; of a path given twice in a pattern, the last.
- `$or` that is no list of at least two objects is refused, never taken for a field. So is an empty list after
  `anything-but`.
- An event that spells one path in several ways (`{"a": {"b": 1}, "a.b": 2}`) so often that finding the right ones
  would stall the gateway does not match.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ._pattern_explain import reason
from ._pattern_fast import compile_fast
from ._pattern_parse import parse


def compile_pattern(pattern: dict[str, Any]) -> Callable[[object], bool]:
    """Compile a pattern to a function that takes a decoded body and says whether it matches.

    The function answers exactly True or False for any value and never raises; what is not an object never matches.
    Raises PatternError, whose path leads to the place in the pattern.
    """
    return compile_fast(parse(pattern))


def pattern_keys(pattern: dict[str, Any]) -> frozenset[str]:
    """The top-level keys of an event that can decide the verdict; an event reduced to them gets the same one.

    A dot in an event's key joins like a level of nesting, so the field `a.b.c` may begin with any of `a`, `a.b` and
    `a.b.c`. Raises PatternError.
    """
    keys: set[str] = set()
    for path in {field.path for branch in parse(pattern) for field in branch}:
        tokens = path.split(".")
        keys.update(".".join(tokens[:count]) for count in range(1, len(tokens) + 1))
    return frozenset(keys)


def explain(pattern: dict[str, Any], body: object, *, values: bool = True) -> str:
    """One line for operators: the field that keeps the body from matching, what it is and what was wanted.

    Says so when the body matches. Shows short scalars of the event, without
    `values` only their types: audit records hold nothing of a body. Raises PatternError, and nothing for any body.
    """
    return reason(parse(pattern), body, values=values)
