"""Three nodes, three replicas of every stream: the node that matters most dies while twenty thousand events go by."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter

import nats.errors
import pytest
from nats.aio.client import Client

from tests.chaos.say import Say
from tests.conftest import StartGateway
from tests.support.cluster import Cluster
from tests.support.eventually import LONG, eventually
from tests.support.publisher import Publisher
from tests.support.streams import api
from tests.support.witness import all_settled, read_all

EVENTS = 20_000
POISON_EVERY = 100


@pytest.mark.fault("leader-dies")
async def test_the_death_of_leaders_loses_and_doubles_nothing(
    cluster: Cluster, cluster_nc: Client, gateway_process: StartGateway, say: Say
) -> None:
    """First the target's leader is killed, then the source's; each comes back before the other goes."""
    nc = cluster_nc
    for stream, subject in (("IN", "in.>"), ("OUT", "out.>"), ("DLQ", "dlq.>")):
        await cluster.make_stream(nc, stream, [subject], num_replicas=3)
    route = {
        "name": "route",
        "source": {"stream": "IN", "subjects": ["in.>"], "ack-wait": "8s"},
        "transforms": [{"set": {"routed": True}}],
        "targets": [{"name": "out", "subject": "out.{n}", "stream": "OUT"}],
    }
    await gateway_process({"nats": {"servers": cluster.urls}, "routes": [route]})
    recoveries = []
    async with Publisher(nc, window=2000) as publisher:
        publishing = asyncio.create_task(publish(publisher))
        for mark, stream in ((EVENTS // 5, "OUT"), (EVENTS // 2, "IN")):
            await publisher.reached(mark, LONG)
            leader = await cluster.leader(nc, stream)
            leader.kill()
            killed = time.monotonic()
            await more_routed(nc, 3000)
            recoveries.append(time.monotonic() - killed)
            await leader.start()
            await cluster.caught_up(nc, "IN", "OUT", "DLQ")
        await publishing
        await publisher.settled()
    await all_settled(nc, "IN", ["gateway-route"], LONG)
    await cluster.caught_up(nc, "OUT", "DLQ")
    url = (await cluster.leader(nc, "OUT")).url
    stored = await read_all(url, "OUT")
    letters = await read_all(url, "DLQ")
    assert Counter((message.subject, message.json["n"]) for message in stored) == Counter(
        (f"out.{n}", n) for n in range(EVENTS) if n % POISON_EVERY
    )
    codes = Counter(
        (letter.headers["Gateway-Error-Code"], letter.headers["Gateway-Error-Message"]) for letter in letters
    )
    assert len(letters) == len(range(0, EVENTS, POISON_EVERY)), codes
    assert Counter(int(letter.headers["X-N"]) for letter in letters) == Counter(range(0, EVENTS, POISON_EVERY))
    say(f"{EVENTS} events, routed on {', '.join(f'{s:.1f}' for s in recoveries)} s after each leader's death")
    assert max(recoveries) < 30, recoveries


async def publish(publisher: Publisher) -> None:
    for n in range(EVENTS):
        data = json.dumps({"n": n}).encode() if n % POISON_EVERY else b'{"n":'
        await publisher.publish("in.event", data, {"X-N": str(n)})


async def more_routed(nc: Client, events: int) -> None:
    """Wait until so many copies more are stored."""

    async def copies() -> int:
        # Without a leader nobody answers: ask again soon, so that the time of the recovery is seen.
        try:
            return int((await api(nc, "STREAM.INFO.OUT", timeout=1))["state"]["messages"])
        except (nats.errors.Error, KeyError, OSError):
            return 0

    before = await eventually(copies)

    async def enough() -> bool:
        return await copies() >= min(before + events, EVENTS - EVENTS // POISON_EVERY)

    await eventually(enough, LONG, f"{events} copies after {before}")
