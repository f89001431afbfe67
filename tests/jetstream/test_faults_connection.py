"""A server that is reached and does not answer as it should: what is running goes on, and what waits is not lost."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from nats.aio.client import Client
from nats.js import JetStreamContext

from gateway.jetstream.server import EmbeddedServer
from tests.jetstream.conftest import Route, RunGateway
from tests.support.arrivals import arrived, settled
from tests.support.eventually import eventually
from tests.support.proxy import Frame, Proxy
from tests.support.streams import count

pytestmark = pytest.mark.usefixtures("streams")


@pytest.fixture
async def proxy(nats_server: EmbeddedServer) -> AsyncIterator[Proxy]:
    async with Proxy(nats_server.port) as between:
        yield between


def is_question(frame: Frame) -> bool:
    """A request to the JetStream API, pulls left out."""
    return frame.upward and frame.subject.startswith("$JS.API.") and ".MSG.NEXT." not in frame.subject


@pytest.mark.fault("api-slow")
async def test_an_api_that_does_not_answer_stops_no_running_route_and_holds_one_that_must_ask(
    nc: Client,
    js: JetStreamContext,
    proxy: Proxy,
    run_gateway: RunGateway,
    route: Route,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A meta leader with too much to do: events need no API, but whether it is still the same stream must be asked."""
    gateway = await run_gateway({"nats": {"servers": [proxy.url]}, "routes": [route(source={"ack-wait": "30s"})]})
    monkeypatch.setattr("gateway.jetstream.api.TIMEOUT", 0.3)
    proxy.passes = lambda frame: not is_question(frame)
    for number in range(20):
        await js.publish("in.a", b"%d" % number)
    await arrived(nc, "OUT", 20)
    assert gateway.stats().up
    proxy.cut()
    stats = await gateway.down("jetstream-unavailable")
    for number in range(20, 40):
        await js.publish("in.a", b"%d" % number)
    monkeypatch.undo()
    proxy.passes = lambda _frame: True
    await gateway.up()
    assert sorted(message.json for message in await arrived(nc, "OUT", 40)) == list(range(40))
    await settled(nc)
    await eventually(lambda: not stats.code)
    assert await count(nc, "DLQ") == 0


@pytest.mark.fault("target-silent")
async def test_a_target_that_never_answers_is_held_and_asked_again_with_the_same_id(
    nc: Client,
    js: JetStreamContext,
    proxy: Proxy,
    run_gateway: RunGateway,
    route: Route,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its copies are stored, the word of it is lost on the way: each is stored once."""
    monkeypatch.setattr("gateway.runtime.sender.ANSWER_WAIT", 0.3)
    gateway = await run_gateway({"nats": {"servers": [proxy.url]}, "routes": [route(source={"ack-wait": "30s"})]})
    proxy.passes = lambda frame: not frame.is_puback
    stats = gateway.stats()
    for number in range(10):
        await js.publish("in.a", b"%d" % number)
    await eventually(lambda: stats.circuit_open and stats.retries["timeout"] >= 12)
    assert (stats.state, stats.code) == ("up", "timeout")
    assert stats.reason.startswith("target out cannot take events now")
    assert stats.outcomes["published"] == 0
    proxy.passes = lambda _frame: True
    await settled(nc)
    await arrived(nc, "OUT", 10)
    assert stats.duplicates["out"] == 10
