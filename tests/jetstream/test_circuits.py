"""Held events and circuits: only what is missing is sent again, neighbours go on, and a healed target is seen soon."""

from __future__ import annotations

import time
from typing import Any

import pytest
from nats.aio.client import Client
from nats.js import JetStreamContext

from tests.jetstream.conftest import Route, RunGateway
from tests.support.arrivals import arrived, in_flight, settled
from tests.support.eventually import eventually
from tests.support.streams import change_stream, consumer_state, count, make_stream
from tests.support.wire_tap import WireTap

pytestmark = pytest.mark.usefixtures("streams")

SHORT = 100_000_000
"""Nanoseconds of a duplicate window after which a repeat would be stored."""


@pytest.mark.fault("target-full", "two-targets-down")
async def test_two_targets_with_two_faults_hold_an_event_and_the_third_gets_exactly_one_publish(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    """Full by messages the one, by bytes the other. Each try has the same id; what is stored is never sent again."""
    await make_stream(nc, "ONE", ["one.x"], max_msgs=1, discard="new")
    await make_stream(nc, "TWO", ["two.x"], max_bytes=2000, discard="new", duplicate_window=SHORT)
    await make_stream(nc, "THREE", ["three.x"], duplicate_window=SHORT)
    await js.publish("one.x", b"old")
    await js.publish("two.x", b"x" * 1900)
    tap = WireTap()
    await tap.listen(nc, "*.x")
    targets = [{"subject": f"{name}.x", "name": name} for name in ("one", "two", "three")]
    gateway = await run_gateway({"routes": [route(targets=targets), route("good")]})
    stats = gateway.stats("r")
    for number in range(5):
        await js.publish("in.a", b"%d" % number)
    await eventually(lambda: stats.retries["stream-full"] > 12 and "target two cannot" in stats.reason)
    assert stats.up
    assert stats.code == "stream-full"
    assert "target one cannot take events now" in stats.reason
    assert "maximum messages exceeded" in stats.reason
    assert "target two cannot take events now" in stats.reason
    assert "maximum bytes exceeded" in stats.reason
    assert time.time() - stats.since < 30
    circuits = gateway.lane("r")._sender.circuits
    assert {name: circuit.open for name, circuit in circuits.items() if circuit.name in ("one", "two", "three")} == {
        "one": True, "two": True, "three": False
    }  # fmt: skip
    await settled(nc, "good")
    await change_stream(nc, "ONE", max_msgs=100)
    await arrived(nc, "ONE", 6)
    await eventually(lambda: not circuits["one"].open)
    assert circuits["two"].open
    assert await in_flight(nc) == 5
    await change_stream(nc, "TWO", max_bytes=1 << 20)
    await arrived(nc, "TWO", 6)
    await settled(nc)
    assert await count(nc, "THREE") == 5
    each_once = dict.fromkeys([b"%d" % number for number in range(5)], 1)
    assert tap.count("three.x") == each_once
    for name in ("one", "two"):
        ids = tap.ids(f"{name}.x")
        assert all(len(ids[data]) == 1 for data in each_once), "a copy keeps its id"
        assert sum(tap.count(f"{name}.x").values()) > 6
    assert await count(nc, "DLQ") == 0
    await eventually(lambda: (stats.code, stats.reason, stats.since) == ("", "", 0.0))


@pytest.mark.fault("target-heals")
async def test_a_target_down_for_long_is_seen_to_heal_within_a_probe_though_the_longest_pause_is_a_minute(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is held goes, and what waits in the source is pulled, without anybody's doing."""
    await make_stream(nc, "FULL", ["full.x"], max_msgs=1, discard="new")
    await js.publish("full.x", b"old")
    monkeypatch.setattr("gateway.runtime.circuit.PROBE_WITHIN", 1.0)
    slow = {"initial": "200ms", "max": "60s", "factor": 300}
    fields: dict[str, Any] = {"targets": [{"subject": "full.x", "name": "full"}], "retry": slow, "max-in-flight": 2}
    gateway = await run_gateway({"routes": [route(**fields)]})
    circuit = gateway.lane()._sender.circuits["full"]
    for number in range(10):
        await js.publish("in.a", b"%d" % number)
    await eventually(lambda: circuit.failures == 2, what="the pause would be the longest now")
    assert (await consumer_state(nc, "IN", "gateway-r"))["num_pending"] > 0, "nothing is pulled"
    await change_stream(nc, "FULL", max_msgs=100)
    healed = time.monotonic()
    await arrived(nc, "FULL", 11)
    assert time.monotonic() - healed < 30
    await settled(nc)


@pytest.mark.fault("target-heals")
async def test_a_reconnect_probes_a_target_at_once(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What failed may have been the old connection's fault, or a server's that is gone."""
    monkeypatch.setattr("gateway.runtime.circuit.PROBE_WITHIN", 60.0)
    await make_stream(nc, "FULL", ["full.x"], max_msgs=1, discard="new")
    await js.publish("full.x", b"old")
    fields: dict[str, Any] = {"retry": {"initial": "50s", "max": "60s"}, "source": {"ack-wait": "30s"}}
    gateway = await run_gateway({"routes": [route(targets=[{"subject": "full.x", "name": "full"}], **fields)]})
    await js.publish("in.a", b"1")
    await eventually(lambda: gateway.stats().circuit_open)
    await change_stream(nc, "FULL", max_msgs=100)
    await gateway.app._edge.connection.wire.force_reconnect()
    await arrived(nc, "FULL", 2)
    await settled(nc)


@pytest.mark.fault("target-flaps")
async def test_a_target_that_flaps_gets_every_event_once_and_neighbours_do_not_notice(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    """Room for seven events at a time, ten times over, while the other target and the other route go on."""
    await make_stream(nc, "FLAP", ["flap.x"], max_msgs=1, discard="new", duplicate_window=SHORT)
    await make_stream(nc, "STEADY", ["steady.x"], duplicate_window=SHORT)
    await js.publish("flap.x", b"old")
    tap = WireTap()
    await tap.listen(nc, "steady.x")
    targets = [{"subject": "flap.x", "name": "flap"}, {"subject": "steady.x", "name": "steady"}]
    fields: dict[str, Any] = {"targets": targets, "max-in-flight": 5, "source": {"ack-wait": "30s"}}
    gateway = await run_gateway({"routes": [route(**fields), route("good")]})
    for number in range(70):
        await js.publish("in.a", b"%d" % number)
    await settled(nc, "good")
    for turn in range(1, 11):
        if turn < 10:
            await eventually(lambda: gateway.stats("r").circuit_open)
        await change_stream(nc, "FLAP", max_msgs=1 + 7 * turn)
        await arrived(nc, "FLAP", 1 + 7 * turn)
    await settled(nc)
    assert sorted(message.json for message in (await arrived(nc, "FLAP", 71))[1:]) == list(range(70))
    assert set(tap.count("steady.x").values()) == {1}
    assert len(tap.messages) == 70
    assert gateway.stats("r").redeliveries == 0


@pytest.mark.fault("target-subject-full")
async def test_a_full_subject_of_a_templated_target_holds_its_own_events_only(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    """A stream that keeps one message a subject refuses the second; that must not stop all the other subjects."""
    limits = {"max_msgs_per_subject": 1, "discard": "new", "discard_new_per_subject": True, "max_msgs": 1000}
    await make_stream(nc, "LAST", ["last.>"], **limits)
    gateway = await run_gateway({"routes": [route(targets=[{"subject": "last.{n}", "name": "last"}])]})
    for n in (1, 1, *range(2, 30)):
        await js.publish("in.a", b'{"n": %d}' % n)
    await arrived(nc, "LAST", 29)
    stats = gateway.stats()
    await eventually(lambda: stats.retries["subject-full"] >= 2)
    assert not stats.circuit_open
    assert await in_flight(nc) == 1
    await js.purge_stream("LAST", subject="last.1")
    await settled(nc)
    assert await count(nc, "LAST") == 29
    assert await count(nc, "DLQ") == 0


@pytest.mark.fault("target-subject-full")
async def test_an_event_for_a_subject_that_stays_full_is_dead_lettered_after_max_age(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    limits = {"max_msgs_per_subject": 1, "discard": "new", "discard_new_per_subject": True, "max_msgs": 1000}
    await make_stream(nc, "LAST", ["last.>"], **limits)
    targets = [{"subject": "last.{n}", "name": "last"}]
    await run_gateway({"routes": [route(targets=targets, retry={"max-age": "500ms"})]})
    for _ in range(2):
        await js.publish("in.a", b'{"n": 1}')
    (letter,) = await arrived(nc, "DLQ", 1)
    assert letter.headers["Gateway-Error-Code"] == "retries-exhausted"
    assert letter.headers["Gateway-Exhausted"] == "max-age"
    assert letter.headers["Gateway-Error-Message"].startswith("subject-full: ")
    await settled(nc)


async def full_and_brief(nc: Client, route: Route) -> dict[str, Any]:
    """A config with two targets: FULL takes nothing, BRIEF all, and soon forgets which ids it has."""
    await make_stream(nc, "FULL", ["full.x"], max_msgs=1, discard="new")
    await make_stream(nc, "BRIEF", ["brief.x"], duplicate_window=SHORT)
    await nc.jetstream().publish("full.x", b"old")
    targets = [{"subject": "full.x", "name": "full"}, {"subject": "brief.x", "name": "brief"}]
    return {"routes": [route(targets=targets, source={"ack-wait": "1s"})]}


@pytest.mark.fault("held-past-window")
async def test_an_event_forgotten_while_one_copy_was_held_is_not_sent_again_where_it_is_stored(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    """A gap longer than ack-wait, and longer than the target's duplicate window: only this process knows."""
    gateway = await run_gateway(await full_and_brief(nc, route))
    for number in range(5):
        await js.publish("in.a", b"%d" % number)
    await arrived(nc, "BRIEF", 5)
    await eventually(lambda: len(gateway.lane()._sender.circuits["full"].held) >= 4)
    gateway.lane().disconnected_for(2)
    assert not gateway.lane().window.entries
    await eventually(lambda: gateway.stats().redeliveries >= 5)
    await change_stream(nc, "FULL", max_msgs=100)
    await arrived(nc, "FULL", 6)
    await settled(nc)
    assert await count(nc, "BRIEF") == 5
    assert gateway.lane().window.stored == {}, "nothing is kept in mind of what is settled"


@pytest.mark.fault("held-past-window")
async def test_a_crash_while_a_copy_is_held_longer_than_the_window_doubles_those_already_sent(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    """What docs/delivery.md says can be doubled, and nothing else: no copy is lost, and the held one comes once."""
    config = await full_and_brief(nc, route)
    first = await run_gateway(config)
    await js.publish("in.a", b"1")
    await arrived(nc, "BRIEF", 1)
    await eventually(lambda: first.stats().circuit_open)
    await first.crash()
    await change_stream(nc, "FULL", max_msgs=100)
    await run_gateway(config)
    await arrived(nc, "FULL", 2)
    await settled(nc)
    first_copy, second_copy = await arrived(nc, "BRIEF", 2)
    assert first_copy.headers["Nats-Msg-Id"] == second_copy.headers["Nats-Msg-Id"], "consumers can tell"
