"""`gateway run`: the daemon."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import click

from ..app import Application
from ..config import model
from ..config.effective import effective
from ..config.loader import Loaded, examine
from ..config.reads import Reads
from ..config.secrets import secrets_of
from ..daemon import Daemon, live
from ..errors import ConfigError, GatewayError
from ..jetstream.signin import files_of
from ..observe import logs
from ..problems import Problem, log_fields
from ..registry import Registry
from ..routing.compile import compile_config
from .exits import CONFIG_INVALID, TRY_AGAIN
from .options import config_option, plugin_option

log = logging.getLogger("gateway")


@click.command()
@config_option
@plugin_option
@click.option("--watch", is_flag=True, help="Reload also when a file of the config changes.")
def run(config: str, disable: tuple[str, ...], watch: bool) -> None:
    """Run the gateway until it is told to stop.

    SIGTERM and SIGINT drain: what is in flight is finished within `drain`, the rest goes back to JetStream. A second
    signal ends at once. SIGHUP reads the config again; with --watch that also happens by itself, once a file it was
    read from has changed and is at rest: the config, what it includes, ${file:...}, ${credential:...}, and the files
    of `nats`.

    A server that is away is waited for, at the start and later.

    Exit codes: 0 drained, 70 an internal error, 75 the HTTP port cannot be had now, 78 the config is invalid or
    unreadable, 128 and the signal's number (130, 143) after a second signal.
    """

    file = ConfigFile(config, disable)
    try:
        settings, registry = file.load()
        logs.setup(settings.log.level, settings.log.format, settings.log.loggers)
        logs.hide(secrets_of(settings))
        for problem in file.noticed:
            log.warning("config: %s", problem.head, extra=log_fields(problem, "config.warning"))
        live(_serve(settings, registry, file, watch), _new_loop())
    except ConfigError as error:
        for problem in error.problems:
            click.echo(str(problem), err=True)
        sys.exit(CONFIG_INVALID)
    except GatewayError as error:
        # A busy port may be free in a moment: a supervisor should try again.
        log.error("%s", error, extra={"event": "gateway.start-failed"})
        sys.exit(TRY_AGAIN)


async def _serve(settings: model.Config, registry: Registry, file: ConfigFile, watch: bool) -> None:
    app = Application(settings, registry)
    app.effective = file.effective()
    await Daemon(app, file, watch=watch).run()


class ConfigFile:
    """The config as it is in the files now, every time it is loaded."""

    def __init__(self, path: str, disable: tuple[str, ...]) -> None:
        self._path = path
        self._disable = disable
        self.reads = Reads()
        """What was read the last time, good or not."""
        self.noticed: list[Problem] = []
        """What is odd about it, but no error."""
        self._loaded: Loaded | None = None

    def load(self) -> tuple[model.Config, Registry]:
        """Read it; raises ConfigError."""
        loaded = examine(self._path, disable=self._disable)
        self.reads = loaded.tree.reads
        for path in files_of(loaded.draft.nats):
            self.reads.note(path)
        if loaded.config is None:
            problems = loaded.tidy(compile_config(loaded.draft, loaded.registry)[1])
            raise ConfigError([problem for problem in problems if not problem.is_warning])
        self.noticed = loaded.problems
        self._loaded = loaded
        return loaded.config, loaded.registry

    def effective(self) -> Callable[[], dict[str, Any]]:
        """Who shows the config that was loaded last."""
        assert self._loaded is not None
        return partial(effective, self._loaded)


def _new_loop() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop where there is one."""
    try:
        import uvloop
    except ImportError:
        return None
    made: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return made
