"""Work queues: a message belongs to one consumer, and whatever settles it removes it for good."""

from __future__ import annotations

from typing import Any

import pytest
from nats.aio.client import Client
from nats.js import JetStreamContext

from tests.jetstream.conftest import Route, RunGateway
from tests.support.arrivals import arrived, in_flight, settled
from tests.support.eventually import eventually
from tests.support.streams import change_stream, count, make_stream

pytestmark = pytest.mark.usefixtures("queue")


@pytest.fixture
async def queue(nc: Client) -> None:
    """IN is a work queue; OUT and DLQ are none."""
    await make_stream(nc, "IN", ["in.>"], retention="workqueue")
    for name in ("OUT", "DLQ"):
        await make_stream(nc, name, [f"{name.lower()}.>"])


async def gone(nc: Client) -> None:
    """Wait until the queue is empty."""

    async def empty() -> bool:
        return await count(nc, "IN") == 0

    await eventually(empty)


@pytest.mark.fault("work-queue-overlap")
@pytest.mark.parametrize("subjects", [["in.>"], ["in.b.>", "in.a"]])
async def test_a_second_reader_of_a_work_queue_is_refused_with_what_to_do(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route, subjects: list[str]
) -> None:
    """The server allows no tap either: the second route reads a mirror, or other subjects."""
    await (await run_gateway({"routes": [route("first", source={"subjects": ["in.a"]})]})).stop()
    routes = [
        route("first", source={"subjects": ["in.a"]}),
        route("tap", source={"subjects": subjects}),
        route("other", source={"subjects": ["in.c"]}),
    ]
    gateway = await run_gateway({"routes": routes}, wait=False)
    stats = await gateway.down("consumer-refused", "tap")
    assert "(10100)" in stats.reason
    assert "narrow source.subjects, or read a mirror of the stream" in stats.reason
    await gateway.up("first", "other")
    await js.publish("in.a", b"1")
    await js.publish("in.c", b"2")
    assert sorted(message.json for message in await arrived(nc, "OUT", 2)) == [1, 2]
    await gone(nc)


@pytest.mark.fault("work-queue-start")
async def test_a_work_queue_has_no_new_start_and_the_route_says_so(
    nc: Client, run_gateway: RunGateway, route: Route
) -> None:
    gateway = await run_gateway({"routes": [route(source={"start": "new"})]}, wait=False)
    stats = await gateway.down("consumer-refused")
    assert "(10101)" in stats.reason
    assert "set source.start to all" in stats.reason


@pytest.mark.fault("work-queue-dead-letter")
async def test_a_work_queue_lets_go_of_an_event_only_after_its_dead_letter_is_stored(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    """A TERM removes it from the stream: killed before the letter is stored, and again before the TERM, it is there."""
    await change_stream(nc, "DLQ", max_msgs=1, discard="new")
    await js.publish("dlq.old", b"0")
    config: dict[str, Any] = {"routes": [route(source={"ack-wait": "1s"})]}
    await js.publish("in.a", b"{bad")
    first = await run_gateway(config, wait=False)
    await eventually(lambda: first.stats().retries["stream-full"] > 0)
    assert await count(nc, "IN") == 1
    await first.crash()
    second = await run_gateway(config, wait=False)
    await eventually(lambda: second.stats().received >= 1)
    second.lane()._source.term = lambda token, reason: None  # type: ignore[method-assign]
    await change_stream(nc, "DLQ", max_msgs=-1)
    await arrived(nc, "DLQ", 2)
    assert await count(nc, "IN") == 1
    await second.crash()
    await run_gateway(config)
    await gone(nc)
    letter = (await arrived(nc, "DLQ", 2))[1]
    assert (letter.data, letter.headers["Gateway-Source-Sequence"]) == (b"{bad", "1")
    await settled(nc)
    assert await in_flight(nc) == 0
