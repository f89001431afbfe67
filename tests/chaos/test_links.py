"""The links: what goes in comes out, in order and whole, but for what is done to them."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

import pytest

from gateway.jetstream.server import free_port
from tests.chaos.links import Link
from tests.support.eventually import eventually


@pytest.fixture
async def link() -> AsyncIterator[Link]:
    """A link to a server that says everything back."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while chunk := await reader.read(1 << 16):
                writer.write(chunk)
                await writer.drain()
        writer.transport.abort()

    async with (
        await asyncio.start_server(echo, "127.0.0.1", 0) as server,
        Link(free_port(), server.sockets[0].getsockname()[1]) as link,
    ):
        yield link


@contextlib.asynccontextmanager
async def connection(link: Link) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection through the link."""
    reader, writer = await asyncio.open_connection("127.0.0.1", link.port)
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def said_back(link: Link, data: bytes) -> bool:
    """Whether a new connection brings `data` back."""
    async with connection(link) as (reader, writer):
        writer.write(data)
        return await asyncio.wait_for(reader.readexactly(len(data)), 10) == data


async def test_everything_passes(link: Link) -> None:
    """Much more than a socket holds."""
    assert await said_back(link, bytes(range(256)) * 20_000)
    await eventually(lambda: link.connections == 0)


async def test_a_cut_ends_connections_and_refuses_new_ones(link: Link) -> None:
    """Until it is mended."""
    async with connection(link) as (reader, _):
        await eventually(lambda: link.connections == 1)
        link.cut()
        # An end or a reset: it depends on what was under way.
        with contextlib.suppress(ConnectionError):
            assert await asyncio.wait_for(reader.read(1), 5) == b""
    with pytest.raises((OSError, asyncio.IncompleteReadError)):
        await said_back(link, b"x")
    link.mend()
    assert await said_back(link, b"x")


async def test_a_hold_keeps_what_is_sent_until_it_is_mended(link: Link) -> None:
    """Nobody is told, and nothing is lost."""
    async with connection(link) as (reader, writer):
        writer.write(b"a")
        assert await asyncio.wait_for(reader.readexactly(1), 5) == b"a"
        link.hold()
        writer.write(b"bc")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(1), 0.2)
        link.mend()
        assert await asyncio.wait_for(reader.readexactly(2), 5) == b"bc"


async def test_a_delay_delays(link: Link) -> None:
    """There and back."""
    link.delay = 0.1
    began = time.monotonic()
    assert await said_back(link, b"a")
    assert time.monotonic() - began > 0.19
