"""Durables: how they are made, whose they are, and what happens when they or their stream go away."""

from __future__ import annotations

import json
import logging
import time
from typing import Any, NoReturn

import pytest
from nats.aio.client import Client
from nats.js import JetStreamContext

from gateway.errors import RouteFault
from gateway.jetstream import requests
from gateway.jetstream.lookout import Lookout
from tests.jetstream.conftest import Route, RunGateway
from tests.support.arrivals import arrived, settled
from tests.support.eventually import eventually
from tests.support.logged import logged
from tests.support.streams import api, consumer_state, count, make_stream, read_message

pytestmark = pytest.mark.usefixtures("streams")


async def make_consumer(nc: Client, **config: Any) -> None:
    """A consumer somebody else made."""
    wanted = {"durable_name": "gateway-r", "ack_policy": "explicit", "ack_wait": 2_000_000_000, **config}
    answer = await api(nc, "CONSUMER.CREATE.IN.gateway-r", {"stream_name": "IN", "config": wanted})
    assert "error" not in answer, answer


async def test_a_durable_says_whose_it_is_and_never_gives_up_an_event(
    nc: Client, run_gateway: RunGateway, route: Route
) -> None:
    gateway = await run_gateway({"name": "shop", "routes": [route(source={"subjects": ["in.a", "in.b.>"]})]})
    config = (await consumer_state(nc, "IN", "shop-r"))["config"]
    assert config["metadata"]["gateway"] == "shop"
    assert config["metadata"]["gateway-config"] == gateway.app.config.digest
    assert config["max_deliver"] == -1
    assert config["ack_policy"] == "explicit"
    assert config["ack_wait"] == 2_000_000_000
    assert config["filter_subjects"] == ["in.a", "in.b.>"]


@pytest.mark.parametrize("start", ["all", "new", "sequence", "time"])
async def test_a_new_durable_starts_where_it_is_told(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route, start: str
) -> None:
    for number in range(1, 6):
        await js.publish("in.a", b"%d" % number)
    third = await read_message(nc, "IN", 3)
    assert third is not None
    where = {"sequence": {"sequence": 4}, "time": {"time": third.time}}.get(start, start)
    await run_gateway({"routes": [route(source={"start": where})]})
    await js.publish("in.a", b"6")
    first = {"all": 1, "new": 6, "sequence": 4, "time": 3}[start]
    messages = await arrived(nc, "OUT", 7 - first)
    assert [message.json for message in messages] == list(range(first, 7))


async def test_start_does_not_move_a_durable_that_exists(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    await js.publish("in.a", b"1")
    await (await run_gateway({"routes": [route()]})).stop()
    await js.publish("in.a", b"2")
    await run_gateway({"routes": [route(source={"start": "new"})]})
    assert [message.json for message in await arrived(nc, "OUT", 2)] == [1, 2]


@pytest.mark.fault("foreign-durable")
async def test_another_gateways_durable_is_refused(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    await make_consumer(nc, metadata={"gateway": "other"})
    routes = [route(), route("good", targets=[{"subject": "dlq.good"}])]
    gateway = await run_gateway({"routes": routes}, wait=False)
    stats = await gateway.down("foreign-durable", "r")
    assert "belongs to the gateway 'other'" in stats.reason
    await gateway.up("good")
    await js.publish("in.a", b"1")
    await arrived(nc, "DLQ", 1)
    assert await count(nc, "OUT") == 0


async def test_a_durable_without_an_owner_is_used_as_found(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    await make_consumer(nc, max_ack_pending=7)
    await run_gateway({"routes": [route()]})
    await js.publish("in.a", b"1")
    await arrived(nc, "OUT", 1)
    config = (await consumer_state(nc, "IN", "gateway-r"))["config"]
    assert config["max_ack_pending"] == 7
    assert "gateway" not in config.get("metadata", {})


@pytest.mark.parametrize("limit", [{"max_batch": 10}, {"max_expires": 2_000_000_000}, {"max_bytes": 1024}])
async def test_the_limits_of_a_durable_found_are_kept(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route, limit: dict[str, int]
) -> None:
    """The server refuses a request over them, every time."""
    await make_consumer(nc, max_ack_pending=1000, **limit)
    gateway = await run_gateway({"routes": [route()]})
    for number in range(50):
        await js.publish("in.a", b"%d" % number)
    await js.publish("in.a", json.dumps("x" * 3000).encode())
    await arrived(nc, "OUT", 51)
    await settled(nc)
    assert gateway.stats().redeliveries == 0


@pytest.mark.fault("consumer-unserved")
async def test_a_durable_that_refuses_every_request_takes_its_route_down_and_is_not_asked_without_end(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route, caplog: pytest.LogCaptureFixture
) -> None:
    """One for overflow, say: opening it works, asking it does not, and a route that hears nothing is not up."""
    await make_consumer(nc, priority_groups=["g"], priority_policy="overflow")
    gateway = await run_gateway({"routes": [route()]}, wait=False)
    stats = await gateway.down("pull-refused")
    assert "Priority Group missing" in stats.reason
    caplog.clear()
    began = time.monotonic()
    await eventually(lambda: time.monotonic() - began > 2.5)
    assert stats.state == "down"
    assert sum("source lost" in record.message for record in caplog.records) <= 4
    await api(nc, "CONSUMER.DELETE.IN.gateway-r")
    await gateway.up()
    await js.publish("in.a", b"1")
    await arrived(nc, "OUT", 1)


async def test_the_status_says_what_the_last_try_to_open_found(
    nc: Client, run_gateway: RunGateway, route: Route
) -> None:
    """And no longer what was seen of a durable that is gone."""
    await make_consumer(nc, priority_groups=["g"], priority_policy="overflow")
    gateway = await run_gateway({"routes": [route(source={"manage": "verify"})]}, wait=False)
    await gateway.down("pull-refused")
    await api(nc, "CONSUMER.DELETE.IN.gateway-r")
    stats = await gateway.down("no-consumer")
    assert "Priority Group missing" not in stats.reason
    await make_consumer(nc)
    await gateway.up()


async def test_a_route_is_not_up_because_its_durable_could_once_not_be_looked_at(
    nc: Client, run_gateway: RunGateway, route: Route, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That says nothing of a durable that gives nothing: it still does, once it can be looked at again."""
    caplog.set_level(logging.INFO, "gateway.route")
    await make_consumer(nc, priority_groups=["g"], priority_policy="overflow")
    gateway = await run_gateway({"routes": [route()]}, wait=False)
    await gateway.down("pull-refused")
    caplog.clear()
    with monkeypatch.context() as patch:
        patch.setattr("gateway.jetstream.lookout.Lookout.find", _unavailable)
        await eventually(lambda: "nobody answers" in gateway.stats().reason)
    await eventually(lambda: len(logged(caplog, "source.lost")) > 1, what="opened again, and refused again")
    assert not logged(caplog, "route.up")


async def _unavailable(lookout: Lookout) -> NoReturn:
    raise RouteFault("jetstream-unavailable", "nobody answers")


@pytest.mark.fault("unfit-durable")
@pytest.mark.parametrize("other", [{"ack_policy": "all"}, {"deliver_subject": "push.here"}])
async def test_a_consumer_that_is_no_pull_consumer_with_explicit_acks_is_refused(
    nc: Client, run_gateway: RunGateway, route: Route, other: dict[str, Any]
) -> None:
    await make_consumer(nc, **other)
    gateway = await run_gateway({"routes": [route()]}, wait=False)
    await gateway.down("unfit-durable")


async def test_verify_makes_no_durable_and_says_what_to_do(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    gateway = await run_gateway({"routes": [route(source={"manage": "verify"})]}, wait=False)
    stats = await gateway.down("no-consumer")
    line = "nats consumer add IN gateway-r --pull --deliver all --filter 'in.>' --ack explicit --wait 2s --max-pending"
    assert f"set source.manage to create, or make it: {line} " in stats.reason
    assert stats.reason.endswith(" --max-deliver=-1 --defaults")
    await make_consumer(nc)
    await gateway.up()
    await js.publish("in.a", b"1")
    await arrived(nc, "OUT", 1)


async def test_a_lost_durable_that_began_with_new_is_to_be_made_where_it_stood(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    """`--deliver new` would skip what came while it was away."""
    await make_consumer(nc)
    gateway = await run_gateway({"routes": [route(source={"manage": "verify", "start": "new"})]})
    await js.publish("in.a", b"1")
    await arrived(nc, "OUT", 1)
    await settled(nc)
    await gateway.stop()
    gateway = await run_gateway({"routes": [route(source={"manage": "verify", "start": "new"})]})
    await api(nc, "CONSUMER.DELETE.IN.gateway-r")
    stats = await gateway.down("no-consumer")
    assert "--pull --deliver 2 " in stats.reason


async def test_only_update_changes_a_durable(nc: Client, run_gateway: RunGateway, route: Route) -> None:
    await (await run_gateway({"routes": [route()]})).stop()
    changed = {"ack-wait": "9s", "subjects": ["in.a"]}
    await (await run_gateway({"routes": [route(source=changed)]})).stop()
    assert (await consumer_state(nc, "IN", "gateway-r"))["config"]["ack_wait"] == 2_000_000_000
    await run_gateway({"routes": [route(source={**changed, "manage": "update"})]})
    config = (await consumer_state(nc, "IN", "gateway-r"))["config"]
    assert config["ack_wait"] == 9_000_000_000
    assert config.get("filter_subjects", [config.get("filter_subject")]) == ["in.a"]


@pytest.mark.fault("consumer-deleted")
async def test_a_deleted_durable_is_made_again_and_the_route_goes_on(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    await run_gateway({"routes": [route()]})
    for number in range(20):
        await js.publish("in.a", b"%d" % number)
    await arrived(nc, "OUT", 20)
    await api(nc, "CONSUMER.DELETE.IN.gateway-r")
    for number in range(20, 40):
        await js.publish("in.a", b"%d" % number)
    messages = await arrived(nc, "OUT", 40)
    assert sorted(message.json for message in messages) == list(range(40)), "what came again was a duplicate"
    await settled(nc)


@pytest.mark.fault("consumer-deleted")
async def test_a_deleted_durable_with_verify_takes_the_route_down_until_somebody_makes_it(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    await make_consumer(nc)
    gateway = await run_gateway({"routes": [route(source={"manage": "verify"})]})
    await api(nc, "CONSUMER.DELETE.IN.gateway-r")
    await gateway.down("no-consumer")
    await make_consumer(nc)
    await gateway.up()
    await js.publish("in.a", b"1")
    await arrived(nc, "OUT", 1)


@pytest.mark.fault("source-stream-made-anew")
async def test_a_source_stream_made_anew_is_told_from_the_old_one(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    """Its sequences begin at 1 again: without its creation time in the ids its events were taken for duplicates."""
    gateway = await run_gateway({"routes": [route(filters=[{"pattern": {"n": [{"exists": True}]}}])]})
    for life in range(2):
        for number in range(10):
            await js.publish("in.a", json.dumps({"life": life, "n": number}).encode())
        await js.publish("in.a", b"bad")
        await arrived(nc, "OUT", 10 * (life + 1))
        await arrived(nc, "DLQ", life + 1)
        if life == 0:
            await api(nc, "STREAM.DELETE.IN")
            await eventually(lambda: not gateway.stats().up)
            await make_stream(nc, "IN", ["in.>"])
            await gateway.up()
    ids = [message.headers["Nats-Msg-Id"] for message in await arrived(nc, "OUT", 20)]
    assert len(set(ids)) == 20
    assert gateway.stats().duplicates["out"] == 0
    await settled(nc)


@pytest.mark.fault("source-stream-made-anew")
async def test_an_ack_after_a_long_hold_never_settles_an_event_of_a_stream_made_anew(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With nothing asked of the consumer nobody says that it is another one, and its event 1 has our event's ack."""
    monkeypatch.setattr(requests, "EXPIRES", 2.0)
    monkeypatch.setattr(requests, "HEARTBEAT", 0.5)
    await make_stream(nc, "FULL", ["full.>"], max_msgs=1, discard="new")
    await js.publish("full.x", b"in the way")
    held = route(targets=[{"subject": "full.x"}], source={"ack-wait": "30s"}, retry={"initial": "4s", "max": "4s"})
    gateway = await run_gateway({"routes": [held]})
    await js.publish("in.a", b'"old"')
    await eventually(lambda: gateway.stats().circuit_open)
    await eventually(lambda: not gateway.lane()._source.watched)
    config = (await consumer_state(nc, "IN", "gateway-r"))["config"]
    await api(nc, "STREAM.DELETE.IN")
    await make_stream(nc, "IN", ["in.>"])
    await api(nc, "CONSUMER.CREATE.IN.gateway-r", {"stream_name": "IN", "config": config, "action": "create"})
    await js.publish("in.a", b'"new"')
    await api(nc, "STREAM.UPDATE.FULL", {"name": "FULL", "subjects": ["full.>"], "max_msgs": 9, "discard": "new"})
    assert [message.data for message in await arrived(nc, "FULL", 3)] == [b"in the way", b'"old"', b'"new"']
