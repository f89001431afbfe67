"""A target that takes nothing holds its route's events, but not in memory without end, and no other route's."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from pathlib import Path

from nats.aio.client import Client

from gateway.jetstream.server import EmbeddedServer
from tests.chaos.say import Say
from tests.conftest import StartGateway
from tests.support.eventually import eventually
from tests.support.publisher import Publisher
from tests.support.streams import api, count, make_stream
from tests.support.witness import all_settled, read_all

EVENTS = 20_000
SIZE = 4096
FITS = 500
"""Events the target takes before it is full."""
BOUND = 40 << 20
"""Bytes the stalled route may cost: 1024 events of 4 KiB in the window, decoded, and their copies make 12 MiB; what
waits in the source is twice the bound.
"""


async def test_a_stalled_target_costs_bounded_memory_and_no_event(
    nc: Client, nats_server: EmbeddedServer, gateway_process: StartGateway, say: Say
) -> None:
    """20,000 events wait for a full stream, others flow by; when there is room again, each arrives once."""
    await make_stream(nc, "IN", ["in.>"])
    await make_stream(nc, "OUT", ["out.>"])
    await make_stream(nc, "FULL", ["full.>"], discard="new", max_msgs=FITS)
    await make_stream(nc, "DLQ", ["dlq.>"])
    gateway = await gateway_process(
        {
            "defaults": {"source": {"stream": "IN", "ack-wait": "5s"}, "retry": {"initial": "250ms", "max": "1s"}},
            "routes": [
                {
                    "name": "stalled",
                    "source": {"subjects": ["in.slow"]},
                    "transforms": [{"set": {"routed": True}}],
                    "targets": [{"name": "full", "subject": "full.{n}"}],
                },
                {
                    "name": "flowing",
                    "source": {"subjects": ["in.fast"]},
                    "transforms": [{"set": {"routed": True}}],
                    "targets": [{"name": "out", "subject": "out.{n}"}],
                },
            ],
        }
    )
    async with Publisher(nc) as publisher:
        # The other route has worked at full load once: what that costs is no part of what is measured.
        for n in range(2000):
            await publisher.publish("in.fast", body(n))
        await all_settled(nc, "IN", ["gateway-flowing"])
        baseline = rss(gateway.pid)
        for n in range(EVENTS):
            await publisher.publish("in.slow", body(n))
        await publisher.settled()

        async def stalled() -> bool:
            # What the window can hold is there, and the target is full.
            return await count(nc, "FULL") == FITS and await gateway.metric('circuit_open{route="stalled"}') == 1

        await eventually(stalled)
        peak = rss(gateway.pid)
        for n in range(2000, 4000):
            await publisher.publish("in.fast", body(n))
            peak = max(peak, rss(gateway.pid)) if n % 100 == 0 else peak
        await publisher.settled()
        await all_settled(nc, "IN", ["gateway-flowing"])
        # Longer than ack-wait: as soon as it is asked for more, the server delivers again what it hears nothing of.
        until = time.monotonic() + 5.5
        while time.monotonic() < until:
            peak = max(peak, rss(gateway.pid))
            await asyncio.sleep(0.1)
        assert await gateway.metric('events_in_flight{route="stalled"}') <= 1024
    grown = peak - baseline
    say(f"{EVENTS * SIZE >> 20} MiB waiting cost {grown / (1 << 20):.1f} MiB over {baseline / (1 << 20):.1f} MiB")
    assert grown < BOUND, f"{grown >> 20} MiB over a baseline of {baseline >> 20} MiB"

    info = await api(nc, "STREAM.INFO.FULL")
    answer = await api(nc, "STREAM.UPDATE.FULL", {**info["config"], "max_msgs": -1})
    assert "error" not in answer, answer
    await all_settled(nc, "IN", ["gateway-stalled"])
    assert await gateway.metric('redeliveries_total{route="stalled"}') == 0
    assert Counter(message.json["n"] for message in await read_all(nats_server.url, "FULL")) == Counter(range(EVENTS))
    assert Counter(message.json["n"] for message in await read_all(nats_server.url, "OUT")) == Counter(range(4000))
    assert await count(nc, "DLQ") == 0
    assert rss(gateway.pid) - baseline < BOUND


def body(n: int) -> bytes:
    return json.dumps({"n": n, "text": "x" * (SIZE - 30)}).encode()


def rss(pid: int) -> int:
    """Resident bytes of a process."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) << 10
    raise AssertionError(f"process {pid} has ended")
