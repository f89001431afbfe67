"""Runs of a redrive: cancelled, slowed down, in the way of a full target, a restart, a stream made anew."""

from __future__ import annotations

import asyncio
import time

import pytest
from nats.aio.client import Client
from nats.js import JetStreamContext

from gateway.errors import Retry
from gateway.jetstream.server import EmbeddedServer
from tests.jetstream.conftest import Route
from tests.support.eventually import eventually
from tests.support.letters import Heard, numbers, send_again, write_letters
from tests.support.streams import (
    api,
    change_stream,
    count,
    make_stream,
    read_stream,
    stream_state,
)


@pytest.mark.usefixtures("streams")
async def test_a_dry_run_changes_nothing(nats_server: EmbeddedServer, nc: Client, route: Route) -> None:
    await write_letters(nc, 20)
    heard: list[Heard] = []
    redriven = await send_again(nats_server.url, {"routes": [route()]}, dry_run=True, limit=7, heard=heard)
    assert (redriven.tally.letters, heard[0].plans[0].letters) == (7, 7)
    assert await count(nc, "OUT") == 0
    assert (await stream_state(nc, "DLQ"))["messages"] == 20
    consumers = (await api(nc, "CONSUMER.NAMES.IN")).get("consumers")
    assert not consumers, "no durable is made"


@pytest.mark.usefixtures("streams")
async def test_the_rate_holds_over_all_routes(nats_server: EmbeddedServer, nc: Client, route: Route) -> None:
    await write_letters(nc, 20)
    await write_letters(nc, 20, first=21, gateway_route="two")
    started = time.monotonic()
    redriven = await send_again(nats_server.url, {"routes": [route(), route("two")]}, rate=40.0)
    assert redriven.good
    assert time.monotonic() - started >= 39 / 40


@pytest.mark.usefixtures("streams")
async def test_cancelled_it_goes_on_where_it_was(nats_server: EmbeddedServer, nc: Client, route: Route) -> None:
    """What was in flight is finished, nothing is sent twice, and the limit takes the oldest."""
    await write_letters(nc, 300)
    config = {"routes": [route()]}
    redriven = await send_again(nats_server.url, config, rate=200.0, stop_after=20)
    assert redriven.stopped
    done = redriven.tally.done
    assert 20 <= done < 300
    assert await count(nc, "OUT") == done == 300 - await count(nc, "DLQ")
    await send_again(nats_server.url, config, limit=10)
    assert numbers(await read_stream(nc, "DLQ")) == list(range(done + 11, 301))
    assert (await send_again(nats_server.url, config)).good
    assert sorted(numbers(await read_stream(nc, "OUT"))) == list(range(1, 301))


@pytest.mark.usefixtures("streams")
async def test_two_letters_of_one_event_are_both_done(nats_server: EmbeddedServer, nc: Client, route: Route) -> None:
    """As after a source was made anew: the lane knows events by their source sequence, one at a time."""
    await write_letters(nc, 5)
    await write_letters(nc, 5, nats_msg_id="")
    redriven = await send_again(nats_server.url, {"routes": [route()]})
    assert (redriven.tally.published, redriven.good) == (10, True)
    assert sorted(numbers(await read_stream(nc, "OUT"))) == sorted([*range(1, 6)] * 2)


async def test_a_work_queue_of_letters_is_read_without_taking_any(
    nats_server: EmbeddedServer, nc: Client, route: Route
) -> None:
    for name in ("IN", "OUT"):
        await make_stream(nc, name, [f"{name.lower()}.>"])
    await make_stream(nc, "DLQ", ["dlq.>"], retention="workqueue")
    await write_letters(nc, 10)
    await write_letters(nc, 10, first=11, gateway_error_code="other")
    config = {"routes": [route()]}
    await send_again(nats_server.url, config, dry_run=True)
    assert await count(nc, "DLQ") == 20
    assert (await send_again(nats_server.url, config, codes=("other",))).good
    assert numbers(await read_stream(nc, "DLQ")) == list(range(1, 11))
    assert sorted(numbers(await read_stream(nc, "OUT"))) == list(range(11, 21))


@pytest.mark.usefixtures("streams")
async def test_a_required_audit_records_it_under_its_letter(
    nats_server: EmbeddedServer, nc: Client, route: Route
) -> None:
    await make_stream(nc, "AUDIT", ["audit.>"])
    await write_letters(nc, 2)
    audits = [{"stream": {"subject": "audit.{$route}", "stream": "AUDIT"}}]
    assert (await send_again(nats_server.url, {"routes": [route(audits=audits)]})).good
    records = [message.json for message in await read_stream(nc, "AUDIT")]
    records = [record for record in records if "outcome" in record]
    created = {name: (await api(nc, f"STREAM.INFO.{name}"))["created"] for name in ("IN", "DLQ")}
    assert [record["id"] for record in records] == [
        f"gateway/IN/{created['IN']}/{n}/r/DLQ/{created['DLQ']}/{n}" for n in (1, 2)
    ]
    assert [record["outcome"] for record in records] == ["published"] * 2


@pytest.mark.usefixtures("streams")
async def test_a_target_that_is_full_is_waited_for_and_said(
    nats_server: EmbeddedServer, nc: Client, js: JetStreamContext, route: Route
) -> None:
    await change_stream(nc, "OUT", max_msgs=1, discard="new")
    await js.publish("out.old", b'{"n": 0}')
    await write_letters(nc, 10)
    heard: list[Heard] = []
    work = asyncio.create_task(send_again(nats_server.url, {"routes": [route()]}, heard=heard))
    await eventually(lambda: heard and any("cannot take events now" in text for text in heard[0].notices))
    assert await count(nc, "DLQ") == 10
    await change_stream(nc, "OUT", max_msgs=-1)
    assert (await work).good
    assert sorted(numbers(await read_stream(nc, "OUT"))) == list(range(11))


@pytest.mark.usefixtures("streams")
async def test_letters_that_cannot_be_removed_are_not_sent(
    nats_server: EmbeddedServer, nc: Client, route: Route
) -> None:
    await write_letters(nc, 1)
    await change_stream(nc, "DLQ", deny_delete=True)
    with pytest.raises(Retry, match="cannot be removed"):
        await send_again(nats_server.url, {"routes": [route()]})
    assert await count(nc, "OUT") == 0


@pytest.mark.usefixtures("streams")
async def test_a_route_that_cannot_start_is_given_up_and_the_others_are_done(
    nats_server: EmbeddedServer, nc: Client, route: Route
) -> None:
    await write_letters(nc, 3)
    await write_letters(nc, 3, first=4, gateway_route="two")
    targets = [{"name": "out", "subject": "nowhere.it"}]
    config = {"routes": [route(), route("two", targets=targets)]}
    redriven = await send_again(nats_server.url, config, patience=1.0)
    assert redriven.tally.kept == {"no-stream": 3}
    assert sorted(numbers(await read_stream(nc, "OUT"))) == [1, 2, 3]
    assert numbers(await read_stream(nc, "DLQ")) == [4, 5, 6]


@pytest.mark.usefixtures("streams")
async def test_a_dead_letter_stream_made_anew_ends_the_run(
    nats_server: EmbeddedServer, nc: Client, route: Route
) -> None:
    """The numbers of its letters are other letters' by then, which nobody has sent."""
    await write_letters(nc, 400)
    heard: list[Heard] = []
    work = asyncio.create_task(send_again(nats_server.url, {"routes": [route()]}, rate=100.0, heard=heard))
    await eventually(lambda: heard and heard[0].done and heard[0].done[-1] > 5)
    await api(nc, "STREAM.DELETE.DLQ")
    await make_stream(nc, "DLQ", ["dlq.>"])
    with pytest.raises(Retry, match=r"made anew|not found|no stream"):
        await asyncio.wait_for(work, 30)


@pytest.mark.usefixtures("streams")
async def test_a_restart_of_the_server_in_between_loses_and_doubles_nothing(
    nats_server: EmbeddedServer, nc: Client, route: Route
) -> None:
    await write_letters(nc, 400)
    heard: list[Heard] = []
    work = asyncio.create_task(
        send_again(nats_server.url, {"routes": [route()]}, rate=200.0, patience=20.0, heard=heard)
    )
    await eventually(lambda: heard and heard[0].done and heard[0].done[-1] > 20)
    nats_server.kill()
    nats_server.start_blocking()
    assert (await asyncio.wait_for(work, 60)).good
    assert sorted(numbers(await read_stream(nc, "OUT"))) == list(range(1, 401))
    assert await count(nc, "DLQ") == 0
