"""Values without a structure of their own: scalars, choices, and what only msgspec knows.

A `Leaves` reads them and notes what is wrong; `convert.py` walks the structures around them.
"""

from __future__ import annotations

import math
from enum import Enum
from typing import Any, Final, Literal, get_args, get_origin

from ..errors import ConfigProblem
from ..problems import Code, Problem, did_you_mean
from .foreign import Refusal, read_foreign
from .hints import own_hint, type_hint
from .report import ConfigPath, problem_at
from .shapes import OWN, shown, words, words_of
from .tree import Key, Node, ScalarNode, SequenceNode, find, find_key

NOT_VALID_HERE = "the value is not valid here"
"""All that is said about a value that may be a secret."""


class Invalid:
    """The type of `INVALID`, what a node becomes that has a problem."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "INVALID"


INVALID: Final = Invalid()


class Leaves:
    """Reads leaves, and collects what is wrong with them."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = problems

    def note(self, place: Node | Key, path: ConfigPath, code: Code, text: str, hint: str = "") -> Any:
        """Report a problem, unless the value was not read, and nobody knows what it is; gives INVALID."""
        if isinstance(place, ScalarNode) and place.unread:
            return INVALID
        self.problems.append(problem_at(place, path, code, text, hint))
        return INVALID

    def _scalar(self, node: ScalarNode, base: Any, path: ConfigPath) -> Any:
        value = node.value
        if base is float:
            return self._float(node, path)
        if base in (bool, int, str, type(None), None):
            return value
        if get_origin(base) is Literal:
            choices = get_args(base)
            exact = any(type(choice) is type(value) and choice == value for choice in choices)
            return value if exact else self._choice(node, choices, path)
        if base in OWN:
            return self._own(node, base, path)
        if isinstance(base, type) and issubclass(base, Enum):
            for choice in base:
                if type(choice.value) is type(value) and choice.value == value:
                    return choice
            return self._choice(node, tuple(choice.value for choice in base), path)
        return self._by_msgspec(node, base, path)

    def _float(self, node: ScalarNode, path: ConfigPath) -> Any:
        assert isinstance(node.value, int | float)
        try:
            value = float(node.value)
        except OverflowError:
            value = math.inf
        if math.isfinite(value):
            return value
        return self.note(node, path, Code.INVALID_VALUE, "expected a finite number")

    def _own(self, node: ScalarNode, base: Any, path: ConfigPath) -> Any:
        own = OWN[base]
        assert isinstance(node.value, str)
        try:
            return own.read(node.value)
        except ConfigProblem as problem:
            if node.tainted:
                return self.note(node, path, own.code, f"the value is not {own.words}", own_hint(base))
            return self.note(node, path, own.code, problem.text, problem.hint)

    def _choice(self, node: Node, choices: tuple[Any, ...], path: ConfigPath) -> Any:
        """The value is none of a closed list."""
        value = node.plain()
        listing = ", ".join(shown(choice) for choice in choices)
        if node.tainted or not isinstance(value, str):
            text = f"expected one of {listing}" + ("" if node.tainted else f", found {node.kind}")
            return self.note(node, path, Code.INVALID_VALUE, text)
        hint = did_you_mean(value, [str(choice) for choice in choices], "choices")
        return self.note(node, path, Code.INVALID_VALUE, f"{shown(value)} is not one of {listing}", hint)

    def _wrong_type(self, node: Node, base: Any, path: ConfigPath, instead: str = "") -> Any:
        expected = words_of(*base) if isinstance(base, tuple) else words(base)
        text = f"expected {expected}, found {node.kind}"
        return self.note(node, path, Code.WRONG_TYPE, text, instead or type_hint(node, base))

    def _by_msgspec(self, node: Node, base: Any, path: ConfigPath) -> Any:
        """Leave it to msgspec, which names the first fault only."""
        if has_fault(node):
            return INVALID
        value = read_foreign(node.plain(), base)
        if not isinstance(value, Refusal):
            return value
        text = NOT_VALID_HERE if node.tainted else value.text
        place = find_key(node, value.path) if "unknown field" in value.text else find(node, value.path)
        return self.note(place, (*path, *value.path), Code.WRONG_TYPE, text)


def has_fault(node: Node) -> bool:
    """Whether the reader has reported something in here already."""
    if isinstance(node, ScalarNode):
        return node.faulty and not node.unread
    children = node.items if isinstance(node, SequenceNode) else [child for _, child in node.entries]
    return any(has_fault(child) for child in children)
