"""A cluster that loses what its streams need: the routes that need it hold their events, the others go on."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections import Counter
from collections.abc import Iterator
from typing import Any

import nats.errors
import pytest
from nats.aio.client import Client

from gateway.jetstream.server import EmbeddedServer
from tests.conftest import connected
from tests.jetstream.conftest import Route, RunGateway
from tests.support.arrivals import settled
from tests.support.cluster import Cluster, running_cluster
from tests.support.eventually import LONG, eventually
from tests.support.proxy import Proxy
from tests.support.publisher import Publisher
from tests.support.streams import api, count, read_stream
from tests.support.wire_tap import WireTap

EVENTS = 300
COPIES = 20


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """One for all tests here."""
    yield from running_cluster(tmp_path_factory.mktemp("cluster"))


@pytest.fixture(autouse=True)
async def renewed(cluster: Cluster, cluster_nc: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cluster as new; a copy without an answer is sent again after one second instead of four."""
    await cluster.renew(cluster_nc)
    monkeypatch.setattr("gateway.runtime.sender.ANSWER_WAIT", 1.0)


async def publish(nc: Client, first: int, last: int) -> None:
    async with Publisher(nc) as publisher:
        for number in range(first, last):
            await publisher.publish("in.a", b"%d" % number, {})
        await publisher.settled()


async def elected(nc: Client, request: str) -> None:
    """Wait until it has a leader."""

    async def has_leader() -> bool:
        answer = await api(nc, request, timeout=2)
        return bool(answer.get("cluster", {}).get("leader"))

    await eventually(has_leader)


@pytest.mark.fault("leader-steps-down", "target-no-quorum")
async def test_leaders_that_step_down_and_a_target_without_quorum_lose_and_double_nothing(
    cluster: Cluster, cluster_nc: Client, run_gateway: RunGateway, route: Route
) -> None:
    """Three replicas for the one target; source, dead letters and the neighbour's target on the node that stays."""
    nc = cluster_nc
    here = {"num_replicas": 1, "placement": {"tags": ["n0"]}}
    for name in ("IN", "GOOD", "DLQ"):
        await cluster.make_stream(nc, name, [f"{name.lower()}.>"], **here)
    await cluster.make_stream(nc, "OUT", ["out.>"], num_replicas=3)
    tap = WireTap()
    routes = [route(source={"ack-wait": "30s"}), route("good", targets=[{"subject": "good.x"}])]
    gateway = await run_gateway({"nats": {"servers": [cluster.nodes["n0"].url]}, "routes": routes})
    stats, good = gateway.stats("r"), gateway.stats("good")

    publishing = asyncio.create_task(publish(nc, 0, EVENTS))
    for request in ("STREAM.LEADER.STEPDOWN.OUT", "CONSUMER.LEADER.STEPDOWN.IN.gateway-r"):
        await api(nc, request)
        await elected(nc, "STREAM.INFO.OUT")
    await publishing
    await eventually(lambda: stats.outcomes["published"] == EVENTS, LONG)

    await tap.listen(nc, "good.x")
    for name in ("n1", "n2"):
        cluster.nodes[name].kill()
    await eventually(lambda: nc.is_connected)
    await publish(nc, EVENTS, EVENTS + 50)
    await eventually(lambda: good.outcomes["published"] == EVENTS + 50, what="the neighbour goes on without a quorum")
    codes = ("timeout", "no-responders", "no-leader", "unavailable")
    await eventually(lambda: stats.circuit_open and stats.code in codes, what="the target is held")
    assert stats.up
    assert (stats.outcomes["published"], stats.outcomes["dead_lettered"]) == (EVENTS, 0)
    await cluster.start_again()
    await eventually(
        lambda: stats.outcomes["published"] == EVENTS + 50, timeout=LONG, what="it goes on when the quorum is back"
    )
    await settled(nc)
    await elected(nc, "STREAM.INFO.OUT")
    everything: dict[Any, int] = dict.fromkeys(range(EVENTS + 50), 1)
    assert Counter(message.json for message in await read_stream(nc, "OUT")) == everything
    assert Counter(message.json for message in await read_stream(nc, "GOOD")) == everything
    assert await count(nc, "DLQ") == 0
    # The sweep tells of it, a tenth of a second later.
    await eventually(lambda: not stats.circuit_open and not stats.code, what="the target takes events again")


async def test_a_copy_that_waits_for_a_majority_is_not_refused(
    cluster: Cluster, cluster_nc: Client, run_gateway: RunGateway, route: Route
) -> None:
    """The leader, alone, has no majority for it, and answers its repetition with "in process" (10158).

    Taken for a refusal, it would bring the route down, or with a templated subject end in the dead letters.
    """
    await cluster.make_stream(cluster_nc, "IN", ["in.>"])
    await cluster.make_stream(cluster_nc, "OUT", ["out.>"], num_replicas=3)
    node = await cluster.leader(cluster_nc, "IN")
    await lead(cluster, cluster_nc, "OUT", node)
    targets = [{"name": "out", "subject": "out.all", "stream": "OUT"}]
    routes = [route(targets=targets, source={"ack-wait": "30s"})]
    nc = await connected(node.url)
    async with Proxy(node.port) as proxy:
        # In the status it may be followed by another word, of a leader that has noticed that it is alone.
        proxy.watch("had", lambda frame: not frame.upward and b"10158" in frame.payload)
        gateway = await run_gateway({"nats": {"servers": [proxy.url]}, "routes": routes})
        stats = gateway.stats()
        await nc.jetstream().publish("in.event", b"{}")
        await settled(nc)
        with stopped([other for other in cluster.nodes.values() if other is not node]):
            await asyncio.gather(*(nc.jetstream().publish("in.event", b"{}") for _ in range(COPIES)))
            await eventually(lambda: proxy.passed["had"], what="the leader's word that it has the copies already")
            await eventually(lambda: stats.circuit_open and stats.code)
            assert stats.state == "up"
        await settled(nc, timeout=LONG)
        await gateway.stop()
    assert (stats.outcomes["published"], stats.retries["refused"]) == (COPIES + 1, 0)
    await eventually(lambda: holds(nc, "OUT", COPIES + 1), what="each copy once")
    await nc.close()


async def lead(cluster: Cluster, nc: Client, stream: str, node: EmbeddedServer) -> None:
    """Have a node lead a stream."""

    async def leads() -> bool:
        leader = await cluster.leader(nc, stream)
        if leader is not node:
            await api(nc, f"STREAM.LEADER.STEPDOWN.{stream}")
        return leader is node

    await eventually(leads, LONG, f"a leader of {stream}", interval=0.3)


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
