"""A connection for one-shot commands: there within a time, or a reason why not."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from ..config import model
from ..errors import ServerUnreachable
from .api import JetStreamApi
from .connection import Connection
from .reader import StreamReader


class OneShot:
    """What a command needs of a server."""

    def __init__(self, config: model.Nats, name: str) -> None:
        self.connection = Connection(config, name)
        self.api = JetStreamApi(self.connection, config.domain)
        self.reader = StreamReader(self.api, config.inbox_prefix)


@asynccontextmanager
async def connected(config: model.Nats, name: str, patience: float) -> AsyncIterator[OneShot]:
    """Connect, and close in the end; raises ServerUnreachable when nobody answers within `patience` seconds."""
    link = OneShot(config, name)
    link.connection.start()
    try:
        if not await link.connection.wait(patience):
            servers = ", ".join(server.rpartition("@")[2] for server in config.servers)
            raise ServerUnreachable(f"no NATS server answers at {servers} within {patience:g} s")
        yield link
    finally:
        await link.connection.close()
