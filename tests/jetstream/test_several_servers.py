"""Several servers: some are down, one goes, one says that it is about to go; nothing is lost and nothing is doubled."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import time
from collections.abc import Callable, Iterator

import nats.errors
import pytest
from nats.aio.client import Client

from gateway.jetstream.server import free_port
from tests.support.arrivals import arrived, settled
from tests.support.cluster import Cluster, running_cluster
from tests.support.eventually import LONG, eventually
from tests.support.running import RunningGateway
from tests.support.secured import gateway


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """One for all tests here."""
    yield from running_cluster(tmp_path_factory.mktemp("cluster"))


@pytest.fixture
async def streams(cluster: Cluster, cluster_nc: Client) -> None:
    """IN, OUT and DLQ on all three nodes."""
    await cluster.renew(cluster_nc)
    for name in ("IN", "OUT", "DLQ"):
        await cluster.make_stream(cluster_nc, name, [f"{name.lower()}.>"], num_replicas=3)


async def publish(nc: Client, first: int, last: int) -> None:
    """Publish events through elections and reconnects, each stored once."""
    for number in range(first, last):
        while True:
            try:
                headers = {"Nats-Msg-Id": f"n{number}"}
                await nc.jetstream().publish("in.a", b'{"n": %d}' % number, timeout=2, headers=headers)
                break
            except (nats.errors.Error, OSError):
                await asyncio.sleep(0.05)


def server_of(running: RunningGateway) -> str:
    """Where the gateway is connected."""
    return running.app._edge.connection.wire.server


def settings(cluster: Cluster, *first: str) -> dict[str, object]:
    """Servers that are not there, then the cluster's."""
    return {"servers": [*first, *cluster.urls]}


PARTINGS: dict[str, Callable[[int], None]] = {
    "lame-duck": lambda pid: os.kill(pid, signal.SIGUSR2),
    "killed": lambda pid: os.kill(pid, signal.SIGKILL),
}


@pytest.mark.parametrize("how", PARTINGS)
@pytest.mark.usefixtures("streams")
async def test_a_server_of_a_cluster_goes_and_the_gateway_moves_without_loss(
    cluster: Cluster, cluster_nc: Client, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    """In lame duck mode it moves before it is thrown out: at once, not after the server's two minutes."""
    caplog.set_level(logging.INFO, "gateway")
    own = [{"name": name, "subjects": [f"{name.lower()}.>"], "replicas": 3} for name in ("IN", "OUT", "DLQ")]
    away = f"nats://127.0.0.1:{free_port()}"
    async with gateway(settings(cluster, away), wait=False, streams=own) as running:
        await running.up(timeout=LONG)
        await publish(cluster_nc, 0, 50)
        before = server_of(running)
        node = next(node for node in cluster.nodes.values() if node.url.endswith(before))
        publishing = asyncio.create_task(publish(cluster_nc, 50, 300))
        began = time.monotonic()
        PARTINGS[how](node.pid)
        await eventually(
            lambda: running.app.stats.connected and server_of(running) != before, what="moved to another server"
        )
        if how == "lame-duck":
            assert time.monotonic() - began < 60
            assert "about to go" in caplog.text
        await publishing
        messages = await arrived(cluster_nc, "OUT", 300, timeout=LONG)
        assert sorted(message.json["n"] for message in messages) == list(range(300)), "each once"
        await settled(cluster_nc)
    node.kill()  # one in lame duck mode may still be there


async def test_with_all_servers_down_it_waits_not_ready_and_takes_the_first_that_comes(
    cluster: Cluster, cluster_nc: Client
) -> None:
    """In whatever order they stand."""
    await cluster.renew(cluster_nc)
    for node in cluster.nodes.values():
        node.kill()
    async with gateway(settings(cluster), wait=False) as running:
        await running.down("disconnected")
        await cluster.start_again()
        await running.up(timeout=LONG)
        await publish(cluster_nc, 0, 1)
        await arrived(cluster_nc, "OUT", 1)
