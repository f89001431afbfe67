"""The daemon's life: start, tell the supervisor, serve until a signal, drain. Signals and sd_notify live here only."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import math
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from .app import Application, ReloadRefused
from .config import model
from .config.reads import Look, Reads
from .config.secrets import secrets_of
from .errors import ConfigError
from .observe import logs
from .problems import log_fields
from .registry import Registry
from .runtime.ticks import until_tick
from .systemd import Notifier, Throughput, status_line, told_by_systemd, watchdog_interval
from .web.health import health

log = logging.getLogger("gateway")

STATUS_EVERY = 5.0
"""Seconds between two status lines to the supervisor."""
STALLED = 2.0
"""Seconds without a sweep after which the loop counts as stuck, and the watchdog is left to bite."""
TICK = 1.0
"""Seconds between two looks at what systemd must be told: a ping that fell out because the loop was late is made up
for long before the watchdog bites.
"""
BUSY = 15.0
"""Seconds a start or a reload is given each time it is seen to go on."""

PARTING = 5.0
"""Seconds that tasks and threads of plugins have to end, once everything is drained and closed."""
CLOSING = 30
"""Seconds that closing components may take beside the drain, as told to the supervisor."""

LOOK_EVERY = 1.0
"""Seconds between two looks at the files of the config. A look costs a stat a file, and works where nobody tells of
changes, too: on network file systems, and with the links by which Kubernetes swaps a whole folder.
"""
RESTLESS = 10
"""Looks after which files are taken as they are, although they go on changing."""


class ConfigFile(Protocol):
    """Where the config comes from."""

    @property
    def reads(self) -> Reads:
        """What was read the last time, good or not."""
        ...

    def load(self) -> tuple[model.Config, Registry]:
        """Read it anew; raises ConfigError."""
        ...

    def effective(self) -> Callable[[], dict[str, Any]]:
        """Who shows the config that was loaded last."""
        ...


class Daemon:
    """Runs an application until it is told to stop."""

    def __init__(self, app: Application, file: ConfigFile, *, watch: bool = False) -> None:
        """With `watch`, it reloads when a file of the config has changed."""
        self._app = app
        self._file = file
        self._watches = watch
        told = told_by_systemd(os.environ)
        self._notifier = Notifier(told)
        self._watchdog = watchdog_interval(told)
        self._starting = True
        self._reloading = False
        self._stop = asyncio.Event()
        self._reload = asyncio.Event()
        self._read = asyncio.Event()
        """Set when the files have been read anew."""

    async def run(self) -> None:
        """Start, serve, drain. Raises GatewayError when it cannot even start, RuntimeError when a task of it ended."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopped_by, number)
        loop.add_signal_handler(signal.SIGHUP, self._reload.set)
        log.info("starting", extra={"event": "gateway.starting", "config": self._app.config.digest, "pid": os.getpid()})
        await self._app.start()
        keeping = loop.create_task(self._keep_told())
        work = [self._tell(), self._reloads(), *([self._watch()] if self._watches else [])]
        tasks = [loop.create_task(each) for each in work]
        stopped = loop.create_task(self._stop.wait())
        try:
            await asyncio.wait({stopped, keeping, *tasks}, return_when=asyncio.FIRST_COMPLETED)
            # Nobody ends these: without one of them the gateway would route on and never reload, or be watched, again.
            dead = [task for task in (keeping, *tasks) if task.done()]
        finally:
            for task in (stopped, *tasks):
                task.cancel()
            await self._end()
            keeping.cancel()
        for task in dead:
            name = getattr(task.get_coro(), "__qualname__", "a task")
            raise RuntimeError(f"{name} ended") from (None if task.cancelled() else task.exception())

    def _stopped_by(self, number: signal.Signals) -> None:
        if self._stop.is_set():
            # The user means it: nothing is flushed, JetStream will deliver again what was in flight.
            text = "%s while draining: ending at once; what is in flight is delivered again after ack-wait"
            logs.tell_repeats()
            log.warning(text, number.name, extra={"event": "gateway.killed", "signal": number.name})
            os._exit(128 + number)
        log.info("%s: draining", number.name, extra={"event": "gateway.stopping", "signal": number.name})
        self._stop.set()

    async def _tell(self) -> None:
        """READY once every route is up or down with a reason, then a status line every few seconds."""
        await self._app.settled()
        # What exists now stays: the collector need not look at it again, nor run after every 700 objects.
        gc.freeze()
        gc.set_threshold(50_000, 20, 20)
        throughput = Throughput(self._app.stats)
        self._starting = False
        self._notifier.ready(status_line(self._app.stats, 0.0))
        stats = self._app.stats
        word, level = "ready", logging.INFO
        if not health(stats, list(stats.routes.values())).ready:
            word, level = "started, and not ready yet", logging.WARNING
        log.log(
            level,
            "%s: %s",
            word,
            status_line(self._app.stats, 0.0),
            extra={"event": "gateway.ready", "http": self._app.http_url or "off"},
        )
        while True:
            await asyncio.sleep(STATUS_EVERY)
            self._notifier.status(status_line(self._app.stats, throughput.rate()))

    async def _keep_told(self) -> None:
        """Tell the watchdog that the loop runs and the routes are looked after, and that a start or reload goes on."""
        loop = asyncio.get_running_loop()
        every = self._watchdog or math.inf
        pinged = -math.inf
        while True:
            now = loop.time()
            self._notifier.flush()
            if self._starting or self._reloading:
                self._notifier.busy(BUSY)
            if now - pinged >= every and now - self._app.swept_at < STALLED and self._notifier.watchdog():
                pinged = now
            await asyncio.sleep(min(until_tick(now, TICK), every / 2))

    async def _reloads(self) -> None:
        while True:
            await self._reload.wait()
            self._reload.clear()
            self._reloading = True
            if not self._starting:
                self._notifier.reloading()
            await self._reload_once()
            await self._gone_over()
            self._reloading = False
            if not self._starting:  # else READY would be said of the start
                self._notifier.ready(status_line(self._app.stats, 0.0))

    async def _gone_over(self) -> None:
        """Until the routes are up, or down with a reason; who wants the next reload need not wait for that."""
        loop = asyncio.get_running_loop()
        ends = [loop.create_task(self._app.settled()), loop.create_task(self._reload.wait())]
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in ends:
                task.cancel()

    async def _watch(self) -> None:
        while True:
            files = await self._changed()
            log.info("changed: %s", ", ".join(files), extra={"event": "config.changed", "files": files})
            self._read.clear()
            self._reload.set()
            await self._read.wait()

    async def _changed(self) -> list[str]:
        """Wait until files are not as they were read, and at rest: one that is being written is no config yet."""
        look = Look(self._file.reads)
        before: dict[str, str] = {}
        looks = 0
        while True:
            await asyncio.sleep(LOOK_EVERY / 2 if before else LOOK_EVERY)
            if look.reads is not self._file.reads:
                look, before, looks = Look(self._file.reads), {}, 0
            # In a thread: a file system that hangs must not stop the events.
            now = await asyncio.to_thread(look.changes)
            if look.reads is self._file.reads and now and (now == before or looks >= RESTLESS):
                return sorted(now)
            looks = looks + 1 if now else 0
            before = now

    async def _reload_once(self) -> None:
        """Go over to the config as it is now in the files; with any problem the old one stays."""
        try:
            self._read.set()
            config, registry = self._file.load()
            # With those of the running one, however often another is refused.
            logs.hide(secrets_of(self._app.config) | secrets_of(config))
            shown = self._app.config.log
            effective = self._file.effective()
            done = await self._app.reload(config, registry)
        except ConfigError as error:
            self._app.reload_failed()
            for problem in error.problems:
                log.error("reload refused: %s", problem.head, extra=log_fields(problem, "config.reload-failed"))
            return
        except ReloadRefused as error:
            self._app.reload_failed()
            log.error("reload refused: %s", error, extra={"event": "config.reload-failed"})
            return
        except Exception:
            self._app.reload_failed()
            log.exception("reload failed", extra={"event": "config.reload-failed"})
            return
        self._app.effective = effective
        if config.log != shown:
            logs.setup(config.log.level, config.log.format, config.log.loggers)
        # What the reload let go of hangs together in circles, and the collector is told to run seldom.
        gc.collect()
        log.info("reloaded", extra={"event": "config.reloaded", "config": config.digest, **done})

    async def _end(self) -> None:
        stats = self._app.stats
        # Told on and on that a start or reload goes on, systemd would never end a stop that hangs.
        self._starting = self._reloading = False
        self._notifier.stopping(float(self._app.config.drain) + CLOSING, status_line(stats, 0.0))
        await self._app.stop()
        logs.tell_repeats()
        log.info("stopped", extra={"event": "gateway.stopped"})


def live(main: Coroutine[Any, Any, None], new_loop: Callable[[], asyncio.AbstractEventLoop] | None = None) -> None:
    """Run a daemon's `main` to its end, whatever tasks of plugins do: try to exit, stop the loop, or never end."""
    with asyncio.Runner(loop_factory=new_loop) as runner:
        loop = runner.get_loop()
        task = loop.create_task(main)
        while not task.done():
            try:
                loop.run_until_complete(task)
            except (SystemExit, KeyboardInterrupt, RuntimeError) as error:
                operator = isinstance(error, KeyboardInterrupt) and _interrupts()
                if operator or task.done() or loop.is_closed():
                    raise
                told = {"event": "plugin.tried-to-end", "error": type(error).__name__}
                log.error("some task of a plugin tried to end the process; it goes on", exc_info=error, extra=told)
        task.result()
        # From here on nothing is lost any more, and what is left belongs to plugins: a task that survives its
        # cancellation, or a thread nobody ends, would keep the process until somebody kills it.
        threading.Thread(target=_part, args=[loop], name="gateway-parting", daemon=True).start()


def _interrupts() -> bool:
    """Whether Ctrl-C raises KeyboardInterrupt, because the daemon does not handle it yet."""
    return signal.getsignal(signal.SIGINT) is signal.default_int_handler


def _part(loop: asyncio.AbstractEventLoop) -> None:
    time.sleep(PARTING)
    main = threading.main_thread()
    threads = [thread.name for thread in threading.enumerate() if not thread.daemon and thread is not main]
    tasks = (
        [] if loop.is_closed() else [getattr(task.get_coro(), "__qualname__", "?") for task in asyncio.all_tasks(loop)]
    )
    log.error(
        "ending without what plugins left behind: %s",
        ", ".join([*(f"task {name}" for name in tasks), *(f"thread {name}" for name in threads)]) or "an exit hook",
        extra={"event": "gateway.left-behind"},
    )
    logs.tell_repeats()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(0)
