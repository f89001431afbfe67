"""Raises at every turn of its life: when components are made, open and close, and in every life-cycle hook."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

from gateway import Event, Filter, Settings, hookimpl

MENDED = False


class _Told(Settings):
    how: str


class Odd(BaseException):
    """Not even an Exception."""


async def _deaf() -> None:
    while True:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            continue


async def _raise(error: BaseException) -> None:
    await asyncio.sleep(0)
    raise error


class EvilLife(Filter, name="evil-life"):
    """Takes every event, if it ever comes to that."""

    Config = _Told
    tries = 0

    def __init__(self, config: Any, context: Any) -> None:
        super().__init__(config, context)
        self._do("init")

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("no comparison")

    __hash__ = None  # type: ignore[assignment]

    def _do(self, where: str) -> Any:
        wanted, _, how = self.config.how.partition(" ")
        if MENDED or wanted != where:
            return None
        if how == "deaf":
            return _deaf()
        if how == "hang":
            return asyncio.Event().wait()
        error = {"exit": SystemExit, "base": Odd, "generator-exit": GeneratorExit, "interrupt": KeyboardInterrupt,
                 "cancelled": asyncio.CancelledError}.get(how.removeprefix("async "), ValueError)()  # fmt: skip
        if how.startswith("async"):
            return _raise(error)
        raise error

    def prepare(self) -> None:
        self._do("prepare")

    def reads(self) -> Any:
        self._do("reads")
        return ["n"] if self.config.how == "reads-list" and not MENDED else None

    def open(self) -> Any:
        self.tries += 1
        if self.config.how == "first-opens" and self.tries < 3:
            raise OSError
        return self._do("open")

    def close(self) -> Any:
        return self._do("close")

    def accepts(self, event: Event) -> bool:
        return True


class Leaks(Filter, name="leaks"):
    """Leaves behind tasks that exit, stop the loop, raise and never end, a thread nobody ends, and memory."""

    def open(self) -> None:
        if MENDED:
            return
        self.memory = bytearray(20 << 20)
        loop = asyncio.get_running_loop()
        self.tasks = [loop.create_task(_raise(error)) for error in (SystemExit(3), KeyboardInterrupt(), ValueError())]
        self.tasks.append(loop.create_task(_deaf()))
        loop.call_later(0.1, loop.stop)
        threading.Thread(target=threading.Event().wait, name="left-behind").start()

    def accepts(self, event: Event) -> bool:
        return True


@hookimpl
def gateway_filters() -> list[type[Filter]]:
    return [EvilLife, Leaks]


def _fail(error: type[BaseException]) -> None:
    if not MENDED:
        raise error


@hookimpl
def gateway_started(info: Any) -> None:
    _fail(SystemExit)


@hookimpl
def gateway_stopping(info: Any) -> None:
    _fail(KeyboardInterrupt)


@hookimpl
def gateway_route_started(route: Any) -> None:
    _fail(GeneratorExit)


@hookimpl
def gateway_route_stopped(route: Any) -> None:
    _fail(ValueError)
