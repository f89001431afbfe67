"""The demo's life: server, gateway, shop, screen; and all of them ended again, whatever happens."""

from __future__ import annotations

import asyncio
import signal
import tempfile
import time
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from importlib import resources
from pathlib import Path
from typing import Any

import msgspec

from ..app import Application
from ..config import model
from ..config.effective import effective
from ..config.loader import examine
from ..errors import ConfigError
from ..jetstream.server import EmbeddedServer, free_port
from .screen import Screen
from .shop import Shop

_CATCH_UP = 10.0
"""Seconds the routes may take, after the last order, to come to an end with all of them."""
_ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True)
class Options:
    """What the user asked for."""

    seconds: float | None = None
    """None: until Ctrl-C."""
    rate: float = 200.0
    """Orders a second."""
    config: Path | None = None
    """None: the orders example."""
    data: Path | None = None
    """The server's folder; None: one that is removed afterwards."""
    port: int = -1
    """The server's; -1: a free one."""


class Stop(asyncio.Event):
    """Set when the demo is to end; `now` when somebody asked for it, instead of its time being over."""

    now = False

    def at_once(self) -> None:
        """End without waiting for the routes to catch up."""
        self.now = True
        self.set()


async def run(options: Options, screen: Screen) -> None:
    """Run the demo until its time is over or a signal comes. Raises ConfigError and EmbeddedServerError."""
    with _signals() as stop, _folder(options.data) as folder:
        async with EmbeddedServer(folder, options.port) as server:
            app = _application(options.config, server.url)
            shop = Shop(server.url)
            await app.start()
            try:
                screen.open(app.stats, server.url, app.http_url)
                await _unless(stop, shop.open())
                await _unless(stop, app.settled())
                await _open_hours(options, shop, screen, stop)
                if not stop.now:
                    await _catch_up(app.config, shop)
            finally:
                await shop.close()
                await app.stop()
            screen.close(shop.sent)


async def _open_hours(options: Options, shop: Shop, screen: Screen, stop: Stop) -> None:
    if options.seconds is not None:
        asyncio.get_running_loop().call_later(options.seconds, stop.set)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(shop.publish(options.rate, stop))
        tasks.create_task(screen.show(stop))


async def _catch_up(config: model.Config, shop: Shop) -> None:
    """Wait until the server knows of nothing unsettled, so that the last counts account for every order."""
    sources = [route.source for route in config.routes if route.enabled]
    deadline = time.monotonic() + _CATCH_UP
    while time.monotonic() < deadline:
        waiting = [await shop.waiting(source.stream, source.durable) for source in sources]
        if not any(waiting):
            return
        await asyncio.sleep(0.05)


async def _unless(stop: Stop, work: Coroutine[Any, Any, None]) -> None:
    """Do it, or give it up when the demo is to end."""
    task, ended = asyncio.create_task(work), asyncio.create_task(stop.wait())
    await asyncio.wait((task, ended), return_when=asyncio.FIRST_COMPLETED)
    ended.cancel()
    if not task.done():
        task.cancel()
    elif error := task.exception():
        raise error


def _application(file: Path | None, url: str) -> Application:
    """The gateway with the config's routes, on our server and on a free HTTP port."""
    with resources.as_file(resources.files(__package__) / "orders.yaml") as example:
        loaded = examine(file or example)
    if loaded.config is None:
        raise ConfigError([problem for problem in loaded.problems if not problem.is_warning])
    config = msgspec.structs.replace(
        loaded.config, nats=model.Nats(servers=[url]), http=model.Http(listen=f"127.0.0.1:{free_port()}")
    )
    app = Application(config, loaded.registry)
    app.effective = partial(effective, replace(loaded, config=config))
    return app


@contextmanager
def _signals() -> Iterator[Stop]:
    """Signals end the demo in order; a second one ends it as Python does."""
    loop = asyncio.get_running_loop()
    stop = Stop()

    def end() -> None:
        stop.at_once()
        for number in _ENDINGS:
            loop.remove_signal_handler(number)

    for number in _ENDINGS:
        loop.add_signal_handler(number, end)
    try:
        yield stop
    finally:
        for number in _ENDINGS:
            loop.remove_signal_handler(number)


@contextmanager
def _folder(given: Path | None) -> Iterator[Path]:
    if given is not None:
        given.mkdir(parents=True, exist_ok=True)
        yield given
        return
    with tempfile.TemporaryDirectory(prefix="gateway-demo-") as folder:
        yield Path(folder)
