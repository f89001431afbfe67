"""Target streams that take nothing any more: each fault holds its route's events, and none of them is lost."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from nats.aio.client import Client
from nats.js import JetStreamContext

from gateway.jetstream.server import EmbeddedServer
from gateway.jetstream.source import JetStreamSource
from tests.conftest import connected
from tests.jetstream.conftest import Route, RunGateway
from tests.support.arrivals import arrived, in_flight, settled
from tests.support.eventually import eventually
from tests.support.logged import logged
from tests.support.servers import restart_with
from tests.support.streams import api, change_stream, count, make_stream

BILLING: dict[str, Any] = {"subject": "billing.x", "name": "billing"}


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refusals are believed after half a second instead of ten."""
    monkeypatch.setattr("gateway.routing.verdict.REFUSAL_CONFIRMED_AFTER", 0.5)


@pytest.mark.usefixtures("streams")
@pytest.mark.fault("target-sealed")
async def test_a_sealed_target_takes_its_route_down_and_no_event_to_the_dead_letters(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    """The server's "never" is about the stream, not about the event: each event would be a dead letter."""
    await make_stream(nc, "BILLING", ["billing.>"])
    gateway = await run_gateway({"routes": [route(targets=[BILLING]), route("good")]})
    await change_stream(nc, "BILLING", sealed=True)
    for number in range(10):
        await js.publish("in.a", b"%d" % number)
    stats = await gateway.down("refused", "r")
    assert "sealed" in stats.reason
    await settled(nc, "good")
    await eventually(lambda: holds(nc, 10))
    assert await count(nc, "DLQ") == 0
    await api(nc, "STREAM.DELETE.BILLING")
    await make_stream(nc, "BILLING", ["billing.>"])
    await gateway.up()
    await arrived(nc, "BILLING", 10)
    await settled(nc)
    assert await count(nc, "DLQ") == 0


@pytest.mark.usefixtures("streams", "quick")
@pytest.mark.fault("target-sealed")
async def test_a_sealed_stream_behind_a_templated_subject_is_a_refusal_of_its_own_events(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    """Once it has been seen twice; the other streams of the template go on."""
    await make_stream(nc, "OLD", ["old.>"])
    await change_stream(nc, "OLD", sealed=True)
    gateway = await run_gateway({"routes": [route(targets=[{"subject": "{to}.x", "name": "to"}])]})
    for to in ("old", "out"):
        await js.publish("in.a", b'{"to": "%b"}' % to.encode())
    await arrived(nc, "OUT", 1)
    (letter,) = await arrived(nc, "DLQ", 1)
    assert letter.headers["Gateway-Error-Code"] == "refused"
    assert "sealed" in letter.headers["Gateway-Error-Message"]
    await settled(nc)
    assert gateway.stats().up


@pytest.mark.usefixtures("streams")
@pytest.mark.fault("target-refuses")
async def test_a_stream_that_wants_headers_no_copy_has_holds_its_route(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    """A stream of counters takes nothing but increments."""
    await make_stream(nc, "BILLING", ["billing.>"], allow_msg_counter=True)
    gateway = await run_gateway({"drain": "100ms", "routes": [route(targets=[BILLING])]})
    await js.publish("in.a", b"1")
    stats = await gateway.down("refused")
    assert "counter" in stats.reason
    assert (await in_flight(nc), await count(nc, "DLQ")) == (1, 0)


@pytest.mark.usefixtures("streams")
@pytest.mark.fault("target-mirror")
async def test_a_mirror_cannot_be_a_target(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    """It takes no subject at all; nothing published to what it mirrors may count as its copy."""
    await make_stream(nc, "OTHER", ["billing.>"])
    assert "error" not in await api(nc, "STREAM.CREATE.COPY", {"name": "COPY", "mirror": {"name": "OTHER"}})
    gateway = await run_gateway({"routes": [route(targets=[{**BILLING, "stream": "COPY"}])]}, wait=False)
    await js.publish("in.a", b"1")
    stats = await gateway.down("wrong-stream")
    assert await in_flight(nc) == 1
    await api(nc, "STREAM.DELETE.OTHER")
    await eventually(lambda: stats.code == "no-stream")
    await api(nc, "STREAM.DELETE.COPY")
    await make_stream(nc, "COPY", ["billing.>"])
    await gateway.up()
    await arrived(nc, "COPY", 1)
    await settled(nc)
    assert await count(nc, "DLQ") == 0


@pytest.mark.usefixtures("streams")
@pytest.mark.fault("target-renamed")
@pytest.mark.parametrize("named", [True, False])
async def test_a_renamed_target_stream_gets_its_copies_unless_the_target_names_the_old_one(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route, named: bool
) -> None:
    """JetStream knows no renaming: the old one goes, another takes its subjects."""
    await make_stream(nc, "BILLING", ["billing.>"])
    target = {**BILLING, **({"stream": "BILLING"} if named else {})}
    gateway = await run_gateway({"routes": [route(targets=[target])]})
    await api(nc, "STREAM.DELETE.BILLING")
    await js.publish("in.a", b"1")
    await gateway.down("no-stream")
    await make_stream(nc, "INVOICES", ["billing.>"])
    if named:
        stats = await gateway.down("wrong-stream")
        assert stats.reason.startswith("target billing: ")
        await api(nc, "STREAM.DELETE.INVOICES")
        await make_stream(nc, "BILLING", ["billing.>"])
    await gateway.up()
    await arrived(nc, "BILLING" if named else "INVOICES", 1)
    await settled(nc)
    assert await count(nc, "DLQ") == 0


async def holds(nc: Client, events: int) -> bool:
    """Whether so many are with the route and not settled, as the server sees it."""
    return await in_flight(nc) == events


async def storage_used_up(nc: Client) -> int:
    """Fill what the server, or the account, has; returns how many messages that took."""
    await make_stream(nc, "FILL", ["fill.>"])
    stored = 0
    for size in (100_000, 1_000, 1):
        for _ in range(200):
            if b'"error"' in (await nc.request("fill.x", b"x" * size, timeout=30)).data:
                break
            stored += 1
        else:
            raise AssertionError("it is not full")
    return stored


@pytest.mark.usefixtures("streams")
@pytest.mark.fault("storage-full")
async def test_a_server_whose_storage_is_full_loses_nothing_and_settles_what_it_can(
    nats_server: EmbeddedServer, nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    """Neither copy nor dead letter can be stored, and senders are refused, too; a filtered event still goes."""
    await restart_with(nats_server, nc, "jetstream { max_file: 3M }")
    filters = [{"pattern": {"keep": [True]}}]
    gateway = await run_gateway({"routes": [route(filters=filters)]})
    # Events that wait in the source already; one of them cannot be decoded.
    durable = gateway.lane()
    durable.pause()
    for number in range(5):
        await js.publish("in.a", b'{"keep": true, "n": %d}' % number)
    await js.publish("in.a", b'{"keep": false}')
    await js.publish("in.a", b"{poison")
    assert await storage_used_up(nc) > 5
    await gateway.stop()
    gateway = await run_gateway({"routes": [route(filters=filters)]}, wait=False)
    stats = await gateway.down("no-resources")
    await eventually(lambda: stats.outcomes["filtered"] == 1)
    assert stats.outcomes["dead_lettered"] == 0
    await eventually(lambda: holds(nc, 6))
    assert "insufficient resources" in stats.reason
    await js.purge_stream("FILL")
    await gateway.up()
    await settled(nc)
    assert await count(nc, "OUT") == 5
    assert await count(nc, "DLQ") == 1


@pytest.mark.fault("account-limit")
async def test_an_account_without_storage_left_holds_events_instead_of_dead_lettering_them(
    nats_server: EmbeddedServer, nc: Client, run_gateway: RunGateway, route: Route
) -> None:
    """The server says it with a 400, as if the message were at fault; a dead letter in memory would still fit."""
    limits = "max_file: 1M, max_mem: 1M"
    config = f"accounts {{ A {{ users: [{{user: a, password: a}}], jetstream: {{ {limits} }} }} }}\nno_auth_user: a"
    await restart_with(nats_server, nc, config)
    mine = await connected(nats_server.url)
    try:
        for name, storage in (("IN", "file"), ("OUT", "file"), ("DLQ", "memory")):
            await make_stream(mine, name, [f"{name.lower()}.>"], storage=storage)
        gateway = await run_gateway({"routes": [route()]})
        gateway.lane().pause()
        for number in range(5):
            await mine.request("in.a", b"%d" % number, timeout=30)
        assert await storage_used_up(mine) > 5
        await gateway.stop()
        gateway = await run_gateway({"routes": [route()]}, wait=False)
        await eventually(lambda: gateway.stats().code == "no-resources")
        assert gateway.stats().up, "the target's trouble, not the route's"
        await eventually(lambda: holds(mine, 5))
        assert await count(mine, "DLQ") == 0
        await mine.jetstream().purge_stream("FILL")
        await arrived(mine, "OUT", 5)
        await settled(mine)
    finally:
        await mine.close()


@pytest.mark.usefixtures("streams")
@pytest.mark.fault("target-window-short")
async def test_a_duplicate_window_below_ack_wait_is_warned_of_and_a_crash_stores_a_copy_twice(
    nc: Client,
    js: JetStreamContext,
    run_gateway: RunGateway,
    route: Route,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The warning says what follows, and the crash shows it."""
    caplog.set_level(logging.WARNING, "gateway.nats")
    await make_stream(nc, "BILLING", ["billing.>"], duplicate_window=100_000_000)
    targets = [{**BILLING, "stream": "BILLING"}, {"subject": "out.x", "name": "out"}]
    config = {"routes": [route(targets=targets, source={"ack-wait": "1s"})]}
    lost: list[str] = []
    with monkeypatch.context() as deaf:
        deaf.setattr(JetStreamSource, "ack", lambda self, token: lost.append(token))
        first = await run_gateway(config)
        await js.publish("in.a", b"1")
        await eventually(lambda: lost)
        await first.crash()
    await eventually(lambda: logged(caplog, "target.short-window"))
    (warning,) = logged(caplog, "target.short-window")
    assert "target billing: the duplicate window of BILLING is 0.1 s, shorter than ack-wait, 1 s" in warning.message
    # 1 s + 2 x 400 ms + 5 s.
    assert warning.hint == "nats stream edit BILLING --dupe-window 7s"
    await run_gateway(config)
    await settled(nc)
    assert (await count(nc, "BILLING"), await count(nc, "OUT")) == (2, 1)


@pytest.mark.usefixtures("streams")
async def test_a_declared_stream_is_looked_at_although_it_is_left_alone(
    nc: Client, run_gateway: RunGateway, route: Route, caplog: pytest.LogCaptureFixture
) -> None:
    """`gateway permissions` allows for that look, with `provision: off` too."""
    await make_stream(nc, "BILLING", ["billing.>"], duplicate_window=100_000_000)
    declared = [{"name": "BILLING", "subjects": ["billing.>"], "provision": "off"}]
    await run_gateway({"streams": declared, "routes": [route(targets=[BILLING], source={"ack-wait": "1s"})]})
    (warning,) = await eventually(lambda: logged(caplog, "target.short-window"))
    assert "the duplicate window of BILLING is 0.1 s" in warning.message


@pytest.mark.usefixtures("streams")
@pytest.mark.fault("control-headers")
async def test_a_sender_cannot_use_what_a_target_stream_allows(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    """Purge it by a rollup, let a copy expire, or schedule others: such headers are the sender's to the source only."""
    allowed = {"allow_msg_ttl": True, "allow_rollup_hdrs": True, "allow_msg_schedules": True}
    for name in ("IN2", "BILLING"):
        await make_stream(nc, name, [f"{name.lower()}.>"], **allowed)
    await js.publish("billing.x", b"old")
    source = {"stream": "IN2", "subjects": ["in2.>"]}
    await run_gateway({"routes": [route(source=source, targets=[BILLING], codec="raw")]})
    await js.publish("in2.a", b"1", headers={"Nats-Rollup": "all"})
    await js.publish("in2.a", b"2", headers={"Nats-TTL": "1s"})
    messages = await arrived(nc, "BILLING", 3)
    assert [message.data for message in messages] == [b"old", b"1", b"2"]
    assert {name for message in messages[1:] for name in message.headers if name.startswith("Nats-")} == {"Nats-Msg-Id"}
    await settled(nc, stream="IN2")
