"""Routes that ask for what an old server does not know."""

from __future__ import annotations

from typing import Any

import pytest
from nats.aio.client import Client, ServerVersion

from gateway.jetstream.source import JetStreamSource
from gateway.jetstream.wire import Wire
from tests.jetstream.conftest import Route, RunGateway
from tests.support.streams import api


@pytest.fixture(autouse=True)
async def _streams(streams: None) -> None:
    """All have them."""


@pytest.mark.parametrize(
    ("version", "config", "reason"),
    [
        ((2, 10), {"ordering": "strict"}, "ordered routes need nats-server 2.11 or later, this is 2.10"),
        (
            (2, 9),
            {"source": {"subjects": ["in.a", "in.b"]}},
            "several source.subjects need nats-server 2.10 or later, this is 2.9",
        ),
    ],
)
async def test_a_server_that_is_too_old_gets_no_durable(
    nc: Client,
    run_gateway: RunGateway,
    route: Route,
    monkeypatch: pytest.MonkeyPatch,
    version: tuple[int, int],
    config: dict[str, Any],
    reason: str,
) -> None:
    """It would make another one, and say nothing."""
    monkeypatch.setattr(JetStreamSource, "_server", version)
    gateway = await run_gateway({"routes": [route(**config)]}, wait=False)
    assert (await gateway.down("server-too-old")).reason.startswith(reason)
    assert "error" in await api(nc, "CONSUMER.INFO.IN.gateway-r")


async def test_a_route_that_asks_for_nothing_new_runs_on_an_old_server(
    run_gateway: RunGateway, route: Route, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(JetStreamSource, "_server", (2, 9))
    gateway = await run_gateway({"routes": [route()]})
    assert gateway.stats().up


@pytest.mark.parametrize("called", ["", "main-1f3a", "2.x"])
async def test_a_server_that_says_no_release_is_taken_for_a_good_one(
    run_gateway: RunGateway, route: Route, monkeypatch: pytest.MonkeyPatch, called: str
) -> None:
    """A build of somebody's own; a durable that differs is told all the same."""
    monkeypatch.setattr(Wire, "connected_server_version", ServerVersion(called))
    gateway = await run_gateway({"routes": [route(source={"subjects": ["in.a", "in.b"]})]})
    assert gateway.stats().up
