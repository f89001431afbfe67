"""A connection for one-shot commands: there within a time, or a reason why not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

from ..config import model
from ..errors import ConnectionGone, GatewayError, Retry, ServerUnreachable
from .api import ApiDenied, ApiUnavailable, JetStreamApi
from .connection import Connection
from .failures import LASTING
from .reader import StreamReader

LOST = ("disconnected", "unavailable")
"""Codes that say that nobody answers, rather than what is wrong."""


class PromptApi(JetStreamApi):
    """Says at once what may not be asked. A daemon lets the time run out: it knows, and asks again all the same."""

    async def request(self, subject: str, body: Any = None, limit: float | None = None) -> dict[str, Any]:
        """Raises ApiDenied as soon as the server has said so; else as any API does."""
        full, denied = f"{self.prefix}.{subject}", asyncio.Event()

        def look(_: str) -> None:
            if self.denied(full):
                denied.set()

        self.connection.denials.told.append(look)
        tasks = asyncio.ensure_future(super().request(subject, body, limit)), asyncio.ensure_future(denied.wait())
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if tasks[0].done():
                return tasks[0].result()
            raise ApiDenied(f"{full}: no permission to publish there")
        finally:
            self.connection.denials.told.remove(look)
            for task in tasks:
                task.cancel()


class OneShot:
    """What a command needs of a server."""

    def __init__(self, config: model.Nats, name: str) -> None:
        self.connection = Connection(config, name)
        self.api = PromptApi(self.connection, config.domain)
        self.reader = StreamReader(self.api, config.inbox_prefix)


@asynccontextmanager
async def connected(config: model.Nats, name: str, patience: float) -> AsyncIterator[OneShot]:
    """Connect, and close in the end; raises ServerUnreachable when there is no connection within `patience` seconds.

    What fails because the connection was closed for good becomes ConnectionGone.
    """
    link = OneShot(config, name)
    try:
        await reach(link.connection, config.servers, patience)
        yield link
    except (ApiUnavailable, Retry) as error:
        raise_if_gone(link.connection, error)
        raise
    finally:
        await link.connection.close()


async def reach(connection: Connection, servers: Sequence[str], patience: float) -> None:
    """Start a connection and wait for it; raises ServerUnreachable with the reason when there is none in the end.

    That is at once when waiting is no use: what a server refuses, or TLS, or a file, has to be mended first.
    """
    failures, decided = connection.failures, asyncio.Event()

    def look(connected: bool = False) -> None:
        if connected or failures.lasting(len(set(servers))):
            decided.set()

    failures.on_news.append(look)
    connection.changed.append(look)
    try:
        connection.start()
        with suppress(TimeoutError):
            await asyncio.wait_for(decided.wait(), patience)
    finally:
        failures.on_news.remove(look)
        connection.changed.remove(look)
    if not connection.connected:
        raise ServerUnreachable(_why(connection, servers, None if decided.is_set() else patience))


def _why(connection: Connection, servers: Sequence[str], waited: float | None) -> str:
    """Why there is no connection, in the words of the log of a gateway that runs, and its hints below."""
    failures = connection.failures.of
    several = len(failures) > 1
    reasons = [
        f"{failure.text} ({server})" if server and (several or failure.code in LASTING) else failure.text
        for server, failure in failures.items()
    ]
    text = f"cannot connect: {'; '.join(reasons)}"
    if waited is not None:
        shown = ", ".join(server.rpartition("@")[2] for server in servers)
        away = LASTING.isdisjoint(failure.code for failure in failures.values())
        text = f"{'no NATS server answers at' if away else 'no connection to'} {shown} within {waited:g} s"
        text += f": {'; '.join(reasons)}" if reasons else ""
    hints = dict.fromkeys(failure.hint for failure in failures.values() if failure.hint)
    return "\n".join([text, *(f"  hint: {hint}" for hint in hints)])


def raise_if_gone(connection: Connection, error: GatewayError) -> None:
    """Raise ConnectionGone when nobody answered because the connection a command began with was closed for good."""
    lost = error.code in LOST if isinstance(error, Retry) else not isinstance(error, ApiDenied)
    if lost and (connection.generation > 1 or connection.wire.is_closed):
        raise ConnectionGone(error.message if isinstance(error, Retry) else str(error)) from error
