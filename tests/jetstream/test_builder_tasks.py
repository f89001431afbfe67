"""The task that keeps the connection is made anew with every reload, and the ones before it go."""

from __future__ import annotations

import asyncio
import gc
import weakref

import pytest

from gateway.config import model
from gateway.jetstream.connection import Connection
from gateway.jetstream.server import EmbeddedServer
from gateway.jetstream.wire import Wire
from tests.support.eventually import eventually
from tests.support.logged import logged

RELOADS = 10


def held(tasks: list[weakref.ref[asyncio.Task[None]]]) -> int:
    """How many of them anybody still holds, ended or not."""
    gc.collect()
    return sum(task() is not None for task in tasks)


async def test_reloads_leave_no_chain_of_ended_tasks(nats_server: EmbeddedServer) -> None:
    """Each one waits for the one before it; holding on to it would hold all there ever were, with their tracebacks."""
    connection = Connection(model.Nats(servers=[nats_server.url]), "test")
    connection.start()
    await eventually(lambda: connection.connected)
    made: list[weakref.ref[asyncio.Task[None]]] = []
    for _ in range(RELOADS):
        connection.stay()
        assert connection._builder is not None
        made.append(weakref.ref(connection._builder))
        await eventually(lambda: held(made) <= 2, what="the task before has ended, and is gone")
    assert connection.generation == 1
    await connection.close()


async def test_a_task_that_misses_its_cancellation_is_ended_before_the_next_one_begins(
    nats_server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Two that keep one connection would each take its end, when it is wanted, for a loss."""
    connection = Connection(model.Nats(servers=[nats_server.url]), "test")
    tries: list[Wire] = []
    opens = connection._open

    async def fails_when_cancelled(wire: Wire) -> None:
        tries.append(wire)
        if len(tries) > 1:
            await opens(wire)
            return
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise ConnectionResetError from None

    monkeypatch.setattr(connection, "_open", fails_when_cancelled)
    connection.start()
    await eventually(lambda: tries)
    connection.use(model.Nats(servers=[nats_server.url], user="another"))
    await eventually(lambda: connection.connected)
    await connection.close()
    assert not logged(caplog, "nats.closed")


@pytest.mark.parametrize("answer", [ConnectionRefusedError(), None], ids=["refused", "made"])
async def test_a_reconnect_that_misses_its_cancellation_ends_all_the_same(
    nats_server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch, answer: Exception | None
) -> None:
    """As it does on Python 3.11 when a connection is refused, or made, in that very moment; nobody cancels it again."""
    connection = Connection(model.Nats(servers=[nats_server.url]), "test")
    connection.start()
    await eventually(lambda: connection.connected)
    wire, began, missed = connection.wire, asyncio.Event(), asyncio.Event()

    async def connect(*_args: object) -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            missed.set()
            if answer is not None:
                raise answer from None

    monkeypatch.setattr(wire._transport, "connect", connect)
    nats_server.kill()
    await asyncio.wait_for(began.wait(), 30)
    await connection.close()
    assert missed.is_set()
    task = wire._reconnection_task
    assert task is not None
    await eventually(task.done)
    assert not wire.is_connected
