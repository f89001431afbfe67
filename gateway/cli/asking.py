"""One-shot commands that ask a server: connect, do it, and end with the code for what went wrong."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Awaitable, Callable
from typing import TypeVar

import click

from ..config import model
from ..config.loader import examine
from ..errors import ConnectionGone, ServerUnreachable
from ..jetstream.api import ApiDenied, ApiError, ApiUnavailable
from ..jetstream.oneshot import OneShot, connected
from ..observe import logs
from .exits import CONFIG_INVALID, FINDINGS, TRY_AGAIN, UNREACHABLE

T = TypeVar("T")


def read_config(file: str) -> model.Config:
    """The config, or the end of the command with its problems."""
    loaded = examine(file)
    if loaded.config is None:
        for problem in loaded.problems:
            click.echo(problem, err=True)
        sys.exit(CONFIG_INVALID)
    return loaded.config


def ask(config: model.Config, name: str, patience: float, work: Callable[[OneShot], Awaitable[T]]) -> T:
    """What `work` gives; what goes wrong with the server ends the command with its code."""
    logs.setup("critical", "text")
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    try:
        return asyncio.run(_ask(config.nats, name, patience, work))
    except (ServerUnreachable, ApiUnavailable) as error:
        click.echo(str(error), err=True)
        sys.exit(FINDINGS if isinstance(error, ApiDenied) else UNREACHABLE)
    except ConnectionGone as error:
        click.echo(str(error), err=True)
        sys.exit(TRY_AGAIN)
    except ApiError as error:
        click.echo(f"the server refuses: {error}", err=True)
        sys.exit(FINDINGS)


async def _ask(nats: model.Nats, name: str, patience: float, work: Callable[[OneShot], Awaitable[T]]) -> T:
    async with connected(nats, name, patience) as link:
        return await work(link)
