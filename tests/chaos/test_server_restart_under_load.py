"""The server goes and comes back under a steady load: nothing lost, nothing doubled, back within seconds."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections import Counter
from collections.abc import AsyncIterator

import pytest
from nats.aio.client import Client

from gateway.jetstream.server import EmbeddedServer
from tests.chaos.say import Say
from tests.conftest import StartGateway
from tests.support.eventually import LONG, eventually
from tests.support.publisher import Publisher
from tests.support.streams import count, make_stream, stream_state
from tests.support.witness import all_settled, read_all

RATE = 500
CAUGHT_UP_WITHIN = 25.0
"""Seconds after JetStream answers again in which everything stored before must be in the target: nats-py takes up to
0.25 s to come back, the lane opens its source, and what was in flight is sent again at once instead of after ack-wait.
"""
ROUTE = {
    "name": "route",
    "source": {"stream": "IN", "subjects": ["in.>"], "ack-wait": "30s"},
    "transforms": [{"set": {"routed": True}}],
    "targets": [{"name": "out", "subject": "out.{n}", "stream": "OUT"}],
}


class Load:
    """Events at a steady rate, until told to stop."""

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher
        self._stop = asyncio.Event()
        self.sent = 0

    async def run(self) -> None:
        """Publish; comes back when all events are stored."""
        started = time.monotonic()
        while not self._stop.is_set():
            while self.sent < (time.monotonic() - started) * RATE:
                await self._publisher.publish("in.event", json.dumps({"n": self.sent}).encode())
                self.sent += 1
            await asyncio.sleep(0.01)
        await self._publisher.settled()

    def stop(self) -> None:
        """Publish no more."""
        self._stop.set()

    async def more(self, events: int, timeout: float = LONG) -> None:
        """Wait until so many events more are stored."""
        await self._publisher.reached(self._publisher.stored + events, timeout)


@contextlib.asynccontextmanager
async def steady_load(nc: Client) -> AsyncIterator[Load]:
    async with Publisher(nc, window=4000) as publisher:
        load = Load(publisher)
        running = asyncio.create_task(load.run())
        yield load
        load.stop()
        await running


@pytest.mark.fault("server-restarts")
async def test_restarts_and_crashes_of_the_server_lose_and_double_nothing(
    nc: Client, nats_server: EmbeddedServer, gateway_process: StartGateway, say: Say
) -> None:
    """Three clean restarts and three crashes while events keep coming; a redelivery after ack-wait comes too late."""
    await make_stream(nc, "IN", ["in.>"])
    await make_stream(nc, "OUT", ["out.>"])
    gateway = await gateway_process({"routes": [ROUTE]})
    recoveries = []
    async with steady_load(nc) as load:
        for restart in range(6):
            await load.more(RATE // 2)
            if restart % 2:
                nats_server.kill()
            else:
                nats_server.shut_down()
            await nats_server.start()
            back = time.monotonic()
            await caught_up(nc, load)
            recoveries.append(time.monotonic() - back)
    await all_settled(nc, "IN", ["gateway-route"], LONG)
    stored = await read_all(nats_server.url, "OUT")
    assert Counter((message.subject, message.json["n"]) for message in stored) == Counter(
        (f"out.{n}", n) for n in range(load.sent)
    )
    say(f"{load.sent} events, caught up after restarts within {', '.join(f'{s:.1f}' for s in recoveries)} s")
    assert max(recoveries) < CAUGHT_UP_WITHIN, recoveries
    assert (await gateway.routes())["route"]["state"] == "up"


@pytest.mark.fault("server-restarts")
async def test_a_server_that_stays_away_is_waited_for(
    nc: Client, nats_server: EmbeddedServer, gateway_process: StartGateway
) -> None:
    """Away for longer than ack-wait: the gateway lives, is not ready, and goes on when the server is back."""
    await make_stream(nc, "IN", ["in.>"])
    await make_stream(nc, "OUT", ["out.>"])
    route = {**ROUTE, "source": {"stream": "IN", "subjects": ["in.>"], "ack-wait": "1s"}}
    gateway = await gateway_process({"routes": [route]})
    async with steady_load(nc) as load:
        await load.more(RATE // 2)
        nats_server.kill()

        async def not_ready() -> bool:
            return bool((await gateway.get("/readyz"))[0] == 503)

        await eventually(not_ready)
        # What was in flight is the server's to give away by then.
        await asyncio.sleep(1.5)
        assert (await gateway.get("/healthz"))[0] == 200
        await nats_server.start()
        await caught_up(nc, load)
        await gateway.ready()
    await all_settled(nc, "IN", ["gateway-route"], LONG)
    stored = await read_all(nats_server.url, "OUT")
    assert Counter(message.json["n"] for message in stored) == Counter(range(load.sent))


async def caught_up(nc: Client, load: Load) -> None:
    """Wait until events are stored again, and then until everything stored by now has its copy."""
    await load.more(RATE // 4, CAUGHT_UP_WITHIN)
    stored: int = (await stream_state(nc, "IN"))["last_seq"]

    async def all_copied() -> bool:
        return await count(nc, "OUT") >= stored

    await eventually(all_copied, CAUGHT_UP_WITHIN, f"{stored} copies")
