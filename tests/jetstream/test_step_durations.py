"""`step-durations`, measured on events of a real stream: every kind of step, every end, and a reload in between."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from nats.js import JetStreamContext

from gateway import Event, Filter, Reject, Retry, Transform
from tests.jetstream.conftest import Route, RunGateway
from tests.support.eventually import eventually
from tests.support.running import RunningGateway

pytestmark = pytest.mark.usefixtures("streams")


class Asked(Filter, name="asked"):
    """Somebody else is asked, and takes 20 ms; what is odd is a no."""

    async def accepts(self, event: Event) -> bool:
        await asyncio.sleep(0.02)
        return bool(event.body % 2 == 0)


class Threaded(Transform, name="threaded"):
    """Works in a thread of its own; refuses 2 and is not ready for 4 at the first try."""

    blocking = True

    def apply(self, event: Event) -> Event:
        if event.body == 2:
            raise Reject("no-twos", "no")
        if event.body == 4 and event.meta.attempt == 1:
            raise Retry("not yet", after=0.05)
        return event


class Perhaps(Transform, name="perhaps"):
    """Waits for some events only."""

    may_wait = True

    def apply(self, event: Event) -> Any:
        return self.later(event) if event.body == 0 else event

    async def later(self, event: Event) -> Event:
        await asyncio.sleep(0.02)
        return event


def observed(gateway: RunningGateway) -> dict[str, int]:
    return {step: sum(buckets.counts) for step, buckets in gateway.stats().step_durations.items()}


async def test_each_kind_of_step_is_observed_once_for_every_event_that_reaches_it(
    js: JetStreamContext, route: Route, run_gateway: RunGateway
) -> None:
    whole = route(
        "timed",
        filters=["asked"],
        transforms=["threaded", "perhaps"],
        audits=["log"],
        source={"ack-wait": "30s"},
        **{"step-durations": True},
    )
    gateway = await run_gateway({"routes": [whole]}, Asked, Threaded, Perhaps)
    for number in range(10):
        await js.publish("in.a", str(number).encode())
    await eventually(lambda: sum(gateway.stats().outcomes.values()) == 10)
    assert gateway.stats().outcomes == {"published": 4, "filtered": 5, "dropped": 0, "dead_lettered": 1}
    # Event 4 came by twice: each try is one more time through the steps.
    assert observed(gateway) == {
        "decode": 11,
        "filter-0-asked": 11,
        "transform-0-threaded": 6,
        "transform-1-perhaps": 4,
        "publish": 4,
        "audit": 10,
    }
    durations = gateway.stats().step_durations
    assert durations["filter-0-asked"].total >= 11 * 0.02
    assert durations["transform-1-perhaps"].total >= 0.02
    assert durations["publish"].total > 0


async def test_a_reload_switches_it_on_and_off_for_the_route_that_says_so(
    js: JetStreamContext, route: Route, run_gateway: RunGateway
) -> None:
    plain, timed = route("timed"), route("timed", **{"step-durations": True})
    gateway = await run_gateway({"routes": [plain]})
    assert observed(gateway) == {}
    await gateway.reload({"routes": [timed]})
    await gateway.up()
    assert observed(gateway) == {"decode": 0, "publish": 0}
    await js.publish("in.a", b"1")
    await eventually(lambda: gateway.stats().outcomes["published"] == 1)
    assert observed(gateway) == {"decode": 1, "publish": 1}
    await gateway.reload({"routes": [{**timed, "timeout": "4s"}]})
    assert observed(gateway) == {"decode": 1, "publish": 1}
    await gateway.reload({"routes": [plain]})
    assert observed(gateway) == {}


async def test_defaults_switch_it_on_for_every_route(route: Route, run_gateway: RunGateway) -> None:
    """And a route can say no."""
    routes = [route("a"), route("b", **{"step-durations": False})]
    gateway = await run_gateway({"defaults": {"step-durations": True}, "routes": routes})
    assert {name: bool(stats.step_durations) for name, stats in gateway.app.stats.routes.items()} == {
        "a": True,
        "b": False,
    }
