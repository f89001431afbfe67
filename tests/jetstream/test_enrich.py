"""The transform enrich on a running route: values, changes, and what happens when the bucket is not there."""

from __future__ import annotations

import json
from typing import Any

import pytest
from nats.aio.client import Client
from nats.js import JetStreamContext
from nats.js.kv import KeyValue

from gateway.jetstream.server import EmbeddedServer
from tests.jetstream.conftest import Route, RunGateway
from tests.support.arrivals import arrived, settled
from tests.support.eventually import eventually

pytestmark = pytest.mark.usefixtures("streams")


def enrich(**more: Any) -> dict[str, Any]:
    return {"enrich": {"bucket": "customers", "key": "{who}", "into": "customer", **more}}


async def customer_of(nc: Client, js: JetStreamContext, who: str = "a") -> Any:
    """What an event sent now is given; None when nothing is."""
    count = (await js.stream_info("OUT")).state.messages
    await js.publish("in.a", json.dumps({"who": who}).encode())
    return (await arrived(nc, "OUT", count + 1))[-1].json.get("customer")


@pytest.fixture
async def customers(js: JetStreamContext) -> KeyValue:
    kv = await js.create_key_value(bucket="customers")
    await kv.put("a", b'{"name": "Ann"}')
    return kv


async def test_events_get_what_the_bucket_holds_now(
    nc: Client, js: JetStreamContext, customers: KeyValue, run_gateway: RunGateway, route: Route
) -> None:
    """Present, absent, changed, deleted, come back; the changes are seen without a request."""
    await run_gateway({"routes": [route(transforms=[enrich()])]})
    assert await customer_of(nc, js) == {"name": "Ann"}
    assert await customer_of(nc, js, "nobody") is None
    for value in (b"2", None, b"3"):
        if value is None:
            await customers.delete("a")
        else:
            await customers.put("a", value)
        wanted = None if value is None else json.loads(value)

        async def seen(wanted: Any = wanted) -> bool:
            return await customer_of(nc, js) == wanted

        await eventually(seen)
    await settled(nc)


async def test_many_events_ask_once_for_a_key(
    nc: Client, js: JetStreamContext, customers: KeyValue, run_gateway: RunGateway, route: Route
) -> None:
    """1000 events over 10 keys: the server counts the requests."""
    for number in range(10):
        await customers.put(f"k{number}", str(number).encode())
    asked = 0

    async def count(message: Any) -> None:
        nonlocal asked
        asked += 1

    await nc.subscribe("$JS.API.STREAM.MSG.GET.KV_customers", cb=count)
    await run_gateway({"routes": [route(transforms=[enrich()])]})
    for number in range(1000):
        await js.publish("in.a", json.dumps({"who": f"k{number % 10}"}).encode())
    made = await arrived(nc, "OUT", 1000)
    assert {(message.json["who"], message.json["customer"]) for message in made} == {(f"k{n}", n) for n in range(10)}
    await nc.flush()
    assert asked == 10


async def test_a_missing_key_and_a_bad_value_are_dead_lettered_with_a_reason(
    nc: Client, js: JetStreamContext, customers: KeyValue, run_gateway: RunGateway, route: Route
) -> None:
    await customers.put("bad", b"secret")
    await run_gateway({"routes": [route(transforms=[enrich(**{"on-missing": "reject"})])]})
    for who in ("bad", "nobody", "not a key"):
        await js.publish("in.a", json.dumps({"who": who}).encode())
    told = {
        letter.json["who"]: (letter.headers["Gateway-Error-Code"], letter.headers["Gateway-Error-Message"])
        for letter in await arrived(nc, "DLQ", 3)
    }
    assert told == {
        "bad": ("value-not-json", "a value in bucket customers is not JSON"),
        "nobody": ("key-missing", "the key is not in bucket customers"),
        "not a key": ("key-missing", "the event has no legal key for bucket customers"),
    }


async def test_an_event_waits_for_its_key(
    nc: Client, js: JetStreamContext, customers: KeyValue, run_gateway: RunGateway, route: Route
) -> None:
    gateway = await run_gateway(
        {"routes": [route(transforms=[enrich(**{"on-missing": "retry"})], retry={"attempts": 100})]}
    )
    await js.publish("in.a", b'{"who": "late"}')
    await eventually(lambda: gateway.stats().retries.get("retry"))
    await customers.put("late", b"1")
    [message] = await arrived(nc, "OUT", 1)
    assert message.json["customer"] == 1


async def test_the_route_waits_for_its_bucket_and_says_so(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    gateway = await run_gateway({"routes": [route(transforms=[enrich()])]}, wait=False)
    stats = await gateway.down("open-failed")
    assert stats.reason == "enrich: open raised Retry: bucket customers: stream not found (10059)"
    await js.publish("in.a", b'{"who": "a"}')
    await (await js.create_key_value(bucket="customers")).put("a", b"1")
    await gateway.up()
    [message] = await arrived(nc, "OUT", 1)
    assert message.json["customer"] == 1


async def test_a_bucket_made_anew_is_read_anew(
    nc: Client,
    js: JetStreamContext,
    customers: KeyValue,
    run_gateway: RunGateway,
    route: Route,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """What was remembered of the old one is forgotten; events in between are tried again, none is lost."""
    gateway = await run_gateway({"routes": [route(transforms=[enrich()], retry={"attempts": 100})]})
    assert await customer_of(nc, js) == {"name": "Ann"}
    await js.delete_key_value("customers")
    await js.publish("in.a", b'{"who": "other"}')
    await eventually(lambda: gateway.stats().retries.get("retry"))
    fresh = await js.create_key_value(bucket="customers")
    await fresh.put("other", b"1")
    await fresh.put("a", b'"new"')
    assert (await arrived(nc, "OUT", 2))[-1].json == {"who": "other", "customer": 1}

    async def seen() -> bool:
        return bool(await customer_of(nc, js) == "new")

    await eventually(seen)
    await fresh.put("a", b'"newer"')

    async def watched() -> bool:
        return bool(await customer_of(nc, js) == "newer")

    await eventually(watched)
    await eventually(lambda: "bucket customers is watched again" in caplog.messages)
    assert any(message.startswith("bucket customers is not watched: ") for message in caplog.messages)


async def test_what_changed_while_the_server_was_away_is_seen(
    nats_server: EmbeddedServer,
    nc: Client,
    js: JetStreamContext,
    customers: KeyValue,
    run_gateway: RunGateway,
    route: Route,
) -> None:
    gateway = await run_gateway({"routes": [route(transforms=[enrich()])]})
    assert await customer_of(nc, js) == {"name": "Ann"}
    nats_server.kill()
    await gateway.down("disconnected")
    nats_server.start_blocking()
    await eventually(lambda: nc.is_connected)
    await gateway.up()
    await customers.put("a", b"2")

    async def seen() -> bool:
        return bool(await customer_of(nc, js) == 2)

    await eventually(seen)
    await settled(nc)


async def test_routes_with_equal_configs_share_one_cache(
    nc: Client, js: JetStreamContext, customers: KeyValue, run_gateway: RunGateway, route: Route
) -> None:
    gateway = await run_gateway({"routes": [route("r1", transforms=[enrich()]), route("r2", transforms=[enrich()])]})
    await js.publish("in.a", b'{"who": "a"}')
    assert [message.json["customer"] for message in await arrived(nc, "OUT", 2)] == [{"name": "Ann"}] * 2
    made = [step for lane in (gateway.lane("r1"), gateway.lane("r2")) for step in lane.route.components]
    assert len({id(component) for component in made if component.name == "enrich"}) == 1
