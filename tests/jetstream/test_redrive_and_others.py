"""Redrive beside others: two at once, letters that go meanwhile, a target that may not be read, a route that heals."""

from __future__ import annotations

import asyncio

import pytest
from nats.aio.client import Client

from gateway.errors import ConnectionGone
from gateway.jetstream.server import EmbeddedServer
from tests.jetstream.conftest import Route
from tests.jetstream.test_redrive import Bad, sent_before
from tests.support.eventually import eventually
from tests.support.letters import Heard, body_of, headers_of, numbers, send_again, write_letters
from tests.support.servers import gateway_url, permissions, restart_with
from tests.support.streams import api, change_stream, count, make_stream, read_stream

pytestmark = pytest.mark.usefixtures("streams")


async def test_a_letter_that_went_meanwhile_is_not_sent(nats_server: EmbeddedServer, nc: Client, route: Route) -> None:
    """It was read long before its turn; who removed it may have sent its event, and no duplicate window is for ever."""
    await write_letters(nc, 60)
    heard: list[Heard] = []
    work = asyncio.create_task(send_again(nats_server.url, {"routes": [route()]}, rate=15.0, heard=heard))
    await eventually(lambda: heard and heard[0].done and heard[0].done[-1] >= 2)
    await api(nc, "STREAM.PURGE.DLQ", {"seq": 61})
    redriven = await asyncio.wait_for(work, 30)
    assert redriven.good
    assert redriven.tally.gone == 60 - redriven.tally.published
    assert redriven.tally.published < 45, "those handed over within seconds of their reading"


async def test_two_at_once_send_every_event_once(nats_server: EmbeddedServer, nc: Client, route: Route) -> None:
    """However short the target's window is beside the time the letters take."""
    await change_stream(nc, "OUT", duplicate_window=3_000_000_000)
    await write_letters(nc, 80)
    first, second = await asyncio.gather(
        send_again(nats_server.url, {"routes": [route()]}, rate=20.0),
        send_again(nats_server.url, {"routes": [route()]}, rate=10.0),
    )
    assert sorted(numbers(await read_stream(nc, "OUT"))) == list(range(1, 81))
    assert await count(nc, "DLQ") == 0
    assert (first.good, second.good) == (True, True)
    assert second.tally.gone > 0


async def test_a_target_that_may_not_be_read_keeps_the_letter_and_says_so(
    nats_server: EmbeddedServer, nc: Client, route: Route
) -> None:
    """Only of what it calls a duplicate; nobody waits for a permission."""
    await write_letters(nc, 2)
    await sent_before(nats_server, nc, {"routes": [route()]}, 2)
    await restart_with(nats_server, nc, permissions('publish: { deny: ["$JS.API.STREAM.MSG.GET.OUT"] }'))
    redriven = await asyncio.wait_for(send_again(gateway_url(nats_server), {"routes": [route()]}), 30)
    assert redriven.tally.kept == {"unreadable": 1}
    assert numbers(await read_stream(nc, "DLQ")) == [2]


async def test_a_route_that_was_given_up_stays_given_up(nats_server: EmbeddedServer, nc: Client, route: Route) -> None:
    """Its letters are counted as kept by then; whoever reads that finds them in the stream."""
    await write_letters(nc, 60)
    await write_letters(nc, 3, first=61, gateway_route="two")
    targets = [{"name": "out", "subject": "late.it"}]
    heard: list[Heard] = []
    work = asyncio.create_task(
        send_again(
            nats_server.url,
            {"routes": [route(), route("two", targets=targets)]},
            rate=8.0,
            patience=1.0,
            heard=heard,
        )
    )
    await eventually(lambda: heard and heard[0].done and heard[0].done[-1] >= 15, what="counted as kept")
    await make_stream(nc, "LATE", ["late.>"])
    redriven = await asyncio.wait_for(work, 30)
    assert (redriven.tally.done, redriven.tally.kept) == (63, {"no-stream": 3})
    assert (await count(nc, "LATE"), await count(nc, "DLQ")) == (0, 3)


async def test_a_letter_that_can_have_no_next_one_stays_for_the_reason_it_failed(
    nats_server: EmbeddedServer, nc: Client, route: Route
) -> None:
    """The route reads its own letters, and this one is a letter of a letter."""
    config = {"routes": [route(filters=["bad"], **{"dead-letter": {"subject": "in.dead"}})]}
    headers = headers_of(1, gateway_original_gateway_error_code="bad")
    await nc.jetstream().publish("in.dead", body_of(1), headers=headers)
    redriven = await send_again(nats_server.url, config, Bad)
    assert redriven.tally.kept == {"bad": 1}
    assert await count(nc, "IN") == 1


async def test_a_server_that_does_not_come_back_ends_it_without_waiting_for_what_is_in_flight(
    nats_server: EmbeddedServer, nc: Client, route: Route
) -> None:
    """Nothing of it can be finished, and who goes on must do so within the targets' duplicate windows."""
    await change_stream(nc, "OUT", max_msgs=5, discard="new")
    await write_letters(nc, 200)
    heard: list[Heard] = []
    config = {"routes": [route()], "drain": "1m"}
    work = asyncio.create_task(send_again(nats_server.url, config, patience=1.0, heard=heard))
    await eventually(lambda: heard and any("cannot take events now" in text for text in heard[0].notices))
    nats_server.kill()
    with pytest.raises(ConnectionGone):
        await asyncio.wait_for(work, 30)
    nats_server.start_blocking()
    await eventually(lambda: nc.is_connected)
    await change_stream(nc, "OUT", max_msgs=-1)
    assert (await send_again(nats_server.url, {"routes": [route()]})).good
    assert sorted(numbers(await read_stream(nc, "OUT"))) == list(range(1, 201))
