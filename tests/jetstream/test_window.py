"""What is in flight is bounded, in events and in bytes; the rate holds back; an event above all bounds still passes."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Sequence
from typing import ClassVar

import pytest
from nats.aio.client import Client
from nats.js import JetStreamContext

from gateway import Audit, AuditRecord, Event, Filter
from gateway.jetstream.server import EmbeddedServer
from tests.jetstream.conftest import Route, RunGateway
from tests.support.arrivals import arrived, in_flight, settled
from tests.support.eventually import eventually
from tests.support.servers import gateway_url, permissions, restart_with

pytestmark = pytest.mark.usefixtures("streams")

MIB = 1 << 20


class Gate(Filter, name="gate"):
    """Wait until somebody opens the gate; count who is inside."""

    gate: ClassVar[asyncio.Event]
    inside: ClassVar[int]
    most: ClassVar[int]

    def prepare(self) -> None:
        Gate.gate, Gate.inside, Gate.most = asyncio.Event(), 0, 0

    async def accepts(self, event: Event) -> bool:
        Gate.inside += 1
        Gate.most = max(Gate.most, Gate.inside)
        await self.gate.wait()
        Gate.inside -= 1
        return True


async def test_events_in_flight_are_bounded_and_async_steps_run_together(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    gateway = await run_gateway({"routes": [route(filters=["gate"], **{"max-in-flight": 8}, timeout="1m")]}, Gate)
    for number in range(50):
        await nc.publish("in.a", b"%d" % number)
    await eventually(lambda: Gate.inside == 8)
    # The server's own count: what it handed out and nobody settled.
    assert await in_flight(nc) == 8
    assert len(gateway.lane().window.entries) == 8
    Gate.gate.set()
    await arrived(nc, "OUT", 50)
    await settled(nc)
    assert Gate.most == 8


async def test_bytes_in_flight_are_bounded(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    fields = {"filters": ["gate"], "timeout": "1m", "max-in-flight-bytes": "1MiB"}
    gateway = await run_gateway({"routes": [route(**fields)]}, Gate)
    body = b'"' + b"x" * 100_000 + b'"'
    for _ in range(40):
        await js.publish("in.a", body)
    window = gateway.lane().window
    await eventually(lambda: window.size > MIB // 2)
    assert window.size <= MIB
    assert await in_flight(nc) <= 10
    Gate.gate.set()
    await arrived(nc, "OUT", 40)
    await settled(nc)
    assert Gate.most <= 10


async def test_an_event_larger_than_the_window_comes_alone_and_still_passes(
    nats_server: EmbeddedServer, nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    await restart_with(nats_server, nc, "max_payload: 8388608")
    fields = {"codec": "raw", "max-in-flight-bytes": "1MiB", "source": {"ack-wait": "30s"}}
    sizes = [10, 5 * MIB, 200_000, 5 * MIB, 3 * MIB, 10, 10, 2 * MIB, 900_000, 10]
    for size in sizes:
        await js.publish("in.a", b"x" * size)
    gateway = await run_gateway({"routes": [route(**fields)]})
    messages = await arrived(nc, "OUT", len(sizes))
    assert sorted(len(message.data) for message in messages) == sorted(sizes)
    await settled(nc)
    assert gateway.stats().redeliveries == 0
    await js.publish("in.a", b"x" * (6 * MIB))
    await arrived(nc, "OUT", len(sizes) + 1)


async def test_a_rate_holds_back_without_a_redelivery(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    for number in range(100):
        await nc.publish("in.a", b"%d" % number)
    began = time.monotonic()
    gateway = await run_gateway({"routes": [route(rate="20/s", source={"ack-wait": "4s"})]})
    await arrived(nc, "OUT", 100)
    took = time.monotonic() - began
    assert 4.0 < took < 20, "100 events at 20 a second, the first ones at once"
    await settled(nc)
    assert gateway.stats().redeliveries == 0


async def test_a_backlog_is_worked_off_quickly_through_a_small_window(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    for number in range(2_000):
        await nc.publish("in.a", b"%d" % number)
    await run_gateway({"routes": [route(**{"max-in-flight": 1})]})
    messages = await arrived(nc, "OUT", 2_000)
    assert [message.json for message in messages] == list(range(2_000)), "one at a time keeps the order"
    await settled(nc)


class Slow(Audit, name="slow"):
    """Keep every event in flight until somebody opens the gate."""

    gate: ClassVar[asyncio.Event]

    def prepare(self) -> None:
        Slow.gate = asyncio.Event()

    async def record(self, records: Sequence[AuditRecord]) -> None:
        await self.gate.wait()


async def test_what_splits_make_of_events_counts_as_in_flight_too(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    """Events of 1 KB that become 50 KB each: the bytes bound the copies, not only what was delivered."""
    for number in range(40):
        body = json.dumps({"n": number, "items": list(range(50)), "note": "x" * 800})
        await nc.publish("in.a", body.encode())
    fields = {"transforms": [{"split": "items"}], "audits": ["slow"], "timeout": "1m", "source": {"ack-wait": "30s"}}
    gateway = await run_gateway({"routes": [route(**fields, **{"max-in-flight-bytes": "256KiB"})]}, Slow)
    window = gateway.lane().window
    await eventually(lambda: window.split > 256 << 10)
    begun = len([entry for entry in window.entries.values() if entry.copies])
    assert begun < 8, "the rest waits as it came"
    assert window.split < (256 + 64) << 10, "one event more than the limit at most"
    Slow.gate.set()
    await arrived(nc, "OUT", 40 * 50)
    await settled(nc)
    assert (window.size, window.split) == (0, 0)


class Doors(Filter, name="doors"):
    """Each event waits for its own door, named by its body."""

    doors: ClassVar[dict[str, asyncio.Event]]

    def prepare(self) -> None:
        Doors.doors = {}

    async def accepts(self, event: Event) -> bool:
        await self.doors.setdefault(event.body, asyncio.Event()).wait()
        return True


async def test_events_that_end_while_their_stream_is_looked_at_do_not_take_the_route_down(
    nats_server: EmbeddedServer,
    nc: Client,
    js: JetStreamContext,
    run_gateway: RunGateway,
    route: Route,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """After a long hold the first one has the source looked at; the next ones wait for what that finds."""
    monkeypatch.setattr("gateway.jetstream.api.TIMEOUT", 0.7)
    # Each look takes two time-outs: nobody tells us which streams take a subject.
    await restart_with(nats_server, nc, permissions('publish: { deny: ["$JS.API.STREAM.NAMES"] }'))
    fields = {"filters": ["doors"], "timeout": "1m", "max-in-flight": 2, "source": {"ack-wait": "30s"}}
    url = gateway_url(nats_server)
    gateway = await run_gateway({"nats": {"servers": [url]}, "routes": [route(**fields)]}, Doors)
    for name in ("first", "second"):
        await js.publish("in.a", f'"{name}"'.encode())
    await eventually(lambda: len(Doors.doors) == 2 and not gateway.lane()._source.watched)
    caplog.set_level(logging.DEBUG, "gateway.route")
    Doors.doors["first"].set()
    await arrived(nc, "OUT", 1)
    assert await in_flight(nc) == 2, "it is being looked at"
    Doors.doors["second"].set()
    await arrived(nc, "OUT", 2)
    await settled(nc)
    await eventually(lambda: gateway.stats().up)
    assert not [record for record in caplog.records if getattr(record, "event", "") in ("route.down", "route.up")]
