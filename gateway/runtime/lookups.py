"""Why nobody answered a publish: the subject has no stream, or its stream no leader. One question for each subject."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from ..ports import Answer, Publisher
from ..routing.outputs import Copy
from ..routing.verdict import unanswered
from .window import NEVER, Entry, Window


class Lookups:
    """Copies that wait until it is known why nobody answered."""

    def __init__(
        self,
        publisher: Publisher,
        window: Window,
        spawn: Callable[[Callable[[], Coroutine[Any, Any, None]]], None],
        answered: Callable[[Entry, Copy, Answer], None],
    ) -> None:
        """`answered` is called with each copy that is still open, and what there is to say to it."""
        self._publisher = publisher
        self._window = window
        self._spawn = spawn
        self._answered = answered
        self._waiting: dict[str, list[tuple[Entry, Copy]]] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def ask(self, entry: Entry, copy: Copy) -> None:
        """Find out, unless that is being found out."""
        copy.deadline = NEVER
        waiting = self._waiting.get(copy.subject)
        if waiting is not None:
            waiting.append((entry, copy))
            return
        self._waiting[copy.subject] = [(entry, copy)]
        self._spawn(lambda: self._resolve(copy.subject))

    def forget(self) -> None:
        """Nothing waits any more."""
        self._waiting.clear()

    def let_go(self, entry: Entry) -> None:
        """An event begins anew: what is found out is not said to copies that it had before."""
        for waiting in self._waiting.values():
            waiting[:] = [(other, copy) for other, copy in waiting if other is not entry]

    async def _resolve(self, subject: str) -> None:
        # Several targets may share a subject; those that name a stream name the same one, or one would be wrong.
        targets = [copy.target for _, copy in self._waiting.get(subject, ()) if copy.target is not None]
        named = next((target.stream for target in targets if target.stream), None)
        try:
            takers = await self._publisher.takers(subject)
            there = await self._publisher.has_stream(named) if takers == [] and named is not None else True
        except (OSError, TimeoutError):
            takers, there = None, None
        if there is None:
            takers = None
        missing = named if there is False else None
        for entry, copy in self._waiting.pop(subject, ()):
            if copy.open and self._window.holds(entry):
                self._answered(entry, copy, unanswered(copy.shown_subject, takers, missing))
