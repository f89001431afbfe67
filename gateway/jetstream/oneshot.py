"""A connection for one-shot commands: there within a time, or a reason why not."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from ..config import model
from ..errors import ConnectionGone, GatewayError, Retry, ServerUnreachable
from .api import ApiDenied, ApiUnavailable, JetStreamApi
from .connection import Connection
from .reader import StreamReader

LOST = ("disconnected", "unavailable")
"""Codes that say that nobody answers, rather than what is wrong."""


class OneShot:
    """What a command needs of a server."""

    def __init__(self, config: model.Nats, name: str) -> None:
        self.connection = Connection(config, name)
        self.api = JetStreamApi(self.connection, config.domain)
        self.reader = StreamReader(self.api, config.inbox_prefix)


@asynccontextmanager
async def connected(config: model.Nats, name: str, patience: float) -> AsyncIterator[OneShot]:
    """Connect, and close in the end; raises ServerUnreachable when nobody answers within `patience` seconds.

    What fails because the connection was closed for good becomes ConnectionGone.
    """
    link = OneShot(config, name)
    link.connection.start()
    try:
        if not await link.connection.wait(patience):
            servers = ", ".join(server.rpartition("@")[2] for server in config.servers)
            raise ServerUnreachable(f"no NATS server answers at {servers} within {patience:g} s")
        yield link
    except (ApiUnavailable, Retry) as error:
        raise_if_gone(link.connection, error)
        raise
    finally:
        await link.connection.close()


def raise_if_gone(connection: Connection, error: GatewayError) -> None:
    """Raise ConnectionGone when nobody answered because the connection a command began with was closed for good."""
    lost = error.code in LOST if isinstance(error, Retry) else not isinstance(error, ApiDenied)
    if lost and (connection.generation > 1 or connection.wire.is_closed):
        raise ConnectionGone(error.message if isinstance(error, Retry) else str(error)) from error
