"""What the steps decide, and what is done with the source message: published, filtered, dropped, undecodable."""

from __future__ import annotations

import json
from typing import Any

import pytest
from nats.aio.client import Client
from nats.js import JetStreamContext

from gateway import Drop, Event, Transform
from tests.jetstream.conftest import Route, RunGateway
from tests.support.arrivals import arrived, settled
from tests.support.streams import count

pytestmark = pytest.mark.usefixtures("streams")

BAD_JSON = {
    "empty": b"",
    "truncated": b'{"kind": "a',
    "no-json": b"\xff\xfe\x00binary\x00",
    "bad-utf-8": b'{"kind": "\xff\xfe"}',
    "beyond-a-double": b'{"kind": 1e400}',
    "deep": b'{"kind": ' + b"[" * 5_000 + b"]" * 5_000 + b"}",
    "trailing": b'{"kind": "a"} x',
}
"""Each is bad where the filter below reads."""
READS_KIND: Any = [{"pattern": {"kind": [{"exists": True}]}}]


class DropAll(Transform, name="drop-all"):
    """Drop every event."""

    def apply(self, event: Event) -> Drop:
        return Drop("not wanted")


async def test_a_published_event_is_acknowledged(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    gateway = await run_gateway({"routes": [route()]})
    await js.publish("in.a", b'{"kind": "a"}')
    (message,) = await arrived(nc, "OUT", 1)
    assert (message.subject, message.data) == ("out.it", b'{"kind": "a"}')
    await settled(nc)
    assert gateway.stats().outcomes == {"published": 1, "filtered": 0, "dropped": 0, "dead_lettered": 0}


async def test_a_filtered_event_is_acknowledged_and_goes_nowhere(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    gateway = await run_gateway({"routes": [route(filters=[{"pattern": {"kind": ["b"]}}])]})
    await js.publish("in.a", b'{"kind": "a"}')
    await js.publish("in.a", b'{"kind": "b"}')
    assert [message.json for message in await arrived(nc, "OUT", 1)] == [{"kind": "b"}]
    await settled(nc)
    assert gateway.stats().outcomes["filtered"] == 1
    assert await count(nc, "DLQ") == 0


async def test_a_dropped_event_is_acknowledged_and_goes_nowhere(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    gateway = await run_gateway({"routes": [route(transforms=["drop-all"])]}, DropAll)
    await js.publish("in.a", b"{}")
    await settled(nc)
    assert gateway.stats().outcomes == {"published": 0, "filtered": 0, "dropped": 1, "dead_lettered": 0}
    assert (await count(nc, "OUT"), await count(nc, "DLQ")) == (0, 0)


@pytest.mark.parametrize("codec", ["json", "eventbridge", {"json": {"strict": True}}])
async def test_what_cannot_be_decoded_is_dead_lettered_once_and_the_lane_goes_on(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route, codec: Any
) -> None:
    gateway = await run_gateway({"routes": [route(codec=codec, filters=READS_KIND, source={"ack-wait": "30s"})]})
    for data in BAD_JSON.values():
        await js.publish("in.bad", data)
    await js.publish("in.good", b'{"kind": "good"}')
    assert [message.json for message in await arrived(nc, "OUT", 1)] == [{"kind": "good"}]
    letters = await arrived(nc, "DLQ", len(BAD_JSON))
    assert [letter.data for letter in letters] == list(BAD_JSON.values())
    for letter in letters:
        assert letter.headers["Gateway-Error-Code"] == "decode-error"
        assert letter.headers["Gateway-Error-Step"] == "decode"
    await settled(nc)
    stats = gateway.stats()
    assert stats.dead_letters["decode-error"] == stats.outcomes["dead_lettered"] == len(BAD_JSON)
    assert stats.redeliveries == 0


async def test_malformed_parts_that_no_step_reads_pass_through(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    await run_gateway({"routes": [route(filters=[{"pattern": {"kind": ["a"]}}])]})
    data = b'{"kind": "a", "other": "\xff", "number": 1e400}'
    await js.publish("in.a", data)
    assert [message.data for message in await arrived(nc, "OUT", 1)] == [data]
    await settled(nc)


@pytest.mark.parametrize("where", ["subject", "header", "set"])
async def test_what_turns_out_malformed_when_it_is_read_is_a_decode_error(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route, where: str
) -> None:
    """A filter decodes only what it reads; a template that reads more must not stop the lane."""
    target: dict[str, Any] = {"subject": "out.it", "name": "out"}
    fields: dict[str, Any] = {"filters": [{"pattern": {"kind": ["a"]}}], "targets": [target]}
    if where == "subject":
        target["subject"] = "out.{other}"
    elif where == "header":
        target["headers"] = {"X-Other": "{other}"}
    else:
        fields["transforms"] = [{"set": {"copy": "{other}"}}]
    await run_gateway({"routes": [route(**fields)]})
    await js.publish("in.a", b'{"kind": "a", "other": "\xff"}')
    await js.publish("in.a", b'{"kind": "a", "other": "fine"}')
    (letter,) = await arrived(nc, "DLQ", 1)
    assert letter.headers["Gateway-Error-Code"] == "decode-error"
    await arrived(nc, "OUT", 1)
    await settled(nc)


async def test_bodies_that_are_no_objects_are_events_too(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    await run_gateway({"routes": [route()]})
    values: list[Any] = [1, "text", None, [1, {"a": 2}], True]
    for value in values:
        await js.publish("in.a", json.dumps(value).encode())
    assert [message.json for message in await arrived(nc, "OUT", len(values))] == values
    await settled(nc)
