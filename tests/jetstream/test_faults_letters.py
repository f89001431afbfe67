"""Dead-letter streams that fail: an event that has no other way out stays, and nothing goes round in circles."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from nats.aio.client import Client
from nats.js import JetStreamContext

from gateway import Event, Transform
from tests.jetstream.conftest import Restricted, Route, RunGateway
from tests.support.arrivals import arrived, in_flight, settled
from tests.support.eventually import eventually
from tests.support.logged import logged
from tests.support.streams import api, change_stream, count, make_stream, read_stream


class RejectOdd(Transform, name="reject-odd"):
    """Fail for odd numbers."""

    def apply(self, event: Event) -> Event:
        assert event.body % 2 == 0
        return event


@pytest.mark.usefixtures("streams")
@pytest.mark.fault("letters-deleted")
async def test_a_dead_letter_stream_deleted_while_running_holds_what_cannot_go_on_until_it_is_back(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    """What the deleted one held is gone with it; what fails from then on waits."""
    gateway = await run_gateway({"routes": [route(transforms=["reject-odd"])]}, RejectOdd)
    await js.publish("in.a", b"1")
    await arrived(nc, "DLQ", 1)
    await settled(nc)
    await api(nc, "STREAM.DELETE.DLQ")
    for number in range(2, 8):
        await js.publish("in.a", b"%d" % number)
    stats = await gateway.down("no-stream")
    line = "make one: nats stream add DLQ --subjects 'dlq.>' --defaults"
    assert stats.reason == f"the dead-letter stream: no stream takes dlq.r; {line}"
    await arrived(nc, "OUT", 3)
    assert await in_flight(nc) == 3
    await make_stream(nc, "DLQ", ["dlq.>"])
    await gateway.up()
    assert sorted(letter.json for letter in await arrived(nc, "DLQ", 3)) == [3, 5, 7]
    await settled(nc)


@pytest.mark.usefixtures("streams")
@pytest.mark.fault("letters-no-permission")
async def test_a_forbidden_dead_letter_subject_holds_the_route_and_heals_with_the_permission(
    nc: Client, js: JetStreamContext, restricted: Restricted, route: Route, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.runtime.sender.ANSWER_WAIT", 0.3)
    await restricted.forbid("dlq.>")
    gateway = await restricted.run({"routes": [route(transforms=["reject-odd"])]}, RejectOdd)
    for number in range(4):
        await js.publish("in.a", b"%d" % number)
    stats = await gateway.down("no-permission")
    assert "dlq.r" in stats.reason
    await arrived(nc, "OUT", 2)
    assert (await in_flight(nc), stats.outcomes["dead_lettered"]) == (2, 0)
    restricted.permit()
    await gateway.up()
    await arrived(nc, "DLQ", 2)
    await settled(nc)


@pytest.mark.fault("letters-captured")
async def test_dead_letters_that_come_back_to_their_route_are_parked_and_multiply_no_further(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route, caplog: pytest.LogCaptureFixture
) -> None:
    """The source stream takes them, and both routes read all of it: each letter would make two more, without end."""
    caplog.set_level(logging.WARNING)
    await make_stream(nc, "IN", ["in.>", "dlq.>"])
    await make_stream(nc, "OUT", ["out.>"])
    source = {"subjects": [">"], "ack-wait": "30s"}
    routes = [route(name, source=source, transforms=["reject-odd"]) for name in ("one", "two")]
    gateway = await run_gateway({"routes": routes}, RejectOdd)
    await eventually(lambda: len(logged(caplog, "route.reads-its-letters")) == 2)
    await js.publish("in.a", b"1")
    await js.publish("in.a", b"2")
    one, two = gateway.stats("one"), gateway.stats("two")
    await eventually(lambda: (one.parked, two.parked) == (2, 2))
    assert one.code == "transform-error"
    assert "of IN is parked: dlq.one comes back to the route, and it failed before" in one.reason
    assert one.up
    # Each comes again after retry.max, 400 ms, and is parked again.
    await eventually(lambda: min(one.redeliveries, two.redeliveries) >= 4)
    assert (one.parked, two.parked) == (2, 2)
    subjects = sorted(message.subject for message in await read_stream(nc, "IN"))
    assert subjects == ["dlq.one", "dlq.two", "in.a", "in.a"]
    for name in ("one", "two"):
        assert await in_flight(nc, name) == 2
    await arrived(nc, "OUT", 2)
    assert len(logged(caplog, "event.parked")) == 4, "one line an event, however often it comes again"
    # Whoever mends it takes the letters out of the source.
    await js.purge_stream("IN", subject="dlq.>")
    await settled(nc, "one")
    await gateway.app._gateway.supervisors["one"].poll_pending()
    await eventually(lambda: (one.parked, one.code) == (0, ""))


@pytest.mark.usefixtures("streams")
@pytest.mark.fault("letters-captured")
async def test_routes_that_dead_letter_each_others_dead_letters_end(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    """Neither reads its own, so that only their number tells; an event of a letter's look is none."""
    there = route(
        "there", transforms=["reject-odd"], source={"subjects": ["in.>"]}, **{"dead-letter": {"subject": "back.x"}}
    )
    back = route("back", transforms=["reject-odd"], source={"stream": "BACK", "subjects": ["back.>"]},
                 **{"dead-letter": {"subject": "in.again"}})  # fmt: skip
    await make_stream(nc, "BACK", ["back.>"])
    gateway = await run_gateway({"max-hops": 3, "routes": [there, back]}, RejectOdd)
    await js.publish("in.a", b"1")
    await eventually(lambda: gateway.stats("there").parked + gateway.stats("back").parked == 1)
    assert (await count(nc, "IN"), await count(nc, "BACK")) == (2, 2)


@pytest.mark.usefixtures("streams")
@pytest.mark.fault("letters-captured")
async def test_a_sender_cannot_keep_its_events_out_of_the_dead_letters(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    """A header that looks like a dead letter's is data."""
    gateway = await run_gateway({"routes": [route(transforms=["reject-odd"])]}, RejectOdd)
    await js.publish("in.a", b"1", headers={"Gateway-Error-Code": "x", "Gateway-Route": "r"})
    await arrived(nc, "DLQ", 1)
    await settled(nc)
    assert gateway.stats().parked == 0


@pytest.mark.fault("letters-not-kept")
async def test_a_dead_letter_stream_that_keeps_only_what_is_consumed_is_warned_of(
    nc: Client, run_gateway: RunGateway, route: Route, caplog: pytest.LogCaptureFixture
) -> None:
    """It says that it stored the letter, and has dropped it by then."""
    caplog.set_level(logging.WARNING, "gateway.nats")
    for name in ("IN", "OUT"):
        await make_stream(nc, name, [f"{name.lower()}.>"])
    await make_stream(nc, "DLQ", ["dlq.>"], retention="interest")
    await run_gateway({"routes": [route()], "streams": [{"name": "DLQ", "subjects": ["dlq.>"]}]})
    await eventually(lambda: logged(caplog, "route.letters-not-kept"))
    (warning,) = logged(caplog, "route.letters-not-kept")
    assert warning.message == "DLQ, which takes dlq.r, keeps only what somebody consumes"


@pytest.mark.usefixtures("streams")
@pytest.mark.fault("letters-too-small")
async def test_a_parked_event_is_not_sent_again_to_the_targets_that_have_it(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    """It comes back every retry.max, for longer than any duplicate window, until its dead letter fits."""
    await make_stream(nc, "SMALL", ["small.x"], max_msg_size=500)
    await make_stream(nc, "BRIEF", ["brief.x"], duplicate_window=100_000_000)
    await change_stream(nc, "DLQ", max_msg_size=1000)
    targets: list[dict[str, Any]] = [{"subject": f"{name}.x", "name": name} for name in ("small", "brief")]
    gateway = await run_gateway({"routes": [route(targets=targets)]})
    stats = gateway.stats()
    await js.publish("in.a", b'"' + b"x" * 1000 + b'"')
    await eventually(lambda: stats.parked == 1 and stats.redeliveries >= 3)
    assert stats.code == "too-large"
    assert "event 1 of IN is parked: its dead letter does not fit" in stats.reason
    assert stats.up
    await js.publish("in.a", b"2")
    await arrived(nc, "SMALL", 1)
    await change_stream(nc, "DLQ", max_msg_size=-1)
    (letter,) = await arrived(nc, "DLQ", 1)
    assert letter.headers["Gateway-Failed-Targets"] == "small"
    await settled(nc)
    assert await count(nc, "BRIEF") == 2, "one copy of each event"
    await eventually(lambda: (stats.parked, stats.code) == (0, ""))
