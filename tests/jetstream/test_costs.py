"""What routes cost, told in counts: requests to the server at the start, and bytes held before a target that stands."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg

from gateway.jetstream.server import EmbeddedServer
from gateway.jetstream.source import JetStreamSource
from gateway.runtime import ticks
from gateway.runtime.supervisor import Supervisor
from gateway.runtime.ticks import SELDOM
from gateway.runtime.window import Window
from tests.jetstream.conftest import Route, RunGateway
from tests.support.arrivals import arrived
from tests.support.eventually import eventually
from tests.support.running import RunningGateway
from tests.support.streams import make_stream

pytestmark = pytest.mark.usefixtures("streams")

MIB = 1 << 20
PER_ROUTE = 7
"""Requests a route may send until it is up and was looked at once; each is a round trip on a server far away."""


async def test_a_route_asks_the_server_a_few_things_at_its_start(
    nc: Client, run_gateway: RunGateway, route: Route
) -> None:
    """The durables are there already. What all routes share (the replicas' bucket) does not count."""
    few, many = [await _requests(nc, run_gateway, route, routes) for routes in (2, 12)]
    assert (many.total() - few.total()) / 10 <= PER_ROUTE, (few, many)


async def _requests(nc: Client, run_gateway: RunGateway, route: Route, routes: int) -> Counter[str]:
    """What a start asks, by kind."""
    config = {"routes": [_numbered(route, n) for n in range(routes)]}
    await (await run_gateway(config)).stop()
    asked: Counter[str] = Counter()

    async def heard(message: Msg) -> None:
        asked[".".join(message.subject.split(".")[2:4])] += 1

    subscription = await nc.subscribe("$JS.API.>", cb=heard)
    await nc.flush()
    gateway = await run_gateway(config)

    await eventually(lambda: not gateway.app.edge._doubts._tasks, what="every stream looked at once")
    await nc.flush()
    await subscription.unsubscribe()
    await gateway.stop()
    del asked["CONSUMER.MSG"]  # the pulls
    return asked


def _numbered(route: Route, number: int) -> dict[str, Any]:
    targets = [{"name": "out", "subject": f"out.{number}", "stream": "OUT"}]
    return route(f"r{number}", source={"subjects": [f"in.{number}"], "ack-wait": "30s"}, targets=targets)


@pytest.mark.parametrize("size", [1024, 512_000])
async def test_routes_before_one_full_target_hold_their_windows_and_no_more_also_without_a_server(
    nats_server: EmbeddedServer, nc: Client, run_gateway: RunGateway, route: Route, size: int
) -> None:
    """The backlog of each is twelve windows; the other target of the fan-out takes everything."""
    await make_stream(nc, "FULL", ["full.>"], max_msgs=1, discard="new")
    await nc.jetstream().publish("full.up", b"")
    limits = {"max-in-flight": 256, "max-in-flight-bytes": "1MiB"}
    targets = [{"name": "full", "subject": "full.up"}, {"name": "out", "subject": "out.it"}]
    source = {"ack-wait": "30s"}
    routes = [
        route(f"r{n}", codec="raw", source={**source, "subjects": [f"in.{n}"]}, targets=targets, **limits)
        for n in range(4)
    ]
    gateway = await run_gateway({"routes": routes, "drain": "100ms"})
    windows = [gateway.lane(f"r{n}").window for n in range(4)]
    body = b"x" * size
    for number in range(4 * 12 * min(256, MIB // size)):
        await nc.publish(f"in.{number % 4}", body)
        if number % 100 == 99:
            await nc.flush()
    await nc.flush()
    # Until they are full: another event would not fit.
    await eventually(lambda: all(_full(window, size) for window in windows))
    await _stand_still(gateway, windows)
    nats_server.kill()
    await eventually(lambda: not gateway.app.stats.connected)
    await _stand_still(gateway, windows)
    await nats_server.start()
    await eventually(lambda: gateway.app.stats.connected)
    await _stand_still(gateway, windows)


async def test_a_gateway_that_only_waits_is_woken_seldom_until_an_event_comes(
    nc: Client, run_gateway: RunGateway, route: Route, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And a route that waits beside one at work is not looked after as often as that one."""
    await make_stream(nc, "FULL", ["full.>"], max_msgs=1, discard="new")
    await nc.jetstream().publish("full.up", b"")
    held = route("held", source={"subjects": ["in.held"], "ack-wait": "30s"}, targets=[{"subject": "full.up"}])
    gateway = await run_gateway({"routes": [held, _numbered(route, 1)]})
    pace = gateway.app._gateway.pace
    stirs: list[bool] = []
    pace.stirred.append(lambda: stirs.append(True))
    await eventually(lambda: pace.calm)
    swept: set[float] = set()
    began = time.monotonic()
    await eventually(lambda: swept.add(gateway.app.swept_at) or len(swept) > 5)
    assert time.monotonic() - began > 4 * SELDOM

    monkeypatch.setattr(ticks, "SELDOM", 3600.0)
    swept_at = gateway.app.swept_at
    await eventually(lambda: gateway.app.swept_at > swept_at, what="the last sweep for an hour")
    sweeps: Counter[str] = Counter()
    sweep = Supervisor.sweep

    def counted(supervisor: Supervisor) -> None:
        sweeps[supervisor.route.name] += 1
        sweep(supervisor)

    monkeypatch.setattr(Supervisor, "sweep", counted)
    await nc.jetstream().publish("in.held", b"1")
    await eventually(lambda: sweeps["held"] > 40, what="its target is tried again and again")
    assert stirs == [True]
    assert not pace.calm
    assert 4 < sweeps["r1"] < sweeps["held"] / 2
    await nc.jetstream().purge_stream("FULL")
    await arrived(nc, "FULL", 1)
    await eventually(lambda: pace.calm)


async def _calm_for_long(gateway: RunningGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing but what stirs has the gateway swept again."""
    await eventually(lambda: gateway.app._gateway.pace.calm)
    monkeypatch.setattr(ticks, "SELDOM", 3600.0)
    swept_at = gateway.app.swept_at
    await eventually(lambda: gateway.app.swept_at > swept_at, what="the last sweep for an hour")
    assert gateway.app._gateway.pace.calm


async def test_a_route_opened_anew_is_swept_often_from_then_on(
    nc: Client, run_gateway: RunGateway, route: Route, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It rests no more, so that no event of it could end the calm; and its ack-wait may be a short one now."""
    gateway = await run_gateway({"routes": [_numbered(route, 1)]})
    await _calm_for_long(gateway, monkeypatch)
    gateway.lane().lost.set()
    swept_at = gateway.app.swept_at
    await eventually(lambda: gateway.app.swept_at > swept_at)


async def test_what_was_refused_is_asked_for_again_soon_in_a_calm_too(
    nc: Client, run_gateway: RunGateway, route: Route, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No event can come before that, which would end the calm."""
    monkeypatch.setattr("gateway.jetstream.requests.EXPIRES", 3600.0)
    gateway = await run_gateway({"routes": [_numbered(route, 1)]})
    await _calm_for_long(gateway, monkeypatch)
    source = gateway.lane()._source
    assert isinstance(source, JetStreamSource)
    source._arrived("inbox.0", "", b"NATS/1.0 409 Leadership Change\r\n\r\n", b"")
    assert not source.wanted
    await eventually(lambda: source.wanted)
    await eventually(lambda: gateway.app._gateway.pace.calm)


def _full(window: Window, size: int) -> bool:
    return len(window.entries) > 128 or window.size > MIB - 2 * size


async def _stand_still(gateway: RunningGateway, windows: list[Window]) -> None:
    """Ten sweeps later, each window is within its bounds."""
    swept: set[float] = set()

    def ten_times() -> bool:
        swept.add(gateway.app.swept_at)
        for window in windows:
            # Requests are sized by what is left, in bytes and in events.
            assert window.size <= MIB
            assert len(window.entries) <= 256
            assert len(window.stored) <= 256
        return len(swept) > 10

    await eventually(ten_times)
