"""The JetStream API: whatever comes as an answer is an answer, an error, or none; nothing else gets through."""

from __future__ import annotations

from typing import Any

import pytest
from nats.aio.client import Client

from gateway.config import model
from gateway.jetstream.api import ApiError, ApiUnavailable, JetStreamApi
from gateway.jetstream.connection import Connection
from gateway.jetstream.server import EmbeddedServer
from tests.jetstream.conftest import Route, RunGateway
from tests.support.eventually import eventually

pytestmark = pytest.mark.usefixtures("streams")


@pytest.mark.parametrize(
    "answer", [b"", b"junk", b"[]", b"7", b"\xff", b"[" * 5000, b'{"error": 5}', b'{"error": null}']
)
async def test_an_answer_that_is_none_counts_as_no_answer(
    nc: Client, run_gateway: RunGateway, route: Route, answer: bytes
) -> None:
    """An exception nobody expects would end a task that held copies wait for, and leave them waiting for ever."""

    async def respond(message: Any) -> None:
        await message.respond(answer)

    await nc.subscribe("$JS.API.NONSENSE", cb=respond)
    await nc.flush()
    gateway = await run_gateway({"routes": [route()]})
    with pytest.raises((ApiUnavailable, ApiError)):
        await gateway.app._edge.api.request("NONSENSE")


async def test_no_stream_is_believed_only_of_a_server_that_knows_the_one_we_read(
    nc: Client, run_gateway: RunGateway, route: Route
) -> None:
    """A node that has just become leader, and has not caught up, must not have events dead-lettered."""
    gateway = await run_gateway({"routes": [route()]})
    api = gateway.app._edge.api
    assert await api.takers("out.x", witness="IN") == ["OUT"]
    assert await api.takers("nobody.x", witness="IN") == []
    assert await api.takers("nobody.x", witness="NOT_THERE") is None
    assert await api.takers("nobody.x") == []


async def test_a_request_that_nobody_waits_for_any_more_is_not_sent_when_the_connection_is_back(
    nats_server: EmbeddedServer,
) -> None:
    """To change or delete a durable minutes later would undo what others have made of it since."""
    connection = Connection(model.Nats(servers=[nats_server.url]), "test")
    connection.start()
    await eventually(lambda: connection.connected)
    asking = JetStreamApi(connection)
    await nats_server.stop()
    await eventually(lambda: not connection.connected)
    with pytest.raises(ApiUnavailable):
        await asking.request("STREAM.CREATE.LATE", {"name": "LATE", "subjects": ["late.>"]}, limit=0.1)
    await nats_server.start()
    await eventually(lambda: connection.connected)
    assert await asking.has_stream("LATE") is False
    await connection.close()
