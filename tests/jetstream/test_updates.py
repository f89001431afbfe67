"""`manage: update`: a durable becomes what the newest config says, once, whoever else starts at that moment."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import pytest
from nats.aio.client import Client
from nats.js import JetStreamContext

from gateway.jetstream import lease, replicas
from gateway.jetstream.api import ApiUnavailable, JetStreamApi
from tests.jetstream.conftest import Route, RunGateway
from tests.support.arrivals import arrived, settled
from tests.support.eventually import eventually
from tests.support.logged import logged
from tests.support.streams import api, consumer_state, make_stream

pytestmark = pytest.mark.usefixtures("streams")

UPDATE = {"manage": "update"}
LEASE_KEY = "$KV.gateway-gateway.lease.IN.gateway-r"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks every moment, and records that die soon."""
    monkeypatch.setattr(replicas, "EVERY", 0.2)
    monkeypatch.setattr(replicas, "TTL", 2.0)


async def found(nc: Client, name: str, durable: str = "gateway-r") -> Any:
    """One field of the durable's config, as the server has it."""
    return (await consumer_state(nc, "IN", durable))["config"].get(name)


async def test_what_the_gateway_does_not_know_of_a_durable_stays(
    nc: Client, run_gateway: RunGateway, route: Route
) -> None:
    wanted = {"durable_name": "gateway-r", "ack_policy": "explicit", "ack_wait": 2_000_000_000, "max_batch": 900}
    wanted |= {"sample_freq": "7", "description": "of the shop", "metadata": {"team": "billing"}}
    await api(nc, "CONSUMER.CREATE.IN.gateway-r", {"stream_name": "IN", "config": wanted})
    gateway = await run_gateway({"routes": [route(source=UPDATE)]})
    config = (await consumer_state(nc, "IN", "gateway-r"))["config"]
    assert config["filter_subjects"] == ["in.>"]
    assert (config["max_batch"], config["sample_freq"], config["description"]) == (900, "7", "of the shop")
    assert config["metadata"]["team"] == "billing"
    assert config["metadata"]["gateway-config"] == gateway.app.config.digest


async def test_a_wider_filter_says_what_it_leaves_out_and_that_is_what_it_leaves_out(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route, caplog: pytest.LogCaptureFixture
) -> None:
    """Where a consumer stands nobody can see; what it will deliver, and what not, adds up all the same."""
    first = await run_gateway({"routes": [route(source={"subjects": ["in.a"]})]})
    for number in range(6):
        await js.publish("in.a" if number % 2 == 0 else "in.b.x", b"%d" % number)
    await arrived(nc, "OUT", 3)
    await settled(nc)
    await first.stop()
    await run_gateway({"routes": [route(source={**UPDATE, "subjects": ["in.a", "in.b.>"]})]})
    (said,) = logged(caplog, "durable.skips")
    assert said.sequence == 6
    assert "in.b.>" in said.message
    assert "in.a" not in said.message
    assert said.skipped >= 2
    await js.publish("in.b.y", b"6")
    await settled(nc)
    messages = await arrived(nc, "OUT", 7 - said.skipped)
    assert [message.json for message in messages][-1] == 6


async def test_a_wider_filter_that_leaves_nothing_out_warns_of_nothing(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route, caplog: pytest.LogCaptureFixture
) -> None:
    await (await run_gateway({"routes": [route(source={"subjects": ["in.a"]})]})).stop()
    await js.publish("in.a", b"1")
    await run_gateway({"routes": [route(source=UPDATE)]})
    await js.publish("in.b", b"2")
    await arrived(nc, "OUT", 2)
    assert not logged(caplog, "durable.skips")


async def test_a_narrower_filter_says_what_waited_and_delivers_again_what_was_delivered(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route, caplog: pytest.LogCaptureFixture
) -> None:
    await js.publish("in.b", b"0")
    limited = {"max-ack-pending": 1, "ack-wait": "1s"}
    # A target that takes nothing keeps the first event unsettled, and max-ack-pending the others waiting.
    await make_stream(nc, "FULL", ["full.>"], max_msgs=1, discard="new")
    await js.publish("full.x", b"in the way")
    stuck = await run_gateway({"drain": "100ms", "routes": [route(source=limited, targets=[{"subject": "full.x"}])]})
    for number in range(1, 5):
        await js.publish("in.a" if number % 2 == 0 else "in.b", b"%d" % number)
    await eventually(lambda: stuck.stats().circuit_open)
    await stuck.stop()
    narrow = {**limited, **UPDATE, "subjects": ["in.a"]}
    await run_gateway({"routes": [route(source=narrow)]})
    (said,) = logged(caplog, "durable.skips")
    assert said.unread == 2
    messages = await arrived(nc, "OUT", 3)
    assert [message.json for message in messages] == [0, 2, 4], "event 0 had been delivered before"


@pytest.mark.fault("durable-not-updated")
async def test_what_the_server_does_not_change_takes_the_route_down_with_a_hint(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    """Two consumers of a work queue may not take the same subjects."""
    await make_stream(nc, "JOBS", ["jobs.>"], retention="workqueue")
    both = [
        route("a", source={"stream": "JOBS", "subjects": ["jobs.a"]}),
        route("b", source={"stream": "JOBS", "subjects": ["jobs.b"]}),
    ]
    await (await run_gateway({"routes": both})).stop()
    both[1]["source"] |= {"subjects": ["jobs.*"], "manage": "update"}
    gateway = await run_gateway({"routes": both}, wait=False)
    stats = await gateway.down("durable-not-updated", "b")
    assert "set source.manage to create" in stats.reason
    assert "gateway-b" in stats.reason
    await gateway.up("a")


async def test_two_replicas_that_start_together_with_different_configs_end_at_the_newer_one(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route, caplog: pytest.LogCaptureFixture
) -> None:
    """Each may have changed it while it was alone there; once they know of each other it stays as it is."""
    caplog.set_level("INFO", "gateway")
    await (await run_gateway({"routes": [route()]})).stop()
    sources = [{**UPDATE, "max-ack-pending": number} for number in (100, 200)]
    one, two = await asyncio.gather(*(run_gateway({"routes": [route(source=source)]}) for source in sources))
    await eventually(lambda: one.app.stats.replica_configs == two.app.stats.replica_configs == 2)
    newer = one if await one.app.edge.replicas.newer() == [] else two
    wanted = newer.app.config.routes[0].source.max_ack_pending

    async def as_the_newer_says() -> bool:
        return bool(await found(nc, "max_ack_pending") == wanted)

    await eventually(as_the_newer_says)
    updates = len(logged(caplog, "durable.updated"))
    assert updates <= 2
    for gateway in (one, two, one, two):
        lane = gateway.lane()
        lane.source_lost("test", "opened again")
        await eventually(lambda lane=lane: lane._ready)  # type: ignore[misc]
    assert await as_the_newer_says()
    assert len(logged(caplog, "durable.updated")) == updates, "opening a source again changes nothing"


async def test_an_older_config_that_starts_again_does_not_change_back_what_a_newer_one_has_changed(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route, caplog: pytest.LogCaptureFixture
) -> None:
    """A replica of the old config crashes and comes back in the middle of a roll-out."""
    old = {"routes": [route(source={**UPDATE, "ack-wait": "3s"})]}
    new = {"routes": [route(source={**UPDATE, "ack-wait": "4s"})]}
    one = await run_gateway(old)
    await eventually(lambda: one.app.stats.replicas == 1)
    two = await run_gateway(new)
    assert await found(nc, "ack_wait") == 4_000_000_000
    await one.crash()
    again = await run_gateway(old)
    assert await found(nc, "ack_wait") == 4_000_000_000
    (said,) = logged(caplog, "durable.update-put-off")
    assert two.app.config.digest in said.message
    await js.publish("in.a", b"1")
    await arrived(nc, "OUT", 1)

    await two.stop()  # the roll-out is taken back

    async def changed_back() -> bool:
        return bool(await found(nc, "ack_wait") == 3_000_000_000)

    await eventually(changed_back)
    await eventually(lambda: again.stats().up)
    await js.publish("in.a", b"2")
    await arrived(nc, "OUT", 2)


async def test_what_somebody_changes_by_hand_stays_until_the_next_start(
    nc: Client, run_gateway: RunGateway, route: Route
) -> None:
    """Opening a source again after a loss is no start: an operator would fight the gateway."""
    config = {"routes": [route(source=UPDATE)]}
    gateway = await run_gateway(config)
    found_config = (await consumer_state(nc, "IN", "gateway-r"))["config"]
    by_hand = {"stream_name": "IN", "action": "update", "config": {**found_config, "max_ack_pending": 77}}
    assert "error" not in await api(nc, "CONSUMER.CREATE.IN.gateway-r", by_hand)
    lane = gateway.lane()
    lane.source_lost("test", "opened again")
    await eventually(lambda: lane._ready)
    assert await found(nc, "max_ack_pending") == 77
    await gateway.stop()
    await run_gateway(config)
    assert await found(nc, "max_ack_pending") == 20_000


async def test_a_replica_hears_of_another_ack_wait(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It tells the server that it is still working by half of it; too late would be a delivery too many."""
    monkeypatch.setattr("gateway.runtime.gateway.POLL_PENDING", 0.1)
    one = await run_gateway({"routes": [route(source={"ack-wait": "1m"})]})
    assert one.lane()._ack_wait == 60
    await eventually(lambda: one.app.stats.replicas == 1, what="its config is the older one")
    await run_gateway({"routes": [route(source={**UPDATE, "ack-wait": "2s"})]})
    await eventually(lambda: one.lane()._ack_wait == 2)
    await one.up()


@pytest.mark.fault("update-holder-killed")
async def test_a_lease_whose_holder_was_killed_is_taken_over(
    nc: Client, run_gateway: RunGateway, route: Route, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "LEASE", 1.0)
    monkeypatch.setattr(lease, "HOLD", 0.5)
    await run_gateway({"routes": [route()]})
    js = nc.jetstream()
    await eventually(lambda: js.stream_info("KV_gateway-gateway"))
    await js.publish(LEASE_KEY, b"somebody who was killed")
    began = time.monotonic()
    await run_gateway({"routes": [route(source={**UPDATE, "ack-wait": "3s"})]})
    assert time.monotonic() - began > 1.0
    assert await found(nc, "ack_wait") == 3_000_000_000
    assert "data" not in await _lease(nc), "given back"


async def test_a_lease_that_is_held_on_is_respected_and_the_route_works_meanwhile(
    nc: Client,
    js: JetStreamContext,
    run_gateway: RunGateway,
    route: Route,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr("gateway.jetstream.updates.PATIENCE", 0.5)
    monkeypatch.setattr("gateway.jetstream.updates.LEASE", 0.5)
    await run_gateway({"routes": [route()]})
    await eventually(lambda: js.stream_info("KV_gateway-gateway"))
    await js.publish(LEASE_KEY, b"somebody")
    gateway = await run_gateway({"routes": [route(source={**UPDATE, "ack-wait": "3s"})]})
    assert logged(caplog, "durable.update-put-off")
    assert await found(nc, "ack_wait") == 2_000_000_000
    await js.publish("in.a", b"1")
    await arrived(nc, "OUT", 1)
    await js.publish(LEASE_KEY, b"", headers={"KV-Operation": "DEL"})

    async def changed() -> bool:
        return bool(await found(nc, "ack_wait") == 3_000_000_000)

    await eventually(changed)
    await gateway.up()


async def test_a_lease_is_kept_after_an_update_that_nobody_answered_and_is_ours_at_the_next_try(
    nc: Client, run_gateway: RunGateway, route: Route, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server may still do it, after another replica would have had the lease and changed the durable again."""
    await (await run_gateway({"routes": [route()]})).stop()
    unanswered, go_on = asyncio.Event(), asyncio.Event()
    ask = JetStreamApi.request

    async def request(self: JetStreamApi, subject: str, body: Any = None, limit: float | None = None) -> Any:
        if unanswered.is_set():
            await go_on.wait()
        elif isinstance(body, dict) and body.get("action") == "update":
            unanswered.set()
            raise ApiUnavailable(f"{subject}: no answer")
        return await ask(self, subject, body, limit)

    monkeypatch.setattr(JetStreamApi, "request", request)
    monkeypatch.setattr(lease, "LEASE", 3600.0)
    gateway = await run_gateway({"routes": [route(source={**UPDATE, "ack-wait": "3s"})]}, wait=False)
    await asyncio.wait_for(unanswered.wait(), 30)
    await gateway.down("jetstream-unavailable")
    assert "data" in (await _lease(nc)), "kept"
    go_on.set()
    await gateway.up()
    assert await found(nc, "ack_wait") == 3_000_000_000

    async def given_back() -> bool:
        return "data" not in await _lease(nc)

    await eventually(given_back)


async def _lease(nc: Client) -> dict[str, Any]:
    message: dict[str, Any] = (await api(nc, "STREAM.MSG.GET.KV_gateway-gateway", {"last_by_subj": LEASE_KEY}))[
        "message"
    ]
    return message


@pytest.mark.fault("replicas-unknown")
async def test_without_a_bucket_nothing_is_changed_and_nothing_stands_still(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route, caplog: pytest.LogCaptureFixture
) -> None:
    """Some other stream has its name: a replica could not know of it what it must not undo."""
    await make_stream(nc, "KV_gateway-gateway", ["elsewhere"])
    await (await run_gateway({"routes": [route()]})).stop()
    gateway = await run_gateway({"routes": [route(source={**UPDATE, "ack-wait": "3s"})]})
    await js.publish("in.a", b"1")
    await arrived(nc, "OUT", 1)
    assert await found(nc, "ack_wait") == 2_000_000_000
    assert logged(caplog, "durable.update-put-off")
    await api(nc, "STREAM.DELETE.KV_gateway-gateway")

    async def changed() -> bool:
        return bool(await found(nc, "ack_wait") == 3_000_000_000)

    await eventually(changed, what="as soon as there is one")
    await gateway.up()
    assert json.loads((await arrived(nc, "OUT", 1))[0].data) == 1
