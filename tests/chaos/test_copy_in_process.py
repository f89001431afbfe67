"""A copy sent again while the servers have not agreed on the first one: neither refused nor doubled."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Iterator

import nats.errors
from nats.aio.client import Client

from gateway.jetstream.server import EmbeddedServer
from tests.conftest import StartGateway, connected
from tests.support.cluster import Cluster
from tests.support.eventually import eventually
from tests.support.streams import api, count, make_stream
from tests.support.witness import all_settled

EVENTS = 20


async def test_a_copy_that_waits_for_a_majority_is_not_refused(
    cluster: Cluster, cluster_nc: Client, gateway_process: StartGateway
) -> None:
    """The leader, alone, has no majority for it, and answers its repetition with "in process" (10158).

    Taken for a refusal, it would bring the route down, or with a templated subject end in the dead letters.
    """
    await make_stream(cluster_nc, "IN", ["in.>"])
    await make_stream(cluster_nc, "OUT", ["out.>"], num_replicas=3)
    node = await cluster.leader(cluster_nc, "IN")
    await lead(cluster, cluster_nc, "OUT", node)
    route = {
        "name": "route",
        "source": {"stream": "IN", "subjects": ["in.>"]},
        "targets": [{"name": "out", "subject": "out.all", "stream": "OUT"}],
    }
    gateway = await gateway_process({"nats": {"servers": [node.url]}, "routes": [route]})
    nc = await connected(node.url)
    await nc.jetstream().publish("in.event", b"{}")
    await all_settled(nc, "IN", ["gateway-route"])

    async def in_process() -> bool:
        return "(10158)" in str(await gateway.routes())

    with stopped([other for other in cluster.nodes.values() if other is not node]):
        await asyncio.gather(*(nc.jetstream().publish("in.event", b"{}") for _ in range(EVENTS)))
        await eventually(in_process, 15, "the leader's word that it has the copies already", interval=0.05)
        status = (await gateway.routes())["route"]
        assert (status["state"], status["code"]) == ("up", "unavailable")
    await all_settled(nc, "IN", ["gateway-route"], 60)
    assert await gateway.metric('events_total{route="route",outcome="published"}') == EVENTS + 1
    assert await gateway.metric('retries_total{route="route",code="refused"}') == 0
    await eventually(lambda: holds(nc, "OUT", EVENTS + 1), 30, "each copy once")
    await nc.close()


async def lead(cluster: Cluster, nc: Client, stream: str, node: EmbeddedServer) -> None:
    """Have a node lead a stream."""

    async def leads() -> bool:
        leader = await cluster.leader(nc, stream)
        if leader is not node:
            await api(nc, f"STREAM.LEADER.STEPDOWN.{stream}")
        return leader is node

    await eventually(leads, 40, f"a leader of {stream}", interval=0.3)


async def holds(nc: Client, stream: str, number: int) -> bool:
    """Whether a stream has so many messages; nobody knows while it has no leader."""
    try:
        return await count(nc, stream) == number
    except nats.errors.TimeoutError:
        return False


@contextlib.contextmanager
def stopped(nodes: list[EmbeddedServer]) -> Iterator[None]:
    """Processes that stand still."""
    for node in nodes:
        os.kill(node.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for node in nodes:
            os.kill(node.pid, signal.SIGCONT)
