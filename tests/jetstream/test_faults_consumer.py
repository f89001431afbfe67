"""What somebody else can do to a durable: delete it, change it, pause it, have it strand events."""

from __future__ import annotations

import asyncio
import logging
import shutil
import time
from pathlib import Path
from typing import Any

import pytest
from nats.aio.client import Client
from nats.js import JetStreamContext

from gateway.jetstream import source as source_module
from gateway.jetstream.api import REMOVAL
from gateway.jetstream.consumers import Durable
from gateway.jetstream.server import EmbeddedServer
from gateway.runtime import gateway as gateway_module
from tests.jetstream.conftest import Route, RunGateway
from tests.support.arrivals import arrived, in_flight, settled
from tests.support.eventually import eventually
from tests.support.logged import logged
from tests.support.servers import restart_with
from tests.support.streams import api, change_stream, consumer_state, make_stream

pytestmark = pytest.mark.usefixtures("streams", "quick_looks")

HELD: dict[str, Any] = {"targets": [{"subject": "full.x", "name": "out"}]}


@pytest.fixture
def quick_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Consumers are looked at ten times a second instead of every five seconds."""
    monkeypatch.setattr(gateway_module, "POLL_PENDING", 0.1)
    monkeypatch.setattr(source_module, "HEARTBEAT", 0.5)


@pytest.fixture
async def full(nc: Client, js: JetStreamContext) -> None:
    """FULL takes nothing until it is given room."""
    await make_stream(nc, "FULL", ["full.>"], max_msgs=1, discard="new")
    await js.publish("full.old", b"0")


async def change(nc: Client, **fields: Any) -> None:
    """Change the route's durable as an operator does."""
    config = (await consumer_state(nc, "IN", "gateway-r"))["config"]
    request = {"stream_name": "IN", "config": {**config, **fields}, "action": "update"}
    answer = await api(nc, "CONSUMER.CREATE.IN.gateway-r", request)
    assert "error" not in answer, answer["error"]


async def send(js: JetStreamContext, *numbers: int) -> None:
    for number in numbers:
        await js.publish("in.a", b"%d" % number)


@pytest.mark.fault("consumer-deleted")
@pytest.mark.usefixtures("full")
@pytest.mark.parametrize("start", ["all", "new"])
async def test_a_durable_deleted_over_held_and_waiting_events_loses_none(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route, start: str
) -> None:
    """With `start: new` the one made in its place would begin behind all that the old one had not given out yet."""
    held = route(source={"start": start}, **HELD, **{"max-in-flight": 2})
    gateway = await run_gateway({"routes": [held]})
    await send(js, *range(1, 7))
    await eventually(lambda: gateway.stats().circuit_open and gateway.stats().ack_pending == 2)
    await api(nc, "CONSUMER.DELETE.IN.gateway-r")
    await change_stream(nc, "FULL", max_msgs=-1)
    assert sorted(message.json for message in await arrived(nc, "FULL", 7)) == list(range(7))
    await settled(nc)
    assert gateway.stats().up


@pytest.mark.fault("consumer-deleted")
@pytest.mark.usefixtures("full")
async def test_a_durable_deleted_while_it_is_asked_for_is_not_made_without_its_position(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether the server stores it is asked by a request that would make one where there is none."""
    request, asked, deleted = Durable._request, 0, asyncio.Event()

    async def third_comes_late(durable: Durable, action: str, config: dict[str, Any]) -> dict[str, Any]:
        nonlocal asked
        asked += 1
        if asked == 3:
            await deleted.wait()
        return await request(durable, action, config)

    monkeypatch.setattr(Durable, "_request", third_comes_late)
    held = route(source={"start": "new"}, **HELD, **{"max-in-flight": 2})
    gateway = await run_gateway({"routes": [held]})
    await send(js, *range(1, 7))
    await eventually(lambda: gateway.stats().circuit_open and asked == 3)
    await api(nc, "CONSUMER.DELETE.IN.gateway-r")
    deleted.set()
    await change_stream(nc, "FULL", max_msgs=-1)
    assert sorted(message.json for message in await arrived(nc, "FULL", 7)) == list(range(7))
    await settled(nc)


@pytest.mark.fault("consumer-deleted")
@pytest.mark.parametrize("how", ["deleted", "not stored"])
async def test_a_durable_that_goes_while_its_route_opens_for_the_first_time_is_made_where_it_stood(
    nc: Client,
    js: JetStreamContext,
    nats_server: EmbeddedServer,
    run_gateway: RunGateway,
    route: Route,
    monkeypatch: pytest.MonkeyPatch,
    how: str,
) -> None:
    """What came since the first one was made is new, too."""
    request, asked = Durable._request, 0

    async def gone_before_the_second(durable: Durable, action: str, config: dict[str, Any]) -> dict[str, Any]:
        nonlocal asked
        asked += 1
        if asked == 2:
            await send(js, 1)
            if how == "deleted":
                await api(nc, "CONSUMER.DELETE.IN.gateway-r")
            else:
                shutil.rmtree(folder_of(nats_server.store_dir))
        return await request(durable, action, config)

    monkeypatch.setattr(Durable, "_request", gone_before_the_second)
    await send(js, 0)
    await run_gateway({"routes": [route(source={"start": "new"})]})
    assert [message.json for message in await arrived(nc, "OUT", 1)] == [1]
    await settled(nc)


@pytest.mark.fault("consumer-deleted")
async def test_with_start_new_a_stream_made_anew_under_a_running_route_is_read_from_its_beginning(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    """All that is in it is newer than the route."""
    await send(js, 1)
    gateway = await run_gateway({"routes": [route(source={"start": "new"})]})
    await send(js, 2)
    await arrived(nc, "OUT", 1)
    await api(nc, "STREAM.DELETE.IN")
    await eventually(lambda: not gateway.stats().up)
    await make_stream(nc, "IN", ["in.>"])
    await send(js, 3)
    assert [message.json for message in await arrived(nc, "OUT", 2)] == [2, 3]


def folder_of(store: Path, durable: str = "gateway-r") -> Path:
    """Where the server keeps a durable of IN."""
    return store / "jetstream" / "$G" / "streams" / "IN" / "obs" / durable


@pytest.mark.fault("consumer-deleted")
async def test_a_durable_made_in_place_of_a_deleted_one_is_there_after_a_restart_of_the_server(
    nc: Client, js: JetStreamContext, nats_server: EmbeddedServer, run_gateway: RunGateway, route: Route
) -> None:
    """The server says that one is deleted before it removes its folder, and would remove one made meanwhile with it."""
    gateway = await run_gateway({"routes": [route(source={"start": "new"})]})
    await send(js, 1)
    await arrived(nc, "OUT", 1)
    began = time.monotonic()
    await api(nc, "CONSUMER.DELETE.IN.gateway-r")
    await send(js, 2)
    await arrived(nc, "OUT", 2)
    assert time.monotonic() - began > REMOVAL
    assert (folder_of(nats_server.store_dir) / "meta.inf").exists()
    await gateway.stop()
    await restart_with(nats_server, nc, "")
    await send(js, 3)
    await run_gateway({"routes": [route(source={"start": "new"})]})
    assert [message.json for message in await arrived(nc, "OUT", 3)] == [1, 2, 3]


@pytest.mark.fault("consumer-deleted")
async def test_a_durable_that_the_server_has_made_and_does_not_store_is_made_again(
    nc: Client,
    js: JetStreamContext,
    nats_server: EmbeddedServer,
    run_gateway: RunGateway,
    route: Route,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The removal of one deleted before may come late; nothing but a restart would show what it took."""
    await run_gateway({"routes": [route(source={"start": "new"})]})
    folder = folder_of(nats_server.store_dir)
    shutil.rmtree(folder)
    await eventually((folder / "meta.inf").exists)
    assert len(logged(caplog, "durable.not-stored")) == 1
    await send(js, 1)
    await arrived(nc, "OUT", 1)
    await settled(nc)


@pytest.mark.fault("consumer-changed")
@pytest.mark.usefixtures("full")
async def test_an_ack_wait_lowered_under_a_held_event_is_kept_up_with(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route, caplog: pytest.LogCaptureFixture
) -> None:
    """Signs of progress at half of the old ack-wait would come after the server has given the event away."""
    gateway = await run_gateway({"routes": [route(source={"ack-wait": "30s"}, **HELD)]})
    await send(js, 1)
    stats = gateway.stats()
    await eventually(lambda: stats.circuit_open and stats.ack_pending == 1)
    await change(nc, ack_wait=1_000_000_000)
    await eventually(lambda: "ack-wait is 1s, the config says 30s" in caplog.text)

    def soon() -> bool:
        (entry,) = gateway.lane().window.entries.values()
        return entry.progress_due - time.monotonic() <= 0.5

    await eventually(soon)
    await change_stream(nc, "FULL", max_msgs=-1)
    await arrived(nc, "FULL", 2)
    await settled(nc)


@pytest.mark.fault("consumer-changed")
async def test_other_filters_and_limits_are_reported_and_left_as_they_are(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route, caplog: pytest.LogCaptureFixture
) -> None:
    """Only `manage: update` changes a durable; what it skips now never comes later."""
    gateway = await run_gateway({"routes": [route()]})
    stats = gateway.stats()
    await change(nc, filter_subjects=["in.b"], max_ack_pending=5)
    await eventually(lambda: stats.code == "durable-differs")
    assert "subjects are in.b, the config says in.>" in stats.reason
    assert "max-ack-pending is 5" in stats.reason
    assert stats.up
    assert len(logged(caplog, "durable.differs")) == 1
    await change(nc, filter_subjects=["in.>"], max_ack_pending=20_000)
    await eventually(lambda: stats.code == "")


@pytest.mark.fault("consumer-paused")
async def test_a_paused_durable_is_no_mystery(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route, caplog: pytest.LogCaptureFixture
) -> None:
    """Everything looks well but for a backlog that grows; when the pause is over, that is told, too."""
    caplog.set_level(logging.INFO, "gateway.route")
    gateway = await run_gateway({"routes": [route()]})
    stats = gateway.stats()
    await api(nc, "CONSUMER.PAUSE.IN.gateway-r", {"pause_until": "2999-01-01T00:00:00Z"})
    await eventually(lambda: stats.code == "durable-paused")
    assert "is paused until 2999-01-01T00:00:00" in stats.reason
    await send(js, 1)
    await eventually(lambda: stats.pending == 1)
    assert stats.up
    await api(nc, "CONSUMER.PAUSE.IN.gateway-r", {})
    await arrived(nc, "OUT", 1)
    await eventually(lambda: stats.code == "")
    assert [r.__dict__["event"] for r in caplog.records if r.levelno == logging.WARNING] == ["durable.paused"]
    (over,) = logged(caplog, "source.healed")
    assert over.getMessage().startswith("no longer: the durable gateway-r is paused until 2999")


@pytest.mark.fault("consumer-gives-up")
async def test_a_durable_that_gives_events_up_is_said_so_loudly(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route, caplog: pytest.LogCaptureFixture
) -> None:
    """The server would strand an event without a word to the gateway; every look at the route says that it may."""
    gateway = await run_gateway({"routes": [route()]})
    stats = gateway.stats()
    await change(nc, max_deliver=1)
    await eventually(lambda: stats.code == "durable-gives-up")
    assert "gives an event up after 1 deliveries (max_deliver)" in stats.reason
    assert len(logged(caplog, "durable.gives-up")) == 1
    await change(nc, max_deliver=-1)
    await eventually(lambda: stats.code == "")


@pytest.mark.fault("parked-event-removed")
async def test_a_parked_event_that_its_stream_has_lost_is_not_counted_for_ever(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    """Purged or aged out, it never comes again to be settled."""
    for name in ("OUT", "DLQ"):
        await change_stream(nc, name, max_msg_size=600)
    gateway = await run_gateway({"routes": [route(codec="raw")]})
    stats = gateway.stats()
    await js.publish("in.a", b"x" * 1000)
    await eventually(lambda: stats.parked == 1)
    assert await in_flight(nc) == 1
    await api(nc, "STREAM.PURGE.IN")
    await eventually(lambda: stats.parked == 0)
    assert not gateway.lane().window.history
