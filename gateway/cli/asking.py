"""One-shot commands that ask a server: read the config, connect, do it, and end with the code for what went wrong."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, NoReturn, TypeVar

import click

from ..config import model
from ..config.loader import examine
from ..errors import ConfigError, ConnectionGone, Retry, ServerUnreachable
from ..jetstream.api import ApiDenied, ApiError, ApiUnavailable
from ..jetstream.oneshot import LOST, OneShot, connected
from ..observe import logs
from ..registry import Registry
from .exits import CONFIG_INVALID, FINDINGS, TRY_AGAIN, UNREACHABLE

T = TypeVar("T")


def read_config(file: str) -> model.Config:
    """The config, or the end of the command with its problems."""
    return settings(file)[0]


def settings(file: str) -> tuple[model.Config, Registry]:
    """The config and its plugins, or the end of the command with its problems."""
    loaded = examine(file)
    if loaded.config is None:
        refuse(loaded.problems)
    return loaded.config, loaded.registry


def refuse(problems: Sequence[object]) -> NoReturn:
    """The end for a config that cannot be used, its problems told."""
    for problem in problems:
        notice(str(problem))
    sys.exit(CONFIG_INVALID)


def notice(text: str) -> None:
    """Something that is no result."""
    click.echo(text, err=True)


def quiet() -> None:
    """What a daemon logs of its connection, a command says as its end."""
    logs.setup("critical", "text")
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)


def ask(config: model.Config, name: str, patience: float, work: Callable[[OneShot], Awaitable[T]]) -> T:
    """What `work` gives; what goes wrong with the server ends the command with its code."""
    return ended(_ask(config.nats, name, patience, work))


async def _ask(nats: model.Nats, name: str, patience: float, work: Callable[[OneShot], Awaitable[T]]) -> T:
    async with connected(nats, name, patience) as link:
        return await work(link)


def ended(work: Coroutine[Any, Any, T]) -> T:
    """What `work` gives in the end; what goes wrong with the server ends the command with its code."""
    quiet()
    try:
        return asyncio.run(work)
    except ConfigError as error:
        refuse(error.problems)
    except (ServerUnreachable, ApiUnavailable) as error:
        notice(str(error))
        sys.exit(FINDINGS if isinstance(error, ApiDenied) else UNREACHABLE)
    except ConnectionGone as error:
        notice(str(error))
        sys.exit(TRY_AGAIN)
    except ApiError as error:
        notice(f"the server refuses: {error}")
        sys.exit(FINDINGS)
    except Retry as error:
        notice(error.message)
        sys.exit(UNREACHABLE if error.code in LOST else FINDINGS)
