"""Passing faults of an event: tried again by the policy, handed over when the pause is long, given up in the end."""

from __future__ import annotations

import asyncio
import logging
import time
from itertools import pairwise
from typing import Any, ClassVar

import pytest
from nats.aio.client import Client
from nats.js import JetStreamContext

from gateway import Event, Filter, Retry, Settings, Transform
from tests.jetstream.conftest import Route, RunGateway
from tests.support.arrivals import arrived, in_flight, settled
from tests.support.eventually import eventually
from tests.support.streams import consumer_state

pytestmark = pytest.mark.usefixtures("streams")


class Flaky(Transform, name="flaky"):
    """Ask for another try so many times, then let the event pass with the number of its try."""

    class Config(Settings):
        times: int
        after: float | None = None

    config: Config
    tries: ClassVar[list[tuple[int, int, float]]] = []
    """Attempt, deliveries, time."""

    def prepare(self) -> None:
        self.tries.clear()

    def apply(self, event: Event) -> Event:
        self.tries.append((event.meta.attempt, event.meta.deliveries, time.monotonic()))
        if len(self.tries) <= self.config.times:
            raise Retry("not yet", after=self.config.after)
        return event.set("attempt", event.meta.attempt)


class Slow(Filter, name="slow"):
    """Take for ever."""

    cancelled: ClassVar[int] = 0

    async def accepts(self, event: Event) -> bool:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            Slow.cancelled += 1
            raise
        return True


def flaky(times: int, after: float | None = None) -> list[Any]:
    """The step `flaky`."""
    return [{"flaky": {"times": times, **({} if after is None else {"after": after})}}]


async def test_an_event_is_tried_again_in_this_process_and_counts_its_tries(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    gateway = await run_gateway({"routes": [route(transforms=[*flaky(3), {"set": {"try": "{$attempt}"}}])]}, Flaky)
    await js.publish("in.a", b"{}")
    (message,) = await arrived(nc, "OUT", 1)
    assert message.json == {"attempt": 4, "try": 4}
    assert [(attempt, deliveries) for attempt, deliveries, _ in Flaky.tries] == [(1, 1), (2, 1), (3, 1), (4, 1)]
    times = [at for _, _, at in Flaky.tries]
    pauses = [later - at for at, later in pairwise(times)]
    assert all(wanted <= pause < wanted + 5 for wanted, pause in zip((0.1, 0.2, 0.4), pauses, strict=True)), pauses
    await settled(nc)
    assert gateway.stats().retries["retry"] == 3
    assert not gateway.lane().window.history, "what is settled is not remembered"


async def test_a_component_says_when_to_try_again(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    await run_gateway({"routes": [route(transforms=flaky(1, after=0.7))]}, Flaky)
    await js.publish("in.a", b"{}")
    await arrived(nc, "OUT", 1)
    (_, _, first), (_, _, second) = Flaky.tries
    assert 0.7 <= second - first < 0.7 + 5


async def test_after_its_attempts_it_is_dead_lettered(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    await run_gateway({"routes": [route(transforms=flaky(99), retry={"attempts": 3})]}, Flaky)
    await js.publish("in.a", b'{"a": 1}')
    (letter,) = await arrived(nc, "DLQ", 1)
    wanted = {
        "Gateway-Error-Code": "retries-exhausted",
        "Gateway-Error-Step": "transform-0-flaky",
        "Gateway-Error-Message": "retry: not yet",
        "Gateway-Exhausted": "attempts",
        "Gateway-Attempts": "3",
    }
    assert {name: letter.headers[name] for name in wanted} == wanted
    assert len(Flaky.tries) == 3
    await settled(nc)


async def test_after_its_max_age_it_is_dead_lettered(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    await run_gateway({"routes": [route(transforms=flaky(99), retry={"attempts": 99, "max-age": "700ms"})]}, Flaky)
    await js.publish("in.a", b"{}")
    (letter,) = await arrived(nc, "DLQ", 1)
    assert letter.headers["Gateway-Exhausted"] == "max-age"
    assert int(letter.headers["Gateway-Attempts"]) == len(Flaky.tries)
    await settled(nc)


async def test_a_pause_within_ack_wait_is_spent_in_the_window_without_a_redelivery(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    gateway = await run_gateway({"routes": [route(transforms=flaky(2, after=3), source={"ack-wait": "4s"})]}, Flaky)
    await js.publish("in.a", b"{}")
    await arrived(nc, "OUT", 1)
    await settled(nc)
    assert gateway.stats().received == 1


async def test_a_pause_longer_than_ack_wait_is_handed_to_the_server_and_the_tries_are_remembered(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    gateway = await run_gateway({"routes": [route(transforms=flaky(1, after=2.3), source={"ack-wait": "2s"})]}, Flaky)
    await js.publish("in.a", b"{}")
    await eventually(lambda: gateway.stats().retries["retry"] == 1 and not gateway.lane().window.entries)
    (message,) = await arrived(nc, "OUT", 1)
    assert message.json == {"attempt": 2}
    (_, _, first), (_, _, second) = Flaky.tries
    assert [(attempt, deliveries) for attempt, deliveries, _ in Flaky.tries] == [(1, 1), (2, 2)]
    assert 2.2 <= second - first < 2.2 + 5
    await settled(nc)


async def test_a_step_over_its_time_is_cancelled_and_tried_again_until_the_attempts_are_used_up(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    Slow.cancelled = 0
    fields = {"filters": ["slow"], "timeout": "200ms", "retry": {"attempts": 2}}
    gateway = await run_gateway({"routes": [route(**fields)]}, Slow)
    await js.publish("in.a", b"{}")
    (letter,) = await arrived(nc, "DLQ", 1)
    assert letter.headers["Gateway-Error-Code"] == "retries-exhausted"
    assert letter.headers["Gateway-Error-Message"].startswith("step-timeout: filter-0-slow took longer than 0.2 s")
    assert (letter.headers["Gateway-Attempts"], letter.headers["Gateway-Exhausted"]) == ("2", "attempts")
    assert Slow.cancelled == 2
    await settled(nc)
    assert gateway.stats().retries["step-timeout"] == 2
    assert gateway.stats().up


class ByKey(Transform, name="by-key"):
    """Let only good events pass."""

    def apply(self, event: Event) -> Event:
        if event.get("bad"):
            raise Retry("not yet")
        return event


async def test_events_that_wait_for_their_next_try_do_not_hold_up_the_others(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    gateway = await run_gateway({"routes": [route(transforms=["by-key"], retry={"initial": "1m", "max": "1m"})]}, ByKey)
    for number in range(20):
        await js.publish("in.a", b'{"bad": true}' if number % 2 else b"{}")
    await arrived(nc, "OUT", 10)
    await eventually(lambda: gateway.stats().retries["retry"] == 10)
    assert await in_flight(nc) == 10, "given back, not settled"
    assert (await consumer_state(nc, "IN", "gateway-r"))["num_pending"] == 0


async def test_a_retry_is_told_in_the_log_with_step_and_reason(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route, caplog: pytest.LogCaptureFixture
) -> None:
    """A service that is away must not first be seen when its events are dead letters."""
    caplog.set_level(logging.WARNING, "gateway.route")

    class Away(Filter, name="away"):
        """Ask somebody who is not there."""

        def accepts(self, event: Event) -> bool:
            raise Retry("the risk service is away", code="risk-away")

    gateway = await run_gateway({"routes": [route(filters=["away"], retry={"attempts": 4})]}, Away)
    await js.publish("in.a", b"{}")
    await eventually(lambda: gateway.stats().outcomes["dead_lettered"] == 1)
    told = [record for record in caplog.records if record.__dict__.get("event") == "event.retried"]
    assert [record.getMessage() for record in told] == [
        "event 1 of IN is tried again: risk-away in filter-0-away: the risk service is away"
    ] * 4
