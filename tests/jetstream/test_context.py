"""What the gateway lends a component cannot be used to hurt the other routes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from nats.aio.client import Client
from nats.js import JetStreamContext

from gateway import Event, Transform
from tests.jetstream.conftest import Route, RunGateway
from tests.support.arrivals import arrived, settled

pytestmark = pytest.mark.usefixtures("streams")


class Tell(Transform, name="tell"):
    """Publish what the event says beside the route's own targets."""

    async def apply(self, event: Event) -> Event:
        data = b"x" * event.get("size", 1)
        ack = await self.context.publish(event.get("to"), data, event.get("headers"))
        return event.replace(body={"stored": [ack.stream, ack.seq]})


ILLEGAL: list[dict[str, Any]] = [
    {"to": "out.x 5\r\nPUB out.evil 0\r\n\r\n"},
    {"to": "out.*"},
    {"to": ""},
    {"to": "out." + "x" * 5000},
    {"to": "out.x", "headers": {"X": "1\r\nNats-Rollup: all"}},
    {"to": "out.x", "headers": {"X: 1\r\nNats-Rollup": "all"}},
    {"to": "out.big", "size": 1 << 20, "headers": {"X": "1"}},
    {"to": "out.big", "size": (1 << 20) - 100, "headers": {"X": "y" * 200}},
]


async def test_a_component_publishes_and_learns_where_it_is_stored(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    await run_gateway({"routes": [route(transforms=["tell"])]}, Tell)
    await js.publish("in.a", b'{"to": "dlq.told", "headers": {"X": "1"}}')
    (message,) = await arrived(nc, "OUT", 1)
    assert message.json == {"stored": ["DLQ", 1]}
    (told,) = await arrived(nc, "DLQ", 1)
    assert told.headers["X"] == "1"


async def test_a_component_cannot_have_the_connection_closed(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway = await run_gateway({"routes": [route(transforms=["tell"])]}, Tell)
    for body in ILLEGAL:
        await js.publish("in.a", json.dumps(body).encode())
    letters = await arrived(nc, "DLQ", len(ILLEGAL))
    assert {letter.headers["Gateway-Error-Code"] for letter in letters} == {"transform-error"}
    await settled(nc)
    await js.publish("in.a", b'{"to": "out.told"}')
    assert [message.subject for message in await arrived(nc, "OUT", 2)] == ["out.told", "out.it"]
    assert gateway.app.stats.reconnects == 0
