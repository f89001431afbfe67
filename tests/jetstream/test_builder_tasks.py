"""The task that keeps the connection is made anew with every reload, and the ones before it go."""

from __future__ import annotations

import asyncio
import gc

from gateway.config import model
from gateway.jetstream.connection import Connection
from gateway.jetstream.server import EmbeddedServer
from tests.support.eventually import eventually

RELOADS = 10


def builders() -> int:
    """Tasks of `Connection._keep` that anybody still holds, ended or not."""
    gc.collect()
    tasks = [found for found in gc.get_objects() if isinstance(found, asyncio.Task)]
    return sum("Connection._keep" in repr(task) for task in tasks)


async def test_reloads_leave_no_chain_of_ended_tasks(nats_server: EmbeddedServer) -> None:
    """Each one waits for the one before it; holding on to it would hold all there ever were, with their tracebacks."""
    connection = Connection(model.Nats(servers=[nats_server.url]), "test")
    connection.start()
    await eventually(lambda: connection.connected)
    for _ in range(RELOADS):
        connection.stay()
        await eventually(lambda: builders() <= 2, 5, "the task before has ended, and is gone")
    assert connection.generation == 1
    await connection.close()
