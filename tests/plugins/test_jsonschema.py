"""Routes through the schema gates on a real server: a folder, and a bucket that changes while events flow."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nats.aio.client import Client

from tests.conftest import StartGateway
from tests.support.arrivals import arrived, settled
from tests.support.eventually import eventually

Route = Callable[..., dict[str, Any]]

PAID = {"type": "object", "required": ["total"], "properties": {"total": {"type": "number"}}}


def event(number: int, kind: str, data: Any) -> bytes:
    return json.dumps({"id": str(number), "type": kind, "data": data}).encode()


async def test_a_folder_of_schemas_is_a_gate(
    streams: Client, gateway_process: StartGateway, route: Route, tmp_path: Path
) -> None:
    """What keeps the schema of its type passes; the rest is in the dead letters with place and keyword."""
    (tmp_path / "paid.json").write_text(json.dumps(PAID))
    gate = {"json-schema": {"folder": str(tmp_path), "path": "data"}}
    await gateway_process({"routes": [route(filters=[gate])]})
    js = streams.jetstream()
    bodies = [("paid", {"total": 1}), ("paid", {"total": "4111"}), ("refund", {"total": 1}), ("paid", {"total": 2})]
    for number, (kind, data) in enumerate(bodies):
        await js.publish("in.a", event(number, kind, data))
    assert [message.json["id"] for message in await arrived(streams, "OUT", 2)] == ["0", "3"]
    violation, unknown = await arrived(streams, "DLQ", 2)
    assert violation.headers["Gateway-Error-Code"] == "schema-violation"
    assert violation.headers["Gateway-Error-Message"] == "total: type"
    assert violation.json["data"] == {"total": "4111"}
    assert unknown.headers["Gateway-Error-Code"] == "schema-unknown"
    assert "refund" not in unknown.header_block.decode()
    await settled(streams)


async def test_a_broken_schema_in_the_folder_keeps_its_route_down_until_it_is_mended(
    streams: Client, gateway_process: StartGateway, route: Route, tmp_path: Path
) -> None:
    """The neighbour runs; the log names file and place; nothing is lost."""
    (tmp_path / "paid.json").write_text('{\n  "type": }')
    gate = {"json-schema": {"folder": str(tmp_path), "path": "data"}}
    neighbour = route("neighbour", targets=[{"subject": "out.neighbour"}])
    gateway = await gateway_process({"routes": [route(filters=[gate]), neighbour]})
    await streams.jetstream().publish("in.a", event(1, "paid", {"total": 1}))
    await arrived(streams, "OUT", 1)
    await eventually(lambda: f"{tmp_path}/paid.json: line 2, column 11: Expecting value" in gateway.err)
    assert (await gateway.routes())["r"]["code"] == "open-failed"
    (tmp_path / "paid.json").write_text(json.dumps(PAID))
    assert {message.subject for message in await arrived(streams, "OUT", 2, 20)} == {"out.neighbour", "out.it"}
    await settled(streams)


async def test_a_schema_put_into_the_bucket_takes_effect_without_a_restart(
    streams: Client, gateway_process: StartGateway, route: Route
) -> None:
    """A stricter one, then a broken one, which changes nothing and is counted."""
    js = streams.jetstream()
    kv = await js.create_key_value(bucket="SCHEMAS")
    await kv.put("paid", b"true")
    gate = {"json-schema-kv": {"bucket": "SCHEMAS", "path": "data"}}
    gateway = await gateway_process({"routes": [route(filters=[gate])]})
    await js.publish("in.a", event(0, "paid", {}))
    await arrived(streams, "OUT", 1)

    await kv.put("paid", json.dumps(PAID).encode())
    letters = 0

    async def refused() -> bool:
        nonlocal letters
        await js.publish("in.a", event(1, "paid", {}))
        await settled(streams)
        letters = (await js.stream_info("DLQ")).state.messages
        return letters == 1

    await eventually(refused, what="the new schema refuses")

    await kv.put("paid", b'{"type": "strin"}')
    sample = 'plugin_jsonschema_broken_schemas_total{bucket="SCHEMAS"}'

    async def counted() -> bool:
        return await gateway.metric(sample) == 1

    await eventually(counted)
    assert "bucket SCHEMAS: paid: type: " in gateway.err
    await js.publish("in.a", event(2, "paid", {}))
    for letter in await arrived(streams, "DLQ", letters + 1):
        assert letter.headers["Gateway-Error-Message"] == "the whole: required total"


async def test_every_event_of_a_backlog_is_held_against_its_schema_from_the_first_on(
    streams: Client, gateway_process: StartGateway, route: Route
) -> None:
    """The watch may not have told anything yet: 300 types, and none is taken for unknown."""
    js = streams.jetstream()
    kv = await js.create_key_value(bucket="SCHEMAS")
    for number in range(300):
        await kv.put(f"type.{number}", b'{"const": %d}' % number)
    for number in range(300):
        await js.publish("in.a", event(number, f"type.{number}", number))
    gate = {"json-schema-kv": {"bucket": "SCHEMAS", "path": "data"}}
    await gateway_process({"routes": [route(filters=[gate])]})
    await arrived(streams, "OUT", 300)
    await settled(streams)


async def test_a_route_waits_for_its_bucket(streams: Client, gateway_process: StartGateway, route: Route) -> None:
    """No bucket, no gate: the route is down, and up once the bucket is there."""
    gate = {"json-schema-kv": {"bucket": "SCHEMAS", "path": "data"}}
    neighbour = route("neighbour", targets=[{"subject": "out.neighbour"}])
    gateway = await gateway_process({"routes": [route(filters=[gate]), neighbour]})
    await streams.jetstream().publish("in.a", event(1, "paid", {"total": 1}))
    await arrived(streams, "OUT", 1)

    async def down() -> bool:
        return (await gateway.routes())["r"]["code"] == "open-failed"

    await eventually(down)
    kv = await streams.jetstream().create_key_value(bucket="SCHEMAS")
    await kv.put("paid", json.dumps(PAID).encode())
    await arrived(streams, "OUT", 2, 20)
