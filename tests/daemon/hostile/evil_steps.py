"""Steps that do everything wrong, with every third event; told how by their config."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any

from gateway import Event, Filter, Reject, Retry, Settings, Transform, hookimpl

MENDED = False


class Odd(BaseException):
    """Not even an Exception."""


class Mute(Exception):
    """Has no text."""

    def __str__(self) -> str:
        raise RuntimeError("no text")


class Liar:
    """Compares with nothing."""

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("no comparison")

    __hash__ = None  # type: ignore[assignment]


async def _late() -> bool:
    return True


def _raising(error: Callable[[], BaseException]) -> Callable[[Event], Any]:
    def raising(event: Event) -> Any:
        raise error()

    return raising


def _block(event: Event) -> Any:
    time.sleep(0.6)
    return True


def _cycle(event: Event) -> Event:
    body = dict(event.body)
    body["self"] = body
    return event.replace(body=body)


HOWS: dict[str, Callable[[Event], Any]] = {
    "exception": _raising(lambda: ValueError("4111-1111")),
    "mute": _raising(Mute),
    "exit": _raising(lambda: SystemExit(3)),
    "interrupt": _raising(KeyboardInterrupt),
    "generator-exit": _raising(GeneratorExit),
    "base": _raising(Odd),
    "group": _raising(lambda: BaseExceptionGroup("many", [SystemExit(1), KeyboardInterrupt()])),
    "reject": _raising(lambda: Reject("my code\r\nX-Evil: 1", "long\r\n\r\ntext " * 20_000)),
    "retry": _raising(lambda: Retry("never")),
    "retry-nan": _raising(lambda: Retry(after=float("nan"))),
    "none": lambda event: None,
    "empty": lambda event: [],
    "text": lambda event: "yes",
    "liar": lambda event: Liar(),
    "coroutine": lambda event: _late(),
    "blocks": _block,
}


class _Told(Settings):
    how: str


def _bad(event: Event) -> bool:
    return not MENDED and event.get("n") % 3 == 0


class EvilFilter(Filter, name="evil-filter"):
    """Misbehaves."""

    Config = _Told

    def accepts(self, event: Event) -> bool:
        return HOWS[self.config.how](event) if _bad(event) else True


class EvilTransform(Transform, name="evil-transform"):
    """Misbehaves."""

    Config = _Told

    def apply(self, event: Event) -> Event:
        return HOWS[self.config.how](event) if _bad(event) else event


class EvilAsync(Transform, name="evil-async"):
    """Misbehaves in a coroutine."""

    Config = _Told

    async def apply(self, event: Event) -> Event:
        await asyncio.sleep(0)
        return HOWS[self.config.how](event) if _bad(event) else event


class EvilBlocking(Transform, name="evil-blocking"):
    """Misbehaves in a thread."""

    Config = _Told
    blocking = True

    def apply(self, event: Event) -> Event:
        return HOWS[self.config.how](event) if _bad(event) else event


class EvilParts(Transform, name="evil-parts"):
    """Makes events that cannot be sent, or changes what is not its own."""

    Config = _Told

    def apply(self, event: Event) -> Event:
        if not _bad(event):
            return event
        how = self.config.how
        if how == "mutates":
            event.body["n"] = -1
            return event
        return {
            "key": lambda: event.replace(key=5),
            "headers": lambda: event.replace(headers={"a": 5}),
            "line-break": lambda: event.replace(headers={"X": "a\r\n\r\nPUB in.ev 0\r\n"}),
            "subject": lambda: event.replace(subject=object()),
            "body": lambda: event.replace(body=object()),
            "cycle": lambda: _cycle(event),
        }[how]()


class Hangs(Transform, name="hangs"):
    """Waits for ever, until it is cancelled."""

    async def apply(self, event: Event) -> Event:
        if _bad(event):
            await asyncio.Event().wait()
        return event


class Deaf(Transform, name="deaf"):
    """Waits for ever, and swallows its cancellation."""

    async def apply(self, event: Event) -> Event:
        while _bad(event):
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                continue
        return event


class Stuck(Transform, name="stuck"):
    """Blocks its thread for ever."""

    blocking = True

    def apply(self, event: Event) -> Event:
        if _bad(event):
            threading.Event().wait()
        return event


@hookimpl
def gateway_filters() -> list[type[Filter]]:
    return [EvilFilter]


@hookimpl
def gateway_transforms() -> list[type[Transform]]:
    return [EvilTransform, EvilAsync, EvilBlocking, EvilParts, Hangs, Deaf, Stuck]
