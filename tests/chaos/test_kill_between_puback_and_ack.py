"""The moments in which a crash could lose or double an event, made to last by a proxy that swallows what ends them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest
from nats.aio.client import Client

from gateway.jetstream.server import EmbeddedServer
from tests.conftest import StartGateway
from tests.support.eventually import eventually
from tests.support.process import GatewayProcess
from tests.support.proxy import Frame, Proxy
from tests.support.publisher import Publisher
from tests.support.streams import consumer_state, count, make_stream
from tests.support.witness import all_settled, read_all

EVENTS = 600
POISON_EVERY = 10
POISON = EVENTS // POISON_EVERY
DURABLE = "gateway-route"


@pytest.fixture
async def proxy(nats_server: EmbeddedServer) -> AsyncIterator[Proxy]:
    async with Proxy(nats_server.port) as between:
        between.watch("settling", lambda frame: frame.settles)
        between.watch("puback", lambda frame: frame.is_puback)
        between.watch("copy", is_copy)
        yield between


def is_copy(frame: Frame) -> bool:
    return frame.upward and frame.subject.startswith(("out.", "dlq."))


class CutAfter:
    """Cuts the connection with the so-many-th frame of a kind, and lets nothing more through."""

    def __init__(self, proxy: Proxy, name: str, frames: int) -> None:
        self._proxy = proxy
        self._counts = proxy.watched[name]
        self._left = frames

    def __call__(self, frame: Frame) -> bool:
        self._left -= self._counts(frame)
        if self._left == 0:
            self._proxy.cut()
        return self._left > 0

    def done(self) -> bool:
        return self._left <= 0


async def made(nc: Client) -> None:
    """The streams."""
    await make_stream(nc, "IN", ["in.>"])
    await make_stream(nc, "OUT", ["out.>"])
    await make_stream(nc, "DLQ", ["dlq.>"])


async def started(nc: Client, proxy: Proxy, gateway_process: StartGateway) -> GatewayProcess:
    """A gateway behind the proxy, with one route that sends each event to two targets."""
    await made(nc)
    return await gateway_process(config(proxy.url, "2s"))


def config(url: str, ack_wait: str) -> dict[str, Any]:
    return {
        "nats": {"servers": [url]},
        "routes": [
            {
                "name": "route",
                "source": {"stream": "IN", "subjects": ["in.>"], "ack-wait": ack_wait},
                "transforms": [{"set": {"routed": True}}],
                "targets": [
                    {"name": "one", "subject": "out.one.{n}", "stream": "OUT"},
                    {"name": "two", "subject": "out.two"},
                ],
            }
        ],
    }


async def publish(nc: Client, numbers: range = range(EVENTS)) -> None:
    """All events; every tenth is no JSON."""
    async with Publisher(nc) as publisher:
        for n in numbers:
            poison = n % POISON_EVERY == 0
            await publisher.publish(f"in.{n}", b'{"n":' if poison else json.dumps({"n": n}).encode(), {"X-N": str(n)})
        await publisher.settled()


async def assert_each_exactly_once(server: EmbeddedServer) -> None:
    """Two copies of each good event, one dead letter of each bad one, nothing else."""
    good = [n for n in range(EVENTS) if n % POISON_EVERY]
    expected = Counter([(f"out.one.{n}", n) for n in good] + [("out.two", n) for n in good])
    stored = await read_all(server.url, "OUT")
    assert Counter((message.subject, message.json["n"]) for message in stored) == expected
    assert all(message.json == {"n": int(message.headers["X-N"]), "routed": True} for message in stored)
    letters = Counter(int(letter.headers["X-N"]) for letter in await read_all(server.url, "DLQ"))
    assert letters == Counter(range(0, EVENTS, POISON_EVERY))


@pytest.mark.fault("process-killed")
async def test_killed_after_the_pubacks_and_before_the_acks_nothing_is_doubled(
    nc: Client, nats_server: EmbeddedServer, proxy: Proxy, gateway_process: StartGateway
) -> None:
    """The gateway knows that all copies are stored, the server never hears of it: every event is delivered again."""
    gateway = await started(nc, proxy, gateway_process)
    proxy.passes = lambda frame: not frame.settles
    await publish(nc)
    await eventually(lambda: proxy.dropped["settling"] >= EVENTS, what="an ack for every event")
    gateway.kill9()
    assert await count(nc, "OUT") == 2 * (EVENTS - POISON)
    assert await count(nc, "DLQ") == POISON
    assert (await consumer_state(nc, "IN", DURABLE))["num_ack_pending"] == EVENTS

    proxy.passes = lambda _frame: True
    await gateway.start()
    await all_settled(nc, "IN", [DURABLE])
    await assert_each_exactly_once(nats_server)
    assert proxy.passed["puback"] >= 2 * (2 * (EVENTS - POISON) + POISON), "the copies were not sent again"


async def test_killed_before_the_pubacks_arrive_nothing_is_doubled(
    nc: Client, nats_server: EmbeddedServer, proxy: Proxy, gateway_process: StartGateway
) -> None:
    """The copies are stored, but the gateway does not know: without a PubAck it settles nothing."""
    gateway = await started(nc, proxy, gateway_process)
    proxy.passes = lambda frame: not frame.is_puback
    await publish(nc)

    async def all_stored() -> bool:
        return await count(nc, "OUT") + await count(nc, "DLQ") == 2 * (EVENTS - POISON) + POISON

    await eventually(all_stored)
    gateway.kill9()
    assert proxy.passed["settling"] == 0, "settled before the PubAck"

    proxy.passes = lambda _frame: True
    await gateway.start()
    await all_settled(nc, "IN", [DURABLE])
    await assert_each_exactly_once(nats_server)


@pytest.mark.fault("process-killed")
async def test_killed_before_the_copies_are_stored_nothing_is_lost(
    nc: Client, nats_server: EmbeddedServer, proxy: Proxy, gateway_process: StartGateway
) -> None:
    """Half of the copies, and of the dead letters, die on their way: their events are not settled by then."""
    await made(nc)
    await publish(nc)
    copies = Counter[bool]()

    def every_other_copy(frame: Frame) -> bool:
        if not is_copy(frame):
            return True
        copies["dlq" in frame.subject] += 1
        return copies["dlq" in frame.subject] % 2 == 0

    # All at once, from the start: a copy that is overdue is sent again after four seconds.
    proxy.passes = every_other_copy
    gateway = await gateway_process(config(proxy.url, "2s"))
    await eventually(lambda: proxy.dropped["copy"] >= EVENTS - POISON + POISON // 2, what="half of the copies dropped")
    gateway.kill9()
    # `one` and `two` of an event leave together: of each good one a copy is missing.
    assert proxy.passed["settling"] <= POISON // 2, "settled without a PubAck"

    proxy.passes = lambda _frame: True
    await gateway.start()
    await all_settled(nc, "IN", [DURABLE])
    await assert_each_exactly_once(nats_server)


@pytest.mark.fault("link-cut")
async def test_copies_in_flight_at_a_cut_are_sent_again_at_once(
    nc: Client, nats_server: EmbeddedServer, proxy: Proxy, gateway_process: StartGateway
) -> None:
    """After a reconnect the gateway does not wait for the old PubAcks to be overdue."""
    await made(nc)
    await publish(nc)
    proxy.passes = lambda frame: not (frame.is_puback and b'"KV_' not in frame.payload)
    gateway = await gateway_process(config(proxy.url, "30s"))
    await eventually(lambda: proxy.dropped["puback"] >= 2 * (EVENTS - POISON) + POISON, what="all copies answered")

    proxy.passes = lambda _frame: True
    proxy.cut()
    await all_settled(nc, "IN", [DURABLE], 25)
    assert await gateway.metric('retries_total{route="route",code="timeout"}') == 0, "an answer was waited for"
    await assert_each_exactly_once(nats_server)


@pytest.mark.fault("reconnect-storm")
async def test_a_connection_cut_again_and_again_loses_and_doubles_nothing(
    nc: Client, nats_server: EmbeddedServer, proxy: Proxy, gateway_process: StartGateway
) -> None:
    """Each cut comes at another moment: after so many copies, PubAcks or acks of a share of the events."""
    await started(nc, proxy, gateway_process)
    cuts = [("copy", 50), ("puback", 100), ("settling", 40), ("copy", 200), ("settling", 100), ("puback", 1)]
    share = EVENTS // len(cuts)
    for number, (name, after) in enumerate(cuts):
        cut = CutAfter(proxy, name, after)
        proxy.passes = cut
        await publish(nc, range(number * share, (number + 1) * share))
        await eventually(cut.done, what=f"a cut after {after} of {name}")
        proxy.passes = lambda _frame: True
    await all_settled(nc, "IN", [DURABLE])
    await assert_each_exactly_once(nats_server)
