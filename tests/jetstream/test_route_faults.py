"""Faults of a route: it is down with the reason, holds its events, and heals by itself; nobody is dead-lettered."""

from __future__ import annotations

import time
from typing import Any

import pytest
from nats.aio.client import Client
from nats.js import JetStreamContext

from tests.jetstream.conftest import Restricted, Route, RunGateway
from tests.support.arrivals import arrived, in_flight, settled
from tests.support.eventually import eventually
from tests.support.streams import api, count, make_stream

pytestmark = pytest.mark.usefixtures("streams")


@pytest.mark.fault("target-missing")
async def test_a_route_whose_target_has_no_stream_is_down_from_the_start_and_heals(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    bad = route("bad", targets=[{"subject": "later.x", "stream": "LATER"}])
    gateway = await run_gateway({"routes": [bad, route("good")]}, wait=False)
    stats = await gateway.down("no-stream", "bad")
    assert "no stream takes later.x" in stats.reason
    assert "nats stream add LATER --subjects later.x" in stats.reason, "the reason says how to mend it"
    for number in range(5):
        await js.publish("in.a", b"%d" % number)
    await arrived(nc, "OUT", 5)
    await settled(nc, "good")
    await make_stream(nc, "LATER", ["later.>"])
    await gateway.up()
    await arrived(nc, "LATER", 5)
    await settled(nc, "bad")
    assert await count(nc, "DLQ") == 0


@pytest.mark.fault("source-stream-deleted")
async def test_a_route_whose_source_stream_is_missing_names_it_and_heals(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    gateway = await run_gateway(
        {"routes": [route(source={"stream": "SOON", "subjects": ["soon.*"]}), route("good")]}, wait=False
    )
    stats = await gateway.down("no-stream", "r")
    assert "there is no stream SOON" in stats.reason
    assert "nats stream add SOON --subjects 'soon.*'" in stats.reason
    await gateway.up("good")
    await make_stream(nc, "SOON", ["soon.*"])
    await js.publish("soon.a", b"1")
    await gateway.up()
    await arrived(nc, "OUT", 1)
    await settled(nc, stream="SOON")


@pytest.mark.fault("target-deleted")
async def test_a_target_stream_deleted_while_running_holds_the_route_until_it_is_back(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    bad = route("bad", targets=[{"subject": "gone.x", "name": "gone"}, {"subject": "dlq.other", "name": "other"}])
    await make_stream(nc, "GONE", ["gone.>"])
    gateway = await run_gateway({"routes": [bad, route("good")]})
    await js.publish("in.a", b"0")
    await arrived(nc, "GONE", 1)
    await api(nc, "STREAM.DELETE.GONE")
    for number in range(1, 11):
        await js.publish("in.a", b"%d" % number)
    await gateway.down("no-stream", "bad")
    await arrived(nc, "OUT", 11)
    await make_stream(nc, "GONE", ["gone.>"])
    await gateway.up()
    assert sorted(message.json for message in await arrived(nc, "GONE", 10)) == list(range(1, 11))
    await settled(nc, "bad")
    other = await arrived(nc, "DLQ", 11)
    assert {message.subject for message in other} == {"dlq.other"}, "no dead letters, and no copy sent twice"


@pytest.mark.fault("target-wrong-stream")
async def test_the_wrong_stream_behind_a_constant_subject_is_a_fault_of_the_route(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    gateway = await run_gateway({"routes": [route(targets=[{"subject": "out.x", "stream": "RIGHT"}])]}, wait=False)
    await js.publish("in.a", b"1")
    await gateway.down("wrong-stream")
    await api(nc, "STREAM.UPDATE.OUT", {"name": "OUT", "subjects": ["elsewhere"]})
    await make_stream(nc, "RIGHT", ["out.>"])
    await gateway.up()
    await arrived(nc, "RIGHT", 1)
    await settled(nc)
    assert (await count(nc, "DLQ"), await count(nc, "OUT")) == (0, 0)


@pytest.mark.fault("target-no-permission")
async def test_a_forbidden_constant_subject_is_a_fault_of_the_route_and_heals_with_the_permission(
    nc: Client, js: JetStreamContext, restricted: Restricted, route: Route, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.runtime.sender.ANSWER_WAIT", 0.5)
    await restricted.forbid("out.>")
    source = {"ack-wait": "30s"}
    routes = [route(source=source), route("good", targets=[{"subject": "dlq.good"}], source=source)]
    gateway = await restricted.run({"routes": routes})
    for number in range(5):
        await js.publish("in.a", b"%d" % number)
    stats = await gateway.down("no-permission", "r")
    assert "no permission to publish to out.it" in stats.reason
    await arrived(nc, "DLQ", 5)
    assert await in_flight(nc) == 5
    restricted.permit()
    await gateway.up()
    await arrived(nc, "OUT", 5)
    await settled(nc)
    assert {letter.subject for letter in await arrived(nc, "DLQ", 5)} == {"dlq.good"}
    assert stats.received == 5


async def test_a_route_that_may_not_read_its_source_is_down_and_its_neighbour_works(
    nc: Client, js: JetStreamContext, restricted: Restricted, route: Route, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.jetstream.api.TIMEOUT", 0.5)
    await make_stream(nc, "SECRET", ["secret.>"])
    await restricted.forbid("$JS.API.*.*.SECRET.>", "$JS.API.*.*.SECRET")
    secret: dict[str, Any] = {"stream": "SECRET", "subjects": ["secret.>"]}
    routes = [route("secret", source=secret), route()]
    gateway = await restricted.run({"routes": routes}, wait=False)
    stats = await gateway.down("jetstream-unavailable", "secret")
    assert "no permission" in stats.reason
    await js.publish("in.a", b"1")
    await arrived(nc, "OUT", 1)
    restricted.permit()
    await gateway.up()


async def test_a_declared_stream_nobody_answers_for_holds_up_no_route_that_does_not_need_it(
    nc: Client, js: JetStreamContext, restricted: Restricted, route: Route, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It costs its time-out once, not once for each route and each look at a source."""
    monkeypatch.setattr("gateway.jetstream.api.TIMEOUT", 1.5)
    for name in ("ONE", "TWO"):
        await make_stream(nc, name, [f"{name.lower()}.>"])
    await restricted.forbid("$JS.API.STREAM.INFO.ONE")
    streams = [{"name": name, "subjects": [f"{name.lower()}.>"]} for name in ("ONE", "TWO")]
    needs = route("needs", source={"stream": "ONE", "subjects": ["one.>"]})
    config = {"streams": streams, "routes": [needs, *(route(f"r{number}") for number in range(4))]}
    began = time.monotonic()
    gateway = await restricted.run(config, wait=False)
    await gateway.up(*(f"r{number}" for number in range(4)))
    assert time.monotonic() - began < 4 * 1.5
    await gateway.down("jetstream-unavailable", "needs")
    restricted.permit()
    await gateway.up()


async def test_a_server_without_jetstream_is_said_so_and_nothing_ends(
    restricted: Restricted, route: Route, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.jetstream.api.TIMEOUT", 0.3)
    await restricted.forbid("$JS.API.>")
    gateway = await restricted.run({"routes": [route()]}, wait=False)
    await eventually(lambda: gateway.stats().state == "down" and gateway.stats().code != "disconnected")
    assert gateway.stats().code == "jetstream-unavailable"


async def test_a_gateway_that_may_not_pull_is_down_with_the_reason(restricted: Restricted, route: Route) -> None:
    """A denied request looks like silence; a route that only waits for events would be up and deaf."""
    await restricted.forbid("$JS.API.CONSUMER.MSG.NEXT.>")
    gateway = await restricted.run({"routes": [route()]}, wait=False)
    await eventually(lambda: gateway.stats().code == "no-permission")
    assert "MSG.NEXT" in gateway.stats().reason
