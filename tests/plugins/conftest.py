"""What the routes through plugins need: a server with the streams IN, OUT and DLQ, and a PostgreSQL."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from nats.aio.client import Client

from tests.support.postgres import PostgresServer
from tests.support.streams import make_stream

_numbers = itertools.count(1)


@pytest.fixture
async def streams(nc: Client) -> Client:
    """IN (in.>), OUT (out.>) and DLQ (dlq.>)."""
    for name in ("IN", "OUT", "DLQ"):
        await make_stream(nc, name, [f"{name.lower()}.>"])
    return nc


@pytest.fixture
def route() -> Callable[..., dict[str, Any]]:
    """`route(filters=[...])` is a route from IN to OUT, quick in everything that waits."""

    def make(name: str = "r", **fields: Any) -> dict[str, Any]:
        return {
            "name": name,
            "source": {"stream": "IN", "subjects": ["in.>"], "ack-wait": "2s"},
            "retry": {"initial": "100ms", "max": "400ms", "jitter": 0},
            "targets": [{"subject": "out.it", "name": "out"}],
            **fields,
        }

    return make


@pytest.fixture(scope="session")
def session_postgres() -> Iterator[PostgresServer]:
    """One PostgreSQL for all tests that are content with a `database` of their own."""
    server = PostgresServer()
    try:
        asyncio.run(server.start())
        yield server
    finally:
        server.shut_down()


@pytest.fixture
async def database(session_postgres: PostgresServer) -> str:
    """An empty database of `session_postgres`."""
    name = f"audit_{next(_numbers)}"
    await session_postgres.run(f"CREATE DATABASE {name}")
    return name


@pytest.fixture
async def postgres() -> AsyncIterator[PostgresServer]:
    """A server of the test's own: it may be killed, frozen, restarted."""
    server = PostgresServer()
    try:
        await server.start()
        yield server
    finally:
        server.shut_down()
