"""Streams for the routes of tests/support/small_routes.py."""

from __future__ import annotations

import pytest
from nats.aio.client import Client

from tests.support.streams import make_stream


@pytest.fixture
async def streams(nc: Client) -> Client:
    """The streams of all routes here."""
    for name, subjects in (("IN", ["in.>"]), ("OUT", ["out.>"]), ("DLQ", ["dlq.>"])):
        await make_stream(nc, name, subjects)
    return nc


@pytest.fixture
async def full(streams: Client) -> Client:
    """A stream that takes no event."""
    await make_stream(streams, "FULL", ["full.>"], discard="new", max_msgs=1)
    await streams.jetstream().publish("full.up", b"")
    return streams
