"""A hundred thousand events under a hail of kills, accounted for at the end from the streams alone."""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections import Counter

import nats.errors
from nats.aio.client import Client

from gateway.jetstream.server import EmbeddedServer
from tests.chaos import accounts
from tests.chaos.say import Say
from tests.conftest import StartGateway
from tests.support.eventually import LONG, eventually
from tests.support.process import GatewayProcess
from tests.support.publisher import Publisher
from tests.support.streams import count, make_stream
from tests.support.witness import all_settled, open_events, read_all

EVENTS = int(os.environ.get("CHAOS_EVENTS", "100000"))
ROUNDS = int(os.environ.get("CHAOS_ROUNDS", "1"))
SEED = int(os.environ.get("CHAOS_SEED") or time.time_ns() % 1_000_000)
FAULTS = ["gateway-kill"] * 6 + ["gateway-term"] * 2 + ["server-kill"] * 3
WINDOW = 600 * 10**9


async def test_every_event_is_accounted_for_after_random_kills(
    nc: Client, nats_server: EmbeddedServer, gateway_process: StartGateway, say: Say
) -> None:
    """Each output and each dead letter exactly once, body by body; nothing else in the streams; nothing left to do."""
    say(f"accounting for {EVENTS} events; again with CHAOS_SEED={SEED}")
    started = time.monotonic()
    await make_stream(nc, "IN", ["in.>"], duplicate_window=WINDOW)
    for stream, subjects in accounts.OUTPUTS.items():
        await make_stream(nc, stream, subjects, duplicate_window=WINDOW)
    gateway = await gateway_process({"drain": "10s", "routes": accounts.routes()})
    async with Publisher(nc) as publisher:
        await Storm(nc, nats_server, gateway, publisher).run()
    stormed = time.monotonic()
    await all_settled(nc, "IN", accounts.DURABLES, LONG)
    gateway.term()
    assert await gateway.wait() == 0
    settled = time.monotonic()

    sources = await read_all(nats_server.url, "IN")
    numbers = sorted(int(source.headers["X-N"]) for source in sources)
    assert numbers == [*range(EVENTS)], "the publisher itself lost or doubled an event"
    outputs = {stream: await read_all(nats_server.url, stream) for stream in accounts.OUTPUTS}
    faults = accounts.differences(sources, outputs)
    assert not faults, "\n".join([f"CHAOS_SEED={SEED}: {len(faults)} differences", *faults[:20]])

    # Every outage was noticed as what it was; nothing was left to the watchdog, and nothing raised.
    odd = [line for line in gateway.logs if "trace" in line or line.get("event") in (None, "source.silent")]
    assert odd == []

    codes = Counter(letter.headers["Gateway-Error-Code"] for letter in outputs["DLQ"])
    assert set(codes) == {"decode-error", "loop", "transform-error", "unsafe-subject", "unsafe-header", "too-large"}
    say(
        f"{EVENTS} events, {len(FAULTS) * ROUNDS} faults in {stormed - started:.0f} s, settled after "
        f"{settled - stormed:.0f} s more, read and compared in {time.monotonic() - settled:.0f} s: "
        + ", ".join(f"{len(messages)} in {stream}" for stream, messages in outputs.items())
        + "; lost 0, doubled 0; dead letters: "
        + ", ".join(f"{code} {number}" for code, number in sorted(codes.items()))
    )


class Storm:
    """Publishes everything while it kills. Each fault has its share of the events, so that all hit a working gateway;
    where in its share, and after how much work, is random.
    """

    def __init__(self, nc: Client, server: EmbeddedServer, gateway: GatewayProcess, publisher: Publisher) -> None:
        self._nc = nc
        self._server = server
        self._gateway = gateway
        self._publisher = publisher
        self._rng = random.Random(SEED)
        self._allowed = 0
        self._go = asyncio.Event()

    async def run(self) -> None:
        """Come back when all events are stored in the source and all faults are over."""
        faults = FAULTS * ROUNDS
        self._rng.shuffle(faults)
        share = EVENTS // (len(faults) + 1)
        publishing = asyncio.create_task(self._publish(random.Random(SEED)))
        for number, fault in enumerate(faults):
            # The events of the next share go on while this fault is being repaired.
            self._allow((number + 2) * share)
            mark = int((number + self._rng.random()) * share)
            await self._publisher.reached(mark)
            if self._rng.random() < 0.7:
                await self._progress(self._rng.randrange(2000))
            await self._strike(fault)
        self._allow(EVENTS)
        await publishing
        await self._publisher.settled()

    async def _publish(self, rng: random.Random) -> None:
        for n in range(EVENTS):
            while n >= self._allowed:
                self._go.clear()
                await self._go.wait()
            await self._publisher.publish(*accounts.event(n, rng))

    def _allow(self, events: int) -> None:
        self._allowed = events
        self._go.set()

    async def _progress(self, outputs: int) -> None:
        """Wait for so many outputs more, or for the gateway to have nothing left to do."""
        wanted = await self._outputs() + outputs

        async def enough() -> bool:
            return await self._outputs() >= wanted or not await open_events(self._nc, "IN", accounts.DURABLES)

        await eventually(enough, LONG, "progress", interval=0.05)

    async def _outputs(self) -> int:
        try:
            return sum([await count(self._nc, stream) for stream in accounts.OUTPUTS])
        except (nats.errors.Error, OSError):
            return 0

    async def _strike(self, fault: str) -> None:
        if fault == "server-kill":
            self._server.kill()
            await self._server.start()
            return
        if fault == "gateway-kill":
            self._gateway.kill9()
        else:
            await self._gateway.hears_signals()
            self._gateway.term()
            assert await self._gateway.wait() == 0
        self._gateway.launch()
        if self._rng.random() < 0.7:
            await self._gateway.ready()
