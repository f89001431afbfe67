"""A component that blocks the event loop stops every route; the log says which one it is, and where."""

from __future__ import annotations

import logging
import re
import time
from typing import Any

import pytest
from nats.aio.client import Client
from nats.js import JetStreamContext

from gateway import Event, Filter, Transform
from tests.jetstream.conftest import Route, RunGateway
from tests.support.arrivals import arrived
from tests.support.logged import logged

pytestmark = pytest.mark.usefixtures("streams")


class Sleeper(Filter, name="sleeper"):
    """Sleeps where it should wait."""

    def accepts(self, event: Event) -> bool:
        time.sleep(0.6)
        return True


class Greedy(Transform, name="greedy"):
    """Computes in C, where no other thread gets a turn before it returns."""

    def apply(self, event: Event) -> Event:
        deadline = time.monotonic() + 0.6
        while time.monotonic() < deadline:
            sum(range(20_000_000))
        return event


class Pretender(Filter, name="pretender"):
    """Async by its signature only."""

    async def accepts(self, event: Event) -> bool:
        time.sleep(0.6)  # noqa: ASYNC251 - the fault to be found
        return True


def accused(caplog: pytest.LogCaptureFixture) -> list[Any]:
    """The lines that say who blocks the loop; that a busy host gave us no processor is another matter."""
    return [record for record in logged(caplog, "loop.blocked") if "code" not in record.__dict__]


@pytest.mark.parametrize(("kind", "component"), [("filters", Sleeper), ("transforms", Greedy), ("filters", Pretender)])
@pytest.mark.fault("blocking-component")
async def test_a_component_that_blocks_the_loop_is_named_with_its_plugin_route_and_place(
    nc: Client,
    js: JetStreamContext,
    run_gateway: RunGateway,
    route: Route,
    caplog: pytest.LogCaptureFixture,
    kind: str,
    component: type[Filter] | type[Transform],
) -> None:
    caplog.set_level(logging.WARNING, "gateway.plugins")
    await run_gateway({"routes": [route(name="slow", **{kind: [component.name]})]}, component)
    sent = 0
    # A process that gets less than a quarter of a processor cannot be told from one that stands still.
    while sent < 50 and not accused(caplog):
        sent += 1
        await js.publish("in.a", b"{}")
        await arrived(nc, "OUT", sent)
    await js.publish("in.a", b"{}")
    await arrived(nc, "OUT", sent + 1)
    told = accused(caplog)
    assert len(told) == 1, "once, however often it happens within a minute"
    said = told[0].__dict__
    assert (said["plugin"], said["route"], said["component"]) == ("test", "slow", component.name)
    assert re.search(r"test_blocking_components\.py:\d+$", said["where"])
    assert f"{component.name}.{'apply' if component is Greedy else 'accepts'} of route slow" in said["message"]


async def test_a_gateway_that_is_merely_busy_accuses_nobody(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "gateway.plugins")
    await run_gateway({"routes": [route(transforms=[{"set": {"a": 1}}])]})
    for _ in range(3000):
        await nc.publish("in.a", b"{}")
    await js.publish("in.a", b"{}")
    await arrived(nc, "OUT", 3001)
    assert accused(caplog) == []
