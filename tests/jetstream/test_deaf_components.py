"""Components whose `open` or `close` survives its cancellation: the route says so, and neither start nor end hangs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from typing import ClassVar

import pytest
from nats.aio.client import Client
from nats.js import JetStreamContext

from gateway import Event, Filter
from tests.jetstream.conftest import Route, RunGateway
from tests.support.arrivals import arrived, settled
from tests.support.eventually import eventually

pytestmark = pytest.mark.usefixtures("streams")


@pytest.fixture(autouse=True)
def _short_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.runtime.opening.OPEN_LIMIT", 0.1)
    monkeypatch.setattr("gateway.runtime.opening.GRACE", 0.1)


@pytest.fixture(autouse=True)
def _let_go(run_gateway: RunGateway) -> Iterator[None]:
    """A test that fails before it opens its gate would never end."""
    yield
    for component in (DeafOpen, DeafClose):
        if "gate" in vars(component):
            component.gate.set()


async def _wait(gate: asyncio.Event) -> None:
    while not gate.is_set():
        try:
            await gate.wait()
        except asyncio.CancelledError:
            continue


class DeafOpen(Filter, name="deaf-open"):
    """Opens once somebody opens the gate."""

    gate: ClassVar[asyncio.Event]
    inside: ClassVar[int]
    together: ClassVar[int]

    def prepare(self) -> None:
        DeafOpen.gate, DeafOpen.inside, DeafOpen.together = asyncio.Event(), 0, 0

    async def open(self) -> None:
        DeafOpen.inside += 1
        DeafOpen.together = max(DeafOpen.together, DeafOpen.inside)
        await _wait(self.gate)
        DeafOpen.inside -= 1

    def accepts(self, event: Event) -> bool:
        return True


async def test_an_open_that_survives_its_cancellation_is_the_route_s_reason_and_never_called_twice_at_a_time(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route, caplog: pytest.LogCaptureFixture
) -> None:
    """Without a reason the daemon would never say that it has started."""
    gateway = await run_gateway({"routes": [route(filters=["deaf-open"]), route("good")]}, DeafOpen, wait=False)
    await asyncio.wait_for(gateway.app.settled(), 30)
    stats = await gateway.down("open-failed", "r")
    assert "deaf-open: open does not end, although it was cancelled after 0.1 s (plugin test)" in caplog.text
    await eventually(lambda: stats.reason == "deaf-open: an earlier call does not end (plugin test)")
    DeafOpen.gate.set()
    await gateway.up()
    assert DeafOpen.together == 1
    await js.publish("in.a", b"1")
    await arrived(nc, "OUT", 2)
    await settled(nc)


class DeafClose(Filter, name="deaf-close"):
    """Closes once somebody opens the gate."""

    gate: ClassVar[asyncio.Event]

    def prepare(self) -> None:
        DeafClose.gate = asyncio.Event()

    async def close(self) -> None:
        await _wait(self.gate)

    def accepts(self, event: Event) -> bool:
        return True


async def test_a_close_that_survives_its_cancellation_does_not_keep_the_gateway_from_ending(
    run_gateway: RunGateway, route: Route, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR, "gateway.route")
    gateway = await run_gateway({"routes": [route(filters=["deaf-close"])]}, DeafClose)
    await asyncio.wait_for(gateway.stop(), 30)
    DeafClose.gate.set()
    (told,) = [record.__dict__ for record in caplog.records if record.__dict__.get("event") == "component.close-failed"]
    assert (told["component"], told["plugin"]) == ("deaf-close", "test")


class Twin(Filter, name="twin"):
    """Equal to every other one."""

    opened: ClassVar[int] = 0

    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = None  # type: ignore[assignment]

    def open(self) -> None:
        Twin.opened += 1

    def accepts(self, event: Event) -> bool:
        return True


async def test_components_that_call_themselves_equal_are_both_opened(run_gateway: RunGateway, route: Route) -> None:
    Twin.opened = 0
    await run_gateway({"routes": [route(filters=["twin", "twin"])]}, Twin)
    assert Twin.opened == 2
