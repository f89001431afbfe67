"""The audit `stream`: chained records in JetStream, whatever server, stream and gateway do meanwhile."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from nats.aio.client import Client
from nats.js import JetStreamContext

from gateway.jetstream.server import EmbeddedServer
from tests.jetstream.conftest import Restricted, Route, RunGateway
from tests.support.arrivals import arrived, in_flight, settled
from tests.support.chains import codes, recorded, stored_chain, verified
from tests.support.eventually import eventually
from tests.support.proxy import Frame, Proxy
from tests.support.streams import api, change_stream, consumer_state, count, make_stream, read_stream

pytestmark = pytest.mark.usefixtures("streams")

STREAM = {"stream": {"subject": "audit.{$route}", "stream": "AUDIT"}}


@pytest.fixture
async def audit(nc: Client) -> None:
    """The stream AUDIT (audit.>)."""
    await make_stream(nc, "AUDIT", ["audit.>"])


async def publish(js: JetStreamContext, events: int, first: int = 0) -> None:
    await asyncio.gather(*(js.publish("in.a", b'{"n": %d}' % n) for n in range(first, first + events)))


async def all_settled(nc: Client, events: int) -> None:
    """Wait until the server has everything up to event `events` settled; what is pending it learns of a moment late."""

    async def done() -> bool:
        floor = (await consumer_state(nc, "IN", "gateway-r"))["ack_floor"]["stream_seq"]
        assert floor >= events, f"settled up to {floor}"
        return True

    await eventually(done)
    await settled(nc)


async def every_event_has_its_record(nc: Client, events: int) -> list[dict[str, Any]]:
    """Nothing is settled without a record: what the source has no more in flight is in the chain, once."""
    await all_settled(nc, events)
    records = await recorded(nc)
    assert sorted(record["sequence"] for record in records) == list(range(1, events + 1))
    report = await stored_chain(nc)
    assert report.good, report.findings
    return records


@pytest.mark.usefixtures("audit")
async def test_every_outcome_is_recorded_in_a_chain(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    fields: dict[str, Any] = {"audits": [STREAM], "filters": [{"pattern": {"n": [{"numeric": [">", 0]}]}}]}
    gateway = await run_gateway({"routes": [route(**fields)]})
    for number, body in enumerate((b'{"n": 1, "id": "one"}', b'{"n": 0}', b"broken"), 1):
        await js.publish("in.a", body)
        await every_event_has_its_record(nc, number)
    await gateway.stop()
    stored = await read_stream(nc, "AUDIT")
    assert [message.json.get("kind") or message.json["outcome"] for message in stored] == [
        "start",
        "published",
        "filtered",
        "dead_lettered",
        "end",
    ]
    assert {message.subject for message in stored} == {"audit.r"}
    chain = stored[0].json["chain"]
    assert [message.headers["Nats-Msg-Id"] for message in stored] == [f"{chain}.{n}" for n in range(5)]
    assert {message.headers["Nats-Expected-Stream"] for message in stored} == {"AUDIT"}
    assert stored[1].json["event_id"] == "one"
    assert stored[1].json["instance"] == gateway.app.instance


@pytest.mark.usefixtures("audit")
async def test_only_the_outcomes_wanted_are_recorded(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    audits = [{"stream": {"subject": "audit.{$route}", "outcomes": ["dead_lettered"]}}]
    await run_gateway({"routes": [route(audits=audits)]})
    await js.publish("in.a", b"1")
    await js.publish("in.a", b"broken")
    await all_settled(nc, 2)
    assert [record["outcome"] for record in await recorded(nc)] == ["dead_lettered"]
    assert (await stored_chain(nc)).good


@pytest.mark.usefixtures("audit")
async def test_a_restart_follows_the_chain_before(
    nc: Client,
    js: JetStreamContext,
    run_gateway: RunGateway,
    route: Route,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Any,
) -> None:
    """With a state folder the instance is the same again, and its chains make one line."""
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path))
    for number in range(3):
        gateway = await run_gateway({"routes": [route(audits=[STREAM])]})
        await publish(js, 10, number * 10)
        await all_settled(nc, number * 10 + 10)
        await (gateway.crash() if number == 1 else gateway.stop())
    report = await stored_chain(nc)
    assert report.good, report.findings
    first, second, third = report.chains
    assert (second.follows, third.follows) == (first.chain, second.chain)
    assert [str(chain.ending) for chain in report.chains] == ["closed", "crashed", "closed"]
    assert len({chain.instance for chain in report.chains}) == 1


@pytest.mark.usefixtures("audit")
async def test_replicas_and_routes_share_a_subject(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    audits = [{"stream": {"subject": "audit.all"}}]
    # What comes to the other replica too, because ack-wait is over, has two records.
    source = {"ack-wait": "30s"}
    other = route("other", audits=audits, source=source, targets=[{"subject": "out.other"}])
    routes = [route(audits=audits, source=source), other]
    for _ in range(2):
        await run_gateway({"routes": routes})
    await publish(js, 200)
    await all_settled(nc, 200)
    await settled(nc, "other")
    report = await stored_chain(nc)
    assert report.good, report.findings
    assert len(report.chains) >= 2
    assert len(await recorded(nc)) == 400


@pytest.mark.fault("audit-full")
async def test_a_missing_stream_holds_the_route_and_says_what_to_do(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    gateway = await run_gateway({"routes": [route(audits=[STREAM])]})
    await publish(js, 5)
    stats = await gateway.down("audit-failed")
    assert "no stream takes audit.r" in stats.reason
    assert "nats stream add AUDIT --subjects 'audit.*'" in stats.reason
    assert await in_flight(nc) == 5
    await make_stream(nc, "AUDIT", ["audit.>"])
    await gateway.up()
    await every_event_has_its_record(nc, 5)


@pytest.mark.usefixtures("audit")
@pytest.mark.fault("audit-full")
async def test_a_full_stream_holds_the_route_until_it_is_raised(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    await change_stream(nc, "AUDIT", discard="new", max_msgs=20)
    gateway = await run_gateway({"routes": [route(audits=[STREAM], source={"ack-wait": "30s"})]})
    await publish(js, 100)
    stats = await gateway.down("audit-failed")
    assert "maximum messages exceeded" in stats.reason
    assert "raise its limits" in stats.reason
    assert len(await arrived(nc, "OUT", 100)) == 100
    assert sum(stats.outcomes.values()) < 20, "no event is settled without its record"
    await change_stream(nc, "AUDIT", max_msgs=-1)
    await gateway.up()
    await every_event_has_its_record(nc, 100)
    assert stats.redeliveries == 0


@pytest.mark.usefixtures("audit")
async def test_records_that_are_refused_between_others_are_told_as_late(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    """Long records do not fit, short ones do: the chain is stored in another order, and says so."""
    await change_stream(nc, "AUDIT", max_msg_size=10)
    gateway = await run_gateway({"routes": [route(audits=[STREAM])]})
    bodies = [json.dumps({"id": "x" * (900 if n % 3 == 1 else 3) + str(n)}).encode() for n in range(60)]
    await js.publish("in.a", bodies[0])
    stats = await gateway.down("audit-failed")
    assert "raise the stream's max_msg_size" in stats.reason
    # What was refused is tried alone; all the others wait behind it, and go in one batch.
    await asyncio.gather(*(js.publish("in.a", body) for body in bodies[1:]))
    await arrived(nc, "OUT", 60)
    await change_stream(nc, "AUDIT", max_msg_size=1500)
    await eventually(lambda: _more(nc, 10))
    await change_stream(nc, "AUDIT", max_msg_size=-1)
    await gateway.up()
    await every_event_has_its_record(nc, 60)
    assert any(message.json.get("kind") == "late" for message in await read_stream(nc, "AUDIT"))


@pytest.mark.usefixtures("audit")
async def test_the_wrong_stream_holds_the_route(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    gateway = await run_gateway({"routes": [route(audits=[{"stream": {"subject": "audit.r", "stream": "OTHER"}}])]})
    await publish(js, 3)
    stats = await gateway.down("audit-failed")
    assert "expected stream does not match" in stats.reason
    assert await count(nc, "AUDIT") == 0
    assert await in_flight(nc) == 3


@pytest.mark.usefixtures("audit")
async def test_server_restarts_in_the_middle_of_batches_tear_no_chain(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route, nats_server: EmbeddedServer
) -> None:
    gateway = await run_gateway({"routes": [route(audits=[STREAM], source={"ack-wait": "1s"})]})
    total = 3000
    for number in range(3):
        seen = await count(nc, "AUDIT")
        await publish(js, total // 3, number * total // 3)
        await eventually(lambda seen=seen: _more(nc, seen), interval=0.001)
        nats_server.kill()
        await nats_server.start()
        await eventually(lambda: nc.is_connected)
    await gateway.up()
    await all_settled(nc, total)
    records = await recorded(nc)
    assert {record["sequence"] for record in records} == set(range(1, total + 1))
    report = await stored_chain(nc)
    assert report.good, report.findings
    assert len(report.chains) == 1


async def _more(nc: Client, seen: int) -> bool:
    return await count(nc, "AUDIT") > seen


@pytest.mark.usefixtures("audit")
async def test_an_unanswered_record_is_looked_for_before_it_is_sent_again(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route, nats_server: EmbeddedServer
) -> None:
    """The server forgets message ids: after its duplicate window a record would be stored twice."""
    await change_stream(nc, "AUDIT", duplicate_window=100_000_000)
    async with Proxy(nats_server.port) as proxy:
        config = {"nats": {"servers": [proxy.url]}, "routes": [route(audits=[STREAM], timeout="1s")]}
        gateway = await run_gateway(config)
        await publish(js, 1)
        await all_settled(nc, 1)
        proxy.passes = lambda frame: not (frame.is_puback and b'"AUDIT"' in frame.payload)
        await publish(js, 20, 1)
        await gateway.down("audit-failed")
        await eventually(lambda: _holds(nc, 22))
        window_over = asyncio.get_running_loop().time() + 0.3
        await eventually(lambda: asyncio.get_running_loop().time() > window_over)
        proxy.passes = _everything
        await gateway.up()
        await every_event_has_its_record(nc, 21)
        assert await count(nc, "AUDIT") == 22


async def _holds(nc: Client, records: int) -> bool:
    return await count(nc, "AUDIT") == records


def _everything(frame: Frame) -> bool:
    return True


@pytest.mark.usefixtures("audit")
async def test_a_gap_longer_than_ack_wait_stores_no_record_twice(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route, nats_server: EmbeddedServer
) -> None:
    """Everything in flight was given away and comes again; what is recorded already is not recorded anew."""
    async with Proxy(nats_server.port) as proxy:
        routes = [route(audits=[STREAM], source={"ack-wait": "1s"})]
        gateway = await run_gateway({"nats": {"servers": [proxy.url]}, "routes": routes})
        proxy.watch("settled", lambda frame: frame.settles)
        proxy.passes = lambda frame: not frame.settles
        await publish(js, 50)
        await eventually(lambda: proxy.dropped["settled"] >= 50)
        proxy.cut()
        proxy.passes = _everything
        await gateway.up()
        await every_event_has_its_record(nc, 50)


@pytest.mark.usefixtures("audit")
@pytest.mark.fault("audit-best-effort")
async def test_a_best_effort_audit_holds_nothing_and_goes_on_when_the_stream_is_back(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    gateway = await run_gateway({"routes": [route(audits=[STREAM], **{"audit-mode": "best-effort"})]})
    await publish(js, 5)
    await all_settled(nc, 5)
    await api(nc, "STREAM.DELETE.AUDIT")
    await publish(js, 5, 5)
    await all_settled(nc, 10)
    await eventually(lambda: gateway.stats().audit_records["audit-0-stream", "failed"] > 0)
    assert gateway.stats().up
    await make_stream(nc, "AUDIT", ["audit.>"])
    await publish(js, 5, 10)
    await all_settled(nc, 15)

    async def recorded_again() -> bool:
        return {11, 12, 13, 14, 15} <= {record["sequence"] for record in await recorded(nc)}

    await eventually(recorded_again)


@pytest.mark.usefixtures("audit")
async def test_best_effort_records_of_settled_events_are_stored_before_a_good_end(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    gateway = await run_gateway({"routes": [route(audits=[STREAM], **{"audit-mode": "best-effort"})]})
    await publish(js, 500)
    await all_settled(nc, 500)
    await gateway.stop()
    assert len(await recorded(nc)) == 500
    (chain,) = (await stored_chain(nc)).chains
    assert chain.ending == "closed"


@pytest.mark.usefixtures("audit")
async def test_a_removed_record_in_the_stream_is_found(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    await run_gateway({"routes": [route(audits=[STREAM])]})
    await publish(js, 10)
    await all_settled(nc, 10)
    await api(nc, "STREAM.MSG.DELETE.AUDIT", {"seq": 5})
    assert codes(verified([message.data for message in await read_stream(nc, "AUDIT")])) == {"missing": 1}


@pytest.mark.usefixtures("audit")
@pytest.mark.fault("audit-full")
async def test_a_forbidden_audit_subject_holds_the_route_and_heals_with_the_permission(
    nc: Client, js: JetStreamContext, restricted: Restricted, route: Route
) -> None:
    await restricted.forbid("audit.>")
    gateway = await restricted.run({"routes": [route(audits=[STREAM])]})
    await publish(js, 5)
    stats = await gateway.down("audit-failed")
    assert "no permission to publish to audit.r" in stats.reason
    assert "allow this user to publish to audit.r" in stats.reason
    restricted.permit()
    await gateway.up()
    await every_event_has_its_record(nc, 5)


@pytest.mark.usefixtures("audit")
async def test_an_audit_that_may_only_write_works_and_its_chain_says_that_it_did_not_look(
    nc: Client, js: JetStreamContext, restricted: Restricted, route: Route
) -> None:
    await restricted.forbid("$JS.API.CONSUMER.CREATE.AUDIT.>", "$JS.API.STREAM.MSG.GET.AUDIT")
    await restricted.run({"routes": [route(audits=[STREAM])]})
    await publish(js, 5)
    await every_event_has_its_record(nc, 5)
    start = (await read_stream(nc, "AUDIT"))[0].json
    assert start["searched"] == 0
