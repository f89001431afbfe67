"""A JetStream domain: of the server itself, and of a leaf node while the gateway is connected to the hub."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from nats.aio.client import Client

from gateway.cli.permissions import server_config
from gateway.jetstream.permissions import Only
from gateway.jetstream.server import EmbeddedServer, free_port
from tests.jetstream.test_permissions import config, needed, prepare, use_everything, violations
from tests.support.eventually import eventually
from tests.support.running import RunningGateway, read_config, registry_with
from tests.support.secured import Servers, client, gateway


def leaf_of(hub_port: int) -> str:
    """The config of a leaf node whose JetStream is a domain of its own."""
    return f"""
    server_name: leaf
    jetstream {{ domain: leaf }}
    leafnodes {{ remotes: [ {{ urls: ["nats://all:all@127.0.0.1:{hub_port}"] }} ] }}
    """


@asynccontextmanager
async def through(settings: dict[str, Any]) -> AsyncIterator[RunningGateway]:
    """A gateway that is up."""
    running = RunningGateway({"http": "off", "drain": "5s", **settings})
    await running.start()
    try:
        await running.up()
        yield running
    finally:
        await running.stop()


async def linked(nc: Client, leaf: EmbeddedServer) -> None:
    """Wait until the hub reaches the leaf's JetStream."""

    async def answers() -> bool:
        message = await nc.request("$JS.leaf.API.INFO", timeout=1)
        return b'"domain":"leaf"' in message.data

    async def tried() -> bool:
        try:
            return await answers()
        except Exception as error:
            raise AssertionError(str(error)) from error

    await eventually(tried, what=f"the hub knows of the leaf at {leaf.url}")


@pytest.mark.parametrize("flag", [False, True], ids=["short-acks", "long-acks"])
async def test_streams_in_the_domain_of_a_leaf_node_are_routed_from_the_hub(servers: Servers, flag: bool) -> None:
    """Routes, dead letters, buckets, audits and acks cross the leaf node, under the permissions that are printed."""
    port = free_port()
    acks = Only.LONG_ACKS if flag else Only.SHORT_ACKS
    flags = "feature_flags { js_ack_fc_v2: true }" if flag else ""
    parsed = config("nats://127.0.0.1:4222", domain="leaf")
    found = needed(parsed, acks, Only.BEYOND)
    printed = server_config(read_config(parsed, registry_with([])), found, [])
    hub = servers.start(f"""
    server_name: hub
    jetstream {{ domain: hub }}
    leafnodes {{ listen: "127.0.0.1:{port}" }}
    authorization {{ users: [ {{ user: all, password: all }}, {{ user: gw, password: gw, {printed} }} ] }}
    no_auth_user: all
    {flags}
    """)
    leaf = servers.start(f"{leaf_of(port)}\n{flags}")
    parsed["nats"]["servers"] = [hub.url.replace("//", "//gw:gw@")]
    async with client(leaf.url) as nc, client(hub.url) as outside:
        await linked(outside, leaf)
        await prepare(nc, nc.jetstream())
        async with through(parsed) as running:
            await use_everything(nc, nc.jetstream(), running)
        assert violations(hub) == []


async def test_a_domain_that_is_not_there_is_said_and_waited_for(
    servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.jetstream.api.TIMEOUT", 0.5)
    server = servers.start("jetstream { domain: hub }")
    async with gateway({"servers": [server.url], "domain": "nowhere"}, wait=False) as running:
        stats = await running.down("jetstream-unavailable")
        assert "the domain nowhere" in stats.reason
