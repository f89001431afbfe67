"""A target that cannot take anything now: copies wait in the window, pulling pauses, it heals without a redelivery."""

from __future__ import annotations

import logging
import time
from collections import Counter
from typing import Any

import pytest
from nats.aio.client import Client
from nats.js import JetStreamContext

from tests.jetstream.conftest import Route, RunGateway
from tests.support.arrivals import arrived, in_flight, settled
from tests.support.eventually import eventually
from tests.support.running import read_config, registry_with
from tests.support.streams import api, consumer_state, count, make_stream, read_stream

pytestmark = pytest.mark.usefixtures("streams")

TO_FULL = {"subject": "full.x", "name": "full"}


@pytest.fixture
async def full(nc: Client, js: JetStreamContext, streams: None) -> None:
    """FULL takes three messages and refuses the next one; one is in it already."""
    await make_stream(nc, "FULL", ["full.>"], max_msgs=3, discard="new")
    await js.publish("full.old", b'"old"')


async def make_room(nc: Client, messages: int) -> None:
    """Let FULL take more."""
    config = {"name": "FULL", "subjects": ["full.>"], "max_msgs": messages, "discard": "new", "storage": "file"}
    answer = await api(nc, "STREAM.UPDATE.FULL", config)
    assert "error" not in answer, answer


@pytest.mark.usefixtures("full")
@pytest.mark.fault("target-full")
async def test_a_full_stream_holds_its_copies_pauses_the_pulling_and_heals_when_space_is_made(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    targets = [TO_FULL, {"subject": "out.x", "name": "other"}]
    fields: dict[str, Any] = {"targets": targets, "source": {"ack-wait": "3s"}, "max-in-flight": 4}
    gateway = await run_gateway({"routes": [route(**fields)]})
    stats = gateway.stats()
    for number in range(20):
        await js.publish("in.a", b"%d" % number)
    await eventually(lambda: stats.circuit_open and stats.retries["stream-full"] > 0)
    held = time.monotonic()
    # Longer than ack-wait: what is held must stay ours.
    await eventually(lambda: time.monotonic() - held > 3.3)
    assert stats.up, "a target that is busy is no fault of the route"
    assert stats.circuit_open
    state = await consumer_state(nc, "IN", "gateway-r")
    assert state["num_pending"] > 0, "nothing more is pulled"
    assert 1 <= state["num_ack_pending"] <= 8
    assert state["ack_floor"]["stream_seq"] <= 2, "nothing is settled before the stream has its copy"
    assert (state["num_redelivered"], stats.redeliveries) == (0, 0)
    assert stats.published["full"] == 2
    await make_room(nc, 100)
    made = time.monotonic()
    messages = await arrived(nc, "FULL", 21)
    assert time.monotonic() - made < 15
    assert sorted(message.json for message in messages[1:]) == list(range(20))
    await settled(nc)
    assert sorted(message.json for message in await arrived(nc, "OUT", 20)) == list(range(20)), "sent once each"
    assert stats.duplicates == {"full": 0, "other": 0}, "only missing copies are sent again"
    await eventually(lambda: not stats.circuit_open)
    assert await count(nc, "DLQ") == 0


@pytest.mark.usefixtures("full")
@pytest.mark.fault("target-max-age")
async def test_a_copy_held_longer_than_max_age_is_dead_lettered(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    targets = [TO_FULL, {"subject": "out.x", "name": "other"}]
    await run_gateway({"routes": [route(targets=targets, retry={"max-age": "1s"})]})
    for number in range(3):
        await js.publish("in.a", b"%d" % number)
    (letter,) = await arrived(nc, "DLQ", 1)
    wanted = {
        "Gateway-Error-Code": "retries-exhausted",
        "Gateway-Exhausted": "max-age",
        "Gateway-Failed-Targets": "full",
        "Gateway-Error-Step": "publish",
    }
    assert {name: letter.headers.get(name) for name in wanted} == wanted
    assert "stream-full" in letter.headers["Gateway-Error-Message"]
    assert int(letter.headers["Gateway-Attempts"]) > 1
    await arrived(nc, "OUT", 3)
    await settled(nc)


@pytest.mark.usefixtures("full")
async def test_a_target_that_is_full_and_then_gone_does_not_hold_its_copies_for_ever(
    nc: Client,
    js: JetStreamContext,
    run_gateway: RunGateway,
    route: Route,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The copy that probes the target is refused for good; the others must be tried, too, and the lane go on."""
    monkeypatch.setattr("gateway.routing.verdict.REFUSAL_CONFIRMED_AFTER", 0.5)
    gateway = await run_gateway({"routes": [route(targets=[{"subject": "{to}.x", "name": "to"}])]})
    for _ in range(5):
        await js.publish("in.a", b'{"to": "full"}')
    await eventually(lambda: gateway.stats().circuit_open)
    await api(nc, "STREAM.DELETE.FULL")
    letters = await arrived(nc, "DLQ", 3)
    assert {letter.headers["Gateway-Error-Code"] for letter in letters} == {"no-stream"}
    await js.publish("in.a", b'{"to": "out"}')
    await arrived(nc, "OUT", 1)
    await settled(nc)
    await eventually(lambda: not gateway.stats().circuit_open)


@pytest.mark.usefixtures("full")
async def test_what_is_forgotten_while_it_probes_leaves_no_circuit_open(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    gateway = await run_gateway({"routes": [route(targets=[TO_FULL], source={"ack-wait": "1s"})]})
    for number in range(10):
        await js.publish("in.a", b"%d" % number)
    lane = gateway.lane()
    circuit = lane._sender.circuits["full"]
    await eventually(lambda: circuit.open and circuit.probing is not None, what="a probe is under way", interval=0)
    lane.disconnected_for(5)
    await make_room(nc, 100)
    messages = await arrived(nc, "FULL", 11)
    assert sorted(message.json for message in messages[1:]) == list(range(10))
    await settled(nc)


@pytest.mark.fault("false-puback")
async def test_whoever_answers_on_a_target_subject_is_no_stream(
    nc: Client,
    js: JetStreamContext,
    run_gateway: RunGateway,
    route: Route,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A core subscriber's `{"ok":true}` is not a PubAck: the event would be settled and stored nowhere."""
    monkeypatch.setattr("gateway.runtime.sender.ANSWER_WAIT", 0.5)
    answers = [b'{"ok":true}', b"", b"+ACK", b'{"stream":"","seq":1}', b'{"stream":"S","seq":0}', b"\xff", b"[" * 5000]
    asked = 0

    async def answer(message: Any) -> None:
        nonlocal asked
        asked += 1
        for data in answers:
            await message.respond(data)

    await nc.subscribe("fake.>", cb=answer)
    await nc.flush()
    gateway = await run_gateway({"routes": [route(targets=[{"subject": "{to}.x", "name": "to"}])]})
    await js.publish("in.a", b'{"to": "fake"}')
    await eventually(lambda: asked > 1)
    assert await in_flight(nc) == 1
    assert gateway.stats().ignored_answers >= len(answers)
    assert gateway.stats().outcomes["published"] == 0
    await make_stream(nc, "FAKE", ["fake.>"])
    await arrived(nc, "FAKE", 1)
    await settled(nc)


@pytest.mark.fault("false-puback")
async def test_a_second_subscriber_who_answers_first_does_not_settle_a_copy(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    """Where the target names its stream, a PubAck of any other stream is none."""

    async def answer(message: Any) -> None:
        await message.respond(b'{"stream":"EVIL","seq":1}')

    await nc.subscribe("out.>", cb=answer)
    await nc.flush()
    gateway = await run_gateway({"routes": [route(targets=[{"subject": "out.x", "stream": "OUT", "name": "out"}])]})
    for number in range(20):
        await js.publish("in.a", b"%d" % number)
    await arrived(nc, "OUT", 20)
    await settled(nc)
    await eventually(lambda: gateway.stats().ignored_answers >= 20)
    assert len(await read_stream(nc, "OUT")) == 20


@pytest.mark.usefixtures("full")
async def test_a_held_copy_that_is_refused_late_holds_up_nobody(
    nc: Client,
    js: JetStreamContext,
    run_gateway: RunGateway,
    route: Route,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A slow stream's no comes when the copy waits for its next turn already: it must not be tried, nor waited for."""
    monkeypatch.setattr("gateway.runtime.sender.ANSWER_WAIT", 0.5)
    await make_room(nc, 1)
    seen: list[bytes] = []
    waits: list[bool] = []

    async def stream(message: Any) -> None:
        """Silent to the first one until it is held, then it is too large; everybody else is stored."""
        seen.append(message.data)
        if message.data == b'"large"':
            await eventually(lambda: circuit.held)
            waits.append(circuit.open)
            await message.respond(b'{"error":{"code":400,"err_code":10054,"description":"message size exceeds"}}')
        else:
            await message.respond(b'{"stream":"SLOW","seq":%d}' % len(seen))

    await nc.subscribe("slow.*", cb=stream)
    await nc.flush()
    targets = [{"subject": "slow.{$subject.1}", "name": "slow"}, TO_FULL]
    gateway = await run_gateway(
        {"routes": [route(targets=targets, retry={"initial": "2s", "max": "2s"}, **{"max-in-flight": 2})]}
    )
    circuit = gateway.lane()._sender.circuits["slow"]
    await js.publish("in.a", b'"large"')
    await eventually(
        lambda: any(copy.code for entry in gateway.lane().window.entries.values() for copy in entry.copies)
    )
    assert waits == [True], "it waited when the answer came"
    await eventually(lambda: not circuit.open, what="the circuit closes: nobody waits")
    await make_room(nc, 4)
    await js.publish("in.a", b'"small"')
    await eventually(lambda: seen[-1] == b'"small"')
    assert seen.count(b'"large"') == 1
    await settled(nc)
    assert [letter.headers["Gateway-Error-Code"] for letter in await arrived(nc, "DLQ", 1)] == ["too-large"]


async def test_nothing_is_remembered_of_copies_that_have_their_fate(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A publish that was never answered is forgotten with its copy, stored or refused by a later one: each would stay
    for as long as the daemon runs.
    """
    monkeypatch.setattr("gateway.runtime.sender.ANSWER_WAIT", 0.3)
    seen: Counter[bytes] = Counter()

    async def stream(message: Any) -> None:
        """Silent at each one's first time; then every other one is stored, the rest is too large."""
        seen[message.data] += 1
        if seen[message.data] > 1:
            stored = int(message.data) % 2
            error = b'{"error":{"code":400,"err_code":10054,"description":"message size exceeds"}}'
            await message.respond(b'{"stream":"SLOW","seq":1}' if stored else error)

    await nc.subscribe("slow.*", cb=stream)
    await nc.flush()
    gateway = await run_gateway({"routes": [route(targets=[{"subject": "slow.{$subject.1}", "name": "slow"}])]})
    for number in range(20):
        await js.publish("in.a", b"%d" % number)
    await settled(nc)
    await arrived(nc, "DLQ", 10)
    assert min(seen.values()) >= 2
    sender = gateway.lane()._sender
    assert (sender._pending, len(sender._lookups), sender.circuits["slow"].held) == ({}, 0, {})


@pytest.mark.usefixtures("full")
async def test_a_target_that_holds_events_is_told_once_in_the_log_and_as_long_as_it_lasts_in_the_status(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "gateway.route")
    gateway = await run_gateway({"routes": [route(targets=[TO_FULL])]})
    stats = gateway.stats()
    for number in range(10):
        await js.publish("in.a", b"%d" % number)
    await eventually(lambda: stats.retries["stream-full"] > 3 and (stats.state, stats.code) == ("up", "stream-full"))
    assert stats.reason.startswith("target full cannot take events now, they are held: ")
    told = [record.__dict__["event"] for record in caplog.records]
    assert told.count("target.held") == 1, "however often it is tried"
    assert {record.__dict__.get("target", "full") for record in caplog.records} == {"full"}, "its name"
    await make_room(nc, 100)
    await arrived(nc, "FULL", 11)
    await settled(nc)
    # The sweep tells of it, a tenth of a second later.
    await eventually(lambda: (stats.state, stats.code, stats.reason) == ("up", "", ""))
    told = [record.__dict__["event"] for record in caplog.records]
    assert (told.count("target.held"), told.count("target.healed")) == (1, 1)


@pytest.mark.fault("target-deleted")
async def test_a_named_stream_that_is_gone_holds_the_events_of_templated_subjects_too(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    """No value of an event can be at fault when the stream that its target names is not there at all."""
    await make_stream(nc, "BILLING", ["billing.>"])
    targets = [{"subject": "billing.{n}", "name": "billing", "stream": "BILLING"}]
    gateway = await run_gateway({"routes": [route(targets=targets)]})
    await api(nc, "STREAM.DELETE.BILLING")
    await js.publish("in.a", b'{"n": 1}')
    stats = await gateway.down("no-stream")
    hint = "make one: nats stream add BILLING --subjects 'billing.*' --defaults"
    assert stats.reason == f"target billing: there is no stream BILLING; {hint}"
    await make_stream(nc, "BILLING", ["billing.>"])
    assert [message.subject for message in await arrived(nc, "BILLING", 1)] == ["billing.1"]
    await gateway.up()
    await settled(nc)
    assert await count(nc, "DLQ") == 0


@pytest.mark.usefixtures("full")
async def test_a_reload_does_not_wait_for_what_a_target_cannot_take(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    """The successor may be what mends it; it takes over the held events, and their ids keep copies single."""
    targets = [TO_FULL, {"subject": "out.x", "name": "other"}]
    gateway = await run_gateway({"drain": "30s", "routes": [route(targets=targets)]})
    for number in range(5):
        await js.publish("in.a", b"%d" % number)
    await eventually(lambda: gateway.stats().circuit_open)
    began = time.monotonic()
    mended = route(targets=[{"subject": "out.full", "name": "full"}, targets[1]])
    running = gateway.app.config
    config = {"nats": {"servers": running.nats.servers}, "drain": "30s", "routes": [mended]}
    registry = registry_with(())
    await gateway.app.reload(read_config(config, registry), registry)
    assert time.monotonic() - began < 10
    await eventually(lambda: gateway.stats().outcomes["published"] == 5)
    await settled(nc)
    subjects = Counter(message.subject for message in await read_stream(nc, "OUT"))
    assert subjects == {"out.x": 5, "out.full": 3}, "two copies had been taken before"
