"""A source stream that is deleted and made again counts from 1 again: what it had before says nothing of it."""

from __future__ import annotations

import asyncio
import json
from typing import Any, ClassVar

import pytest
from nats.aio.client import Client
from nats.js import JetStreamContext

from gateway import Event, Retry, Transform
from tests.jetstream.conftest import Route, RunGateway
from tests.support.arrivals import arrived, settled
from tests.support.eventually import eventually
from tests.support.streams import api, consumer_state, make_stream

pytestmark = pytest.mark.usefixtures("streams")


class Later(Transform, name="later"):
    """Note the tries of each event; one that says "later" waits for the gate, and then for ten seconds more."""

    gate: ClassVar[asyncio.Event]
    waiting: ClassVar[int]
    tries: ClassVar[list[tuple[Any, int]]]

    def prepare(self) -> None:
        Later.gate, Later.waiting, Later.tries = asyncio.Event(), 0, []

    async def apply(self, event: Event) -> Event:
        Later.tries.append((event.body, event.meta.attempt))
        if event.body == "later":
            Later.waiting += 1
            await Later.gate.wait()
            raise Retry(after=10)
        return event


async def make_anew(nc: Client) -> None:
    """IN and its durable, as a peer does it that was told first."""
    config = (await consumer_state(nc, "IN", "gateway-r"))["config"]
    await api(nc, "STREAM.DELETE.IN")
    await make_stream(nc, "IN", ["in.>"])
    answer = await api(nc, "CONSUMER.CREATE.IN.gateway-r", {"stream_name": "IN", "config": config, "action": "create"})
    assert "error" not in answer, answer


@pytest.mark.fault("source-stream-made-anew")
async def test_an_event_of_a_stream_made_anew_is_no_duplicate_of_the_old_ones_even_behind_a_busy_peer(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    """The consumer a peer has made again may be further than ours was: its count alone tells nothing."""
    fields: dict[str, Any] = {"transforms": ["later"], "max-in-flight": 1, "timeout": "1m"}
    gateway = await run_gateway({"routes": [route(**fields)]}, Later)
    for number in range(5):
        await js.publish("in.a", json.dumps(f"old {number}").encode())
    await js.publish("in.a", b'"later"')
    await arrived(nc, "OUT", 5)
    await eventually(lambda: Later.waiting and not gateway.lane()._source.watched)
    await make_anew(nc)
    for number in range(9):
        await js.publish("in.a", json.dumps(f"new {number}").encode())
    peer = await js.pull_subscribe_bind("gateway-r", "IN")
    taken = await peer.fetch(9, timeout=30)
    for message in taken:
        await (message.nak() if message.metadata.sequence.stream == 2 else message.ack_sync())
    await nc.flush()
    Later.gate.set()
    messages = await arrived(nc, "OUT", 6)
    assert messages[-1].json == "new 1"
    await settled(nc)


@pytest.mark.fault("source-stream-made-anew")
async def test_tries_of_an_event_are_not_those_of_its_namesake_in_a_stream_made_anew(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    gateway = await run_gateway({"routes": [route(transforms=["later"])]}, Later)
    Later.gate.set()
    await js.publish("in.a", b'"later"')
    await eventually(lambda: gateway.stats().retries["retry"] == 1 and not gateway.lane().window.entries)
    assert gateway.lane().window.history
    await make_anew(nc)
    await js.publish("in.a", b'"new"')
    assert (await arrived(nc, "OUT", 1))[0].json == "new"
    assert Later.tries == [("later", 1), ("new", 1)]
    assert not gateway.lane().window.history
