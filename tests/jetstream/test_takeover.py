"""Two replicas of an ordered route: who is active, and how another takes over without a gap."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from typing import Any

import pytest
from nats.aio.client import Client

from gateway.jetstream import pin, pinned, source
from gateway.ports import Answer, AnswerKind
from gateway.runtime import takeover
from gateway.runtime.ordered_lane import OrderedLane
from gateway.runtime.stats import RouteState
from tests.jetstream.conftest import Route, RunGateway
from tests.support.arrivals import arrived, in_flight, settled
from tests.support.eventually import eventually
from tests.support.logged import logged
from tests.support.order import arrivals, by_key, disorder
from tests.support.running import RunningGateway
from tests.support.streams import Stored, api, change_stream, consumer_state

STRICT: Any = "strict"
BY_KEY = {"key": "key"}


@pytest.fixture(autouse=True)
def quick_pin(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pin of a crashed replica lapses sooner than in production."""
    monkeypatch.setattr(pin, "TIMEOUT", 1.0)
    monkeypatch.setattr(pin, "RENEWAL", 0.2)


async def publish(nc: Client, events: range, keys: int = 4) -> None:
    js = nc.jetstream()
    for n in events:
        await js.publish(f"in.{n % keys}", json.dumps({"n": n, "key": f"k{n % keys}"}).encode())


def assert_order(ordering: Any, messages: list[Stored]) -> None:
    assert disorder(arrivals(messages, by_key)) == []
    if ordering == STRICT:
        assert disorder(arrivals(messages)) == []


def ordered(gateway: RunningGateway) -> OrderedLane:
    """Its lane."""
    lane = gateway.lane()
    assert isinstance(lane, OrderedLane)
    return lane


async def active(*gateways: RunningGateway) -> RunningGateway:
    """The one whose route may begin events."""

    def one() -> list[RunningGateway]:
        found = [gateway for gateway in gateways if ordered(gateway).order.open]
        assert len(found) == 1, f"{len(found)} are active"
        return found

    return (await eventually(one, what="one active"))[0]


async def pair(
    nc: Client, run_gateway: RunGateway, config: dict[str, Any], events: int = 16
) -> tuple[RunningGateway, RunningGateway]:
    """Two replicas, the first one active, given most of so many events, which it cannot get rid of."""
    await change_stream(nc, "OUT", max_msgs=1, discard="new")
    one = await run_gateway(config)
    await publish(nc, range(1))
    await active(one)
    two = await run_gateway(config)
    await publish(nc, range(1, events + 1))
    await eventually(lambda: _has(nc, events // 2), what="they are given to the first")
    return one, two


async def _has(nc: Client, events: int) -> bool:
    assert await in_flight(nc) >= events, await in_flight(nc)
    return True


async def failed_over(
    nc: Client, run_gateway: RunGateway, route: Route, ordering: Any, ack_wait: str = "1s"
) -> RunningGateway:
    """The replica that has brought everything in order after another crashed, with events in hand and others behind."""
    config = {"routes": [route(ordering=ordering, source={"ack-wait": ack_wait}, **{"max-in-flight": 16})]}
    one, two = await pair(nc, run_gateway, config)
    await publish(nc, range(17, 41))
    await one.crash()
    await change_stream(nc, "OUT", max_msgs=-1, discard="new")
    assert_order(ordering, await arrived(nc, "OUT", 41))
    return two


@pytest.mark.fault("active-replica-dies")
@pytest.mark.parametrize("ordering", [STRICT, BY_KEY])
async def test_what_a_crashed_replica_was_given_goes_first(
    nc: Client, streams: None, run_gateway: RunGateway, route: Route, ordering: Any
) -> None:
    """The next one is given later events first, and holds them until the earlier ones are there."""
    two = await failed_over(nc, run_gateway, route, ordering)
    await settled(nc)
    assert two.stats().outcomes["published"] == 40


async def test_strict_does_not_wait_for_ack_wait(
    nc: Client, streams: None, run_gateway: RunGateway, route: Route, caplog: pytest.LogCaptureFixture
) -> None:
    """The consumer is set back to its floor, so that failover takes seconds, not ack-wait; the log says so."""
    began = time.monotonic()
    await failed_over(nc, run_gateway, route, STRICT, ack_wait="60s")
    assert time.monotonic() - began < 40
    assert logged(caplog, "route.set-back")


async def test_strict_goes_on_though_nothing_new_comes_that_could_make_a_standby_active(
    nc: Client, streams: None, run_gateway: RunGateway, route: Route
) -> None:
    """The pin goes with a message, and all there are were given to the replica that is gone."""
    config = {"routes": [route(ordering=STRICT, source={"ack-wait": "60s"}, **{"max-in-flight": 16})]}
    one, _ = await pair(nc, run_gateway, config, events=8)
    await eventually(lambda: _nothing_waits(nc), what="all are given to the first")
    await one.crash()
    await change_stream(nc, "OUT", max_msgs=-1, discard="new")
    assert_order(STRICT, await arrived(nc, "OUT", 9))


async def test_strict_goes_on_though_all_that_may_be_given_out_was_given_to_one_that_is_gone(
    nc: Client, streams: None, run_gateway: RunGateway, route: Route
) -> None:
    """Events wait, and max-ack-pending keeps them from a standby: none would make it active before ack-wait."""
    source = {"ack-wait": "60s", "max-ack-pending": 8}
    config = {"routes": [route(ordering=STRICT, source=source, **{"max-in-flight": 16})]}
    one, _ = await pair(nc, run_gateway, config)
    await one.crash()
    await change_stream(nc, "OUT", max_msgs=-1, discard="new")
    assert_order(STRICT, await arrived(nc, "OUT", 17))


async def _nothing_waits(nc: Client) -> bool:
    return (await consumer_state(nc, "IN", "gateway-r"))["num_pending"] == 0


async def test_a_server_that_cannot_set_back_is_waited_for(
    nc: Client, streams: None, run_gateway: RunGateway, route: Route, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before 2.14 the events of the crashed replica come back after their ack-wait, and nothing goes before them."""
    monkeypatch.setattr(pinned, "RESET_SINCE", (99, 0))
    two = await failed_over(nc, run_gateway, route, STRICT)
    assert two.stats().outcomes["published"] == 40


@pytest.mark.parametrize("ordering", [STRICT, BY_KEY])
async def test_a_replica_that_drains_hands_over_at_once(
    nc: Client, streams: None, run_gateway: RunGateway, route: Route, ordering: Any
) -> None:
    """It gives back what it holds, and the pin: nobody waits for ack-wait, nor for the pin to lapse."""
    config = {"drain": "300ms", "routes": [route(ordering=ordering, source={"ack-wait": "60s"})]}
    one, two = await pair(nc, run_gateway, config)
    await publish(nc, range(17, 41))
    await change_stream(nc, "OUT", max_msgs=-1, discard="new")
    began = time.monotonic()
    await asyncio.gather(one.stop(), active(two))
    assert time.monotonic() - began < 40
    assert_order(ordering, await arrived(nc, "OUT", 41))
    await settled(nc)


@pytest.mark.parametrize("ordering", [STRICT, BY_KEY])
async def test_what_a_reload_hands_back_is_asked_for_and_not_set_back(
    nc: Client,
    streams: None,
    run_gateway: RunGateway,
    route: Route,
    ordering: Any,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It comes at once; a warning at every reload would be none, and deliveries would be counted from 1 again."""
    monkeypatch.setattr(takeover, "LOOK", 5.0)
    await change_stream(nc, "OUT", max_msgs=1, discard="new")
    config = {"routes": [route(ordering=ordering, source={"ack-wait": "60s"})]}
    gateway = await run_gateway(config)
    await publish(nc, range(9))
    await eventually(lambda: _has(nc, 8), what="eight events wait for the target")
    config["routes"][0]["description"] = "another"
    await gateway.reload(config)
    await change_stream(nc, "OUT", max_msgs=-1)
    assert_order(ordering, await arrived(nc, "OUT", 9))
    assert not logged(caplog, "route.set-back")
    assert not logged(caplog, "route.forgot")


async def test_a_standby_is_up_and_says_so(
    nc: Client,
    streams: None,
    run_gateway: RunGateway,
    route: Route,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It is healthy, and has nothing to do until it is active. One that starts as standby is told in the log, once."""
    caplog.set_level(logging.INFO, "gateway.route")
    monkeypatch.setattr("gateway.runtime.gateway.POLL_PENDING", 0.1)
    config = {"routes": [route(ordering=STRICT)]}
    one = await run_gateway(config)
    await publish(nc, range(1))
    await arrived(nc, "OUT", 1)
    two = await run_gateway(config)
    await eventually(lambda: two.stats().code == "standby")
    assert two.stats().state is RouteState.UP
    swept_at = two.app.swept_at
    await eventually(lambda: two.app.swept_at > swept_at + 0.25, what="some looks later")
    assert (one.stats().code, one.stats().state) == ("", RouteState.UP)
    await one.stop()
    await publish(nc, range(1, 2))
    await arrived(nc, "OUT", 2)
    assert two.stats().code == ""
    assert len(logged(caplog, "route.standby")) == 1, "however often it was looked at"


async def test_the_pin_is_kept_while_nothing_can_be_asked_for(
    nc: Client, streams: None, run_gateway: RunGateway, route: Route, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a full window and an open circuit the active replica stays active, and its requests do not pile up."""
    monkeypatch.setattr(pin, "TIMEOUT", 2.0)
    config = {"routes": [route(ordering=STRICT, **{"max-in-flight": 4})]}
    one, _ = await pair(nc, run_gateway, config, 4)
    await publish(nc, range(5, 20))
    holder = (await consumer_state(nc, "IN", "gateway-r"))["priority_groups"][0]["pinned_client_id"]
    until = time.monotonic() + 1.3 * pin.TIMEOUT

    async def later() -> bool:
        state = await consumer_state(nc, "IN", "gateway-r")
        assert state["priority_groups"][0]["pinned_client_id"] == holder or pytest.fail("the pin was lost")
        assert state["num_ack_pending"] <= 4 or pytest.fail("more was asked for")
        assert state["num_waiting"] <= 3 or pytest.fail("requests pile up")
        return time.monotonic() > until

    await eventually(later, interval=0.1)
    assert (await active(one)) is one


async def test_renewals_are_no_sign_of_life_of_the_pulls(
    nc: Client,
    streams: None,
    run_gateway: RunGateway,
    route: Route,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A server that dies takes the pulls with it, and the next one answers renewals: they must be asked again."""
    monkeypatch.setattr(source, "SILENCE", 1.0)
    gateway = await run_gateway({"routes": [route(ordering=STRICT)]})
    await publish(nc, range(1))
    await active(gateway)
    await eventually(lambda: "source.silent" in {getattr(record, "event", "") for record in caplog.records} or None)
    await publish(nc, range(1, 3))
    await arrived(nc, "OUT", 3)


async def test_what_is_purged_during_a_takeover_is_not_waited_for(
    nc: Client, streams: None, run_gateway: RunGateway, route: Route, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither what the crashed replica had, nor what this one has in hand. The wait is told once, as it begins."""
    caplog.set_level(logging.INFO, "gateway.route")
    config = {"routes": [route(ordering=BY_KEY, source={"ack-wait": "60s"}, **{"max-in-flight": 16})]}
    one, two = await pair(nc, run_gateway, config)
    await publish(nc, range(17, 41))
    await one.crash()
    await eventually(lambda: two.stats().code == "waiting-for-order")
    (line,) = await eventually(lambda: logged(caplog, "route.waiting-for-order"))
    assert line.__dict__["events"] > 0
    assert line.__dict__["seconds"] == 60
    first = min(ordered(two).window.entries)
    assert first > 2, "later events should have come first"
    await api(nc, "STREAM.PURGE.IN", {"seq": first + 1})
    await change_stream(nc, "OUT", max_msgs=-1, discard="new")
    messages = await arrived(nc, "OUT", 41 - first + 1)
    assert_order(BY_KEY, messages)
    await settled(nc)
    assert len(logged(caplog, "route.waiting-for-order")) == 1, "however often it was looked at"


@pytest.mark.fault("active-replica-frozen")
async def test_a_process_that_stood_still_drops_what_it_holds_before_it_looks_at_what_has_arrived(
    nc: Client, streams: None, run_gateway: RunGateway, route: Route
) -> None:
    """An answer that waited in the socket would begin the next event, of which another replica may be past."""
    await change_stream(nc, "OUT", max_msgs=1, discard="new")
    gateway = await run_gateway({"routes": [route(ordering=STRICT, source={"ack-wait": "1s"})]})
    await publish(nc, range(8))
    lane = ordered(gateway)
    await eventually(lambda: len(lane.window.entries) == 7)
    lane._last_sweep -= 10
    lane.answered(0, Answer(AnswerKind.IGNORED))
    assert not lane.window.entries
    assert not lane.order.open
    await change_stream(nc, "OUT", max_msgs=-1, discard="new")
    assert_order(STRICT, await arrived(nc, "OUT", 8))
