"""`gateway run`: the daemon."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable
from typing import Any

import click

from ..app import Application
from ..config import model
from ..config.loader import examine
from ..daemon import Daemon, live
from ..errors import ConfigError, GatewayError
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
def run(config: str, disable: tuple[str, ...]) -> None:
    """Run the gateway until it is told to stop.

    SIGTERM and SIGINT drain: what is in flight is finished within `drain`, the rest goes back to JetStream. A second
    signal ends at once. SIGHUP reads the config again.

    A server that is away is waited for, at the start and later.

    Exit codes: 0 drained, 70 an internal error, 75 the HTTP port cannot be had now, 78 the config is invalid or
    unreadable, 128 and the signal's number (130, 143) after a second signal.
    """

    def load() -> tuple[model.Config, Registry]:
        loaded = examine(config, disable=disable)
        if loaded.config is None:
            problems = loaded.tidy(compile_config(loaded.draft, loaded.registry)[1])
            raise ConfigError([problem for problem in problems if not problem.is_warning])
        noticed[:] = loaded.problems
        return loaded.config, loaded.registry

    noticed: list[Problem] = []
    try:
        settings, registry = load()
        logs.setup(settings.log.level, settings.log.format, settings.log.loggers)
        for problem in noticed:
            log.warning("config: %s", problem.head, extra=log_fields(problem, "config.warning"))
        live(_serve(settings, registry, load), _new_loop())
    except ConfigError as error:
        for problem in error.problems:
            click.echo(str(problem), err=True)
        sys.exit(CONFIG_INVALID)
    except GatewayError as error:
        # A busy port may be free in a moment: a supervisor should try again.
        log.error("%s", error, extra={"event": "gateway.start-failed"})
        sys.exit(TRY_AGAIN)


async def _serve(settings: model.Config, registry: Registry, load: Any) -> None:
    await Daemon(Application(settings, registry), load).run()


def _new_loop() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop where there is one."""
    try:
        import uvloop
    except ImportError:
        return None
    made: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return made
