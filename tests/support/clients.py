"""nats-py's client for tests: one that ends when it is closed."""

from __future__ import annotations

import asyncio
from typing import Any

from nats.aio.client import Client


class EndingClient(Client):
    """Without a server, nats-py's task tries one connection after the other. It may miss its cancellation when one is
    refused in that very moment (`asyncio.wait_for` of Python 3.11), and the event loop of the test would never end.
    """

    async def _connect_to_server(self, server: Any) -> None:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise asyncio.CancelledError
        await super()._connect_to_server(server)


async def connect(servers: str | list[str], **options: Any) -> Client:
    """As `nats.connect`."""
    client = EndingClient()
    await client.connect(servers, **options)
    return client
