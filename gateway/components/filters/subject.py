"""The filter `subject`."""

from __future__ import annotations

import re
from typing import Annotated, Any, ClassVar

import msgspec

from ...event import Event
from ...plugin import Filter
from ...values import Subject
from .._config import need_some


class SubjectFilter(Filter, name="subject"):
    """Keep events whose subject is received by one of these wildcards.

    NATS's own rules: `*` stands for one token, a final `>` for one or more.
    """

    Config = Annotated[list[Subject], msgspec.Meta(extra_json_schema={"minItems": 1})]
    config: list[Subject]
    example: ClassVar[Any] = ["orders.*.created", "refunds.>"]

    def prepare(self) -> None:
        """Compile the wildcards: plain subjects to a set, the others to one expression."""
        need_some(self.config, "subject")
        wild = [subject for subject in self.config if not {"*", ">"}.isdisjoint(subject.split("."))]
        self._plain = frozenset(map(str, self.config)).difference(map(str, wild))
        self._wild = re.compile("|".join(_expression(subject) for subject in wild) or "(?!)", re.DOTALL)

    def accepts(self, event: Event) -> bool:
        """Whether some wildcard receives the event's subject."""
        return event.subject in self._plain or self._wild.fullmatch(event.subject) is not None

    def explain(self, event: Event) -> str:
        """Name the subject and what was wanted."""
        return f"$subject is {event.subject!r}, wanted any of {', '.join(self.config)}"

    def reads(self) -> frozenset[str]:
        """Nothing of the body."""
        return frozenset()


def _expression(wildcard: str) -> str:
    """The wildcard as a regular expression: one token has no dot, the rest has anything."""
    tokens = {"*": "[^.]*", ">": ".*"}
    return r"\.".join(tokens.get(token) or re.escape(token) for token in wildcard.split("."))
