"""A reload while events wait for a target: just what is missing is sent afterwards, whatever the config makes of it."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest
from nats.aio.client import Client
from nats.js import JetStreamContext

from gateway import Event, Retry, Transform
from gateway.jetstream.server import EmbeddedServer
from tests.jetstream.conftest import Route, RunGateway
from tests.support.arrivals import arrived, settled
from tests.support.eventually import eventually
from tests.support.running import RunningGateway, read_config, registry_with
from tests.support.streams import change_stream, consumer_state, count, make_stream, read_stream

HELD = 10
FULL = {"subject": "full.x", "name": "full"}
OUT = {"subject": "out.it", "name": "out"}
LATE = {"subject": "out.late", "name": "late"}


@pytest.fixture(autouse=True)
async def streams(nc: Client) -> None:
    """IN, DLQ, a stream that takes nothing, and OUT, whose duplicate window is over when a copy is sent again."""
    for name in ("IN", "OTHER", "DLQ"):
        await make_stream(nc, name, [f"{name.lower()}.>"])
    await make_stream(nc, "OUT", ["out.>"], duplicate_window=int(100e6))
    await make_stream(nc, "FULL", ["full.>"], max_msgs=1, discard="new")
    await nc.jetstream().publish("full.x", b'{"n": -1}')


async def held(gateway: RunningGateway, js: JetStreamContext, nc: Client, name: str = "") -> None:
    """Ten events, each with its copy in OUT, wait for the target that is full, longer than OUT remembers."""
    for number in range(HELD):
        await js.publish("in.a", b'{"n": %d}' % number)

    async def all_there() -> bool:
        return await count(nc, "OUT") == HELD

    await eventually(all_there)
    await eventually(lambda: gateway.stats(name).circuit_open)
    await asyncio.sleep(0.2)  # the duplicate window itself


async def make_room(nc: Client) -> None:
    await change_stream(nc, "FULL", max_msgs=-1)


async def stored(nc: Client) -> Counter[str]:
    """How many events each subject has, after a look that none is there twice."""
    found: Counter[tuple[str, int]] = Counter()
    for stream in ("OUT", "FULL"):
        found.update((message.subject, message.json["n"]) for message in await read_stream(nc, stream))
    assert max(found.values()) == 1, found
    return Counter(subject for subject, n in found if n >= 0)


@pytest.mark.parametrize(
    ("after", "wanted"),
    [
        ([FULL, OUT, LATE], {"full.x": HELD, "out.it": HELD, "out.late": HELD}),
        ([OUT], {"out.it": HELD}),
        ([OUT, FULL], {"full.x": HELD, "out.it": HELD}),
        ([LATE, OUT, FULL], {"full.x": HELD, "out.it": HELD, "out.late": HELD}),
        ([{**FULL, "name": "another"}, OUT], {"full.x": HELD, "out.it": HELD}),
        ([{**FULL, "subject": "out.instead"}, OUT], {"out.instead": HELD, "out.it": HELD}),
    ],
    ids=["added", "removed", "reordered", "added-first", "renamed", "moved"],
)
async def test_targets_that_change_while_one_is_held_get_what_they_miss_and_nothing_twice(
    nc: Client,
    js: JetStreamContext,
    run_gateway: RunGateway,
    route: Route,
    after: list[dict[str, Any]],
    wanted: dict[str, int],
) -> None:
    """Also where the target that has its copies no longer knows of them: the gateway does."""
    gateway = await run_gateway({"routes": [route(targets=[FULL, OUT], source={"ack-wait": "30s"})]})
    await held(gateway, js, nc)
    await gateway.reload({"routes": [route(targets=after, source={"ack-wait": "30s"})]})
    await make_room(nc)
    await settled(nc)
    assert await stored(nc) == wanted
    assert await count(nc, "DLQ") == 0


async def test_a_target_that_keeps_its_name_and_goes_elsewhere_gets_every_copy(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    """What its stream from before has is not in the new one; published means that each target has it."""
    moved = {**OUT, "subject": "other.it"}
    gateway = await run_gateway({"routes": [route(targets=[FULL, OUT], source={"ack-wait": "30s"})]})
    await held(gateway, js, nc)
    await gateway.reload({"routes": [route(targets=[FULL, moved], source={"ack-wait": "30s"})]})
    await make_room(nc)
    await settled(nc)
    assert sorted(message.json["n"] for message in await read_stream(nc, "OTHER")) == list(range(HELD))
    assert await stored(nc) == {"full.x": HELD, "out.it": HELD}


@pytest.mark.fault("held-past-window")
async def test_reload_after_reload_while_a_target_is_held(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    """What is known of the events goes from each to the next; `published` counts a copy once."""
    gateway = await run_gateway({"routes": [route(targets=[FULL, OUT])]})
    await held(gateway, js, nc)
    for number in range(5):
        await gateway.reload({"routes": [route(targets=[FULL, OUT], description=f"the {number}th")]})
        await eventually(lambda: gateway.stats().circuit_open)
        await asyncio.sleep(0.15)  # OUT's duplicate window
    await make_room(nc)
    await settled(nc)
    assert await stored(nc) == {"full.x": HELD, "out.it": HELD}
    assert gateway.stats().published == {"full": HELD, "out": HELD}


class Later(Transform, name="later"):
    """Never now."""

    def apply(self, event: Event) -> Event:
        raise Retry("not yet", after=0.05)


async def test_tries_of_an_event_count_over_a_reload(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    """A config that is reloaded every minute must not keep an event from its dead letter for ever."""
    retry = {"attempts": 6, "initial": "300ms", "max": "300ms", "factor": 1}
    gateway = await run_gateway({"routes": [route(transforms=["later"], retry=retry)]}, Later)
    await js.publish("in.a", b"1")
    lane = gateway.lane()
    await eventually(lambda: any(tries.failed >= 3 for tries in lane.window.history.values()))
    await gateway.reload({"routes": [route(transforms=["later"], retry=retry, description="another")]}, Later)

    async def dead() -> bool:
        return await count(nc, "DLQ") == 1

    await eventually(dead)
    (letter,) = await read_stream(nc, "DLQ")
    assert letter.headers["Gateway-Attempts"] == "6"
    assert gateway.stats().retries["retry"] == 6


async def test_routes_that_swap_their_durables_never_hold_one_together(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    """Each goes on where the other was; what the one holds goes back before the other asks."""

    def pair(one: str, two: str) -> list[dict[str, Any]]:
        return [
            route("one", source={"durable": one, "ack-wait": "30s"}, targets=[FULL, {**OUT, "subject": "out.one"}]),
            route("two", source={"durable": two, "ack-wait": "30s"}, targets=[{**OUT, "subject": "out.two"}]),
        ]

    gateway = await run_gateway({"routes": pair("d-one", "d-two")})
    for number in range(HELD):
        await js.publish("in.a", b'{"n": %d}' % number)
    await eventually(lambda: gateway.stats("one").circuit_open and gateway.stats("two").received == HELD)
    assert await gateway.reload({"routes": pair("d-two", "d-one")}) == {
        "stopped": [], "replaced": ["one", "two"], "started": []
    }  # fmt: skip
    await gateway.up()

    async def all_settled() -> bool:
        for durable in ("d-one", "d-two"):
            state = await consumer_state(nc, "IN", durable)
            assert (state["num_pending"], state["num_ack_pending"]) == (0, 0)
        return True

    await eventually(all_settled)
    await js.publish("in.a", b'{"n": 100}')
    await make_room(nc)
    await eventually(all_settled)
    found = Counter((message.subject, message.json["n"]) for message in await read_stream(nc, "OUT"))
    # What route one could not finish is route two's now: its copies there bear its own name, and were there before.
    assert all(times == 1 for (subject, n), times in found.items() if n == 100 or subject == "out.one")
    assert {n for subject, n in found if subject == "out.two"} == {*range(HELD), 100}


async def test_a_durable_that_goes_to_another_route_is_opened_after_the_one_that_had_it_has_drained(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    """What hangs in the one is given back, or settled, before the other asks."""
    Hangs.entered, Hangs.may_go = asyncio.Event(), asyncio.Event()
    had = route("had", transforms=["hangs"], source={"durable": "d", "ack-wait": "30s"}, timeout="30s")
    gets = route("gets", source={"durable": "d", "ack-wait": "30s"})
    gateway = await run_gateway({"routes": [had, route("other")]}, Hangs)
    await js.publish("in.a", b'{"n": 1}')
    await asyncio.wait_for(Hangs.entered.wait(), 30)
    reloading = asyncio.create_task(gateway.reload({"routes": [gets, route("new")]}, Hangs))
    await eventually(lambda: "new" in gateway.app.stats.routes)
    await gateway.up("new")
    assert gateway.stats("had").state == "draining"
    assert "gets" not in gateway.app._gateway.supervisors
    Hangs.may_go.set()
    await asyncio.wait_for(reloading, 30)
    await gateway.up()
    state = await consumer_state(nc, "IN", "d")
    assert (state["num_ack_pending"], state["delivered"]["consumer_seq"]) == (0, 1)


async def test_a_durable_of_the_same_name_on_another_stream_is_another_one(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    """Sequences of one stream say nothing of the other's: all of its events are published."""
    gateway = await run_gateway({"routes": [route(targets=[FULL, OUT], source={"durable": "d", "ack-wait": "30s"})]})
    await held(gateway, js, nc)
    for number in range(3):
        await js.publish("other.a", b'{"n": %d}' % (1000 + number))
    other = {"stream": "OTHER", "subjects": ["other.>"], "durable": "d", "ack-wait": "30s"}
    await gateway.reload({"routes": [route(targets=[OUT], source=other)]})

    async def there() -> bool:
        return await count(nc, "OUT") == HELD + 3

    await eventually(there)
    assert (await stored(nc))["out.it"] == HELD + 3
    assert (await consumer_state(nc, "IN", "d"))["ack_floor"]["stream_seq"] == 0, "the first stream keeps what it has"


async def test_no_route_waits_for_the_drain_of_another(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    """One whose step hangs drains for as long as it may; the others go on at once."""
    Hangs.entered, Hangs.may_go = asyncio.Event(), asyncio.Event()
    slow = route("slow", transforms=["hangs"], source={"subjects": ["in.slow"]}, timeout="5m")
    quick = route("quick", source={"subjects": ["in.quick"]})
    gateway = await run_gateway({"drain": "60s", "routes": [slow, quick]}, Hangs)
    await js.publish("in.slow", b'{"n": 1}')
    await asyncio.wait_for(Hangs.entered.wait(), 30)
    changed = [{**slow, "description": "another"}, {**quick, "description": "another"}]
    reloading = asyncio.create_task(gateway.reload({"drain": "60s", "routes": changed}, Hangs))
    await eventually(lambda: gateway.stats("slow").state == "draining")
    await gateway.up("quick")
    await js.publish("in.quick", b'{"n": 2}')
    await settled(nc, "quick")
    assert not reloading.done()
    Hangs.may_go.set()
    await asyncio.wait_for(reloading, 30)
    await gateway.up()
    await settled(nc, "slow")
    assert await stored(nc) == {"out.it": 2}


class Hangs(Transform, name="hangs"):
    """Waits to be told."""

    entered: asyncio.Event
    may_go: asyncio.Event

    async def apply(self, event: Event) -> Event:
        Hangs.entered.set()
        await Hangs.may_go.wait()
        return event


async def test_a_reload_while_there_is_no_server_does_not_wait_for_one(
    nats_server: EmbeddedServer, nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    """Nothing in flight can be finished; it comes again, to the successor, and what is stored stays stored once."""
    gateway = await run_gateway({"routes": [route(targets=[FULL, OUT], source={"ack-wait": "1s"})]})
    await held(gateway, js, nc)
    await nats_server.stop()
    await eventually(lambda: not gateway.app.stats.connected)
    async with asyncio.timeout(20):
        await gateway.reload({"routes": [route(targets=[FULL, OUT, LATE], source={"ack-wait": "1s"})]})
    await nats_server.start()
    await eventually(lambda: nc.is_connected)
    await make_room(nc)
    await gateway.up()
    await settled(nc)
    assert await stored(nc) == {"full.x": HELD, "out.it": HELD, "out.late": HELD}


async def test_a_plugin_that_went_away_keeps_its_route_down_and_its_events_in_the_stream(
    nats_server: EmbeddedServer, nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    """The reload is good, and the other routes go on; with the plugin back, so does this one."""
    Hangs.entered, Hangs.may_go = asyncio.Event(), asyncio.Event()
    Hangs.may_go.set()
    needs = route("needs", transforms=["hangs"], source={"subjects": ["in.needs"]})
    routes = [needs, route("other", source={"subjects": ["in.other"]})]
    gateway = await run_gateway({"routes": routes}, Hangs)
    other = gateway.lane("other")
    config = {"nats": {"servers": [nats_server.url]}, "http": "off", "routes": routes}
    without = registry_with([Hangs], disable=["test"])
    done = await gateway.app.reload(read_config(config, without), without)
    assert done == {"stopped": [], "replaced": ["needs"], "started": []}
    assert (await gateway.down("plugin-missing", "needs")).reason
    for number, name in enumerate(("needs", "other")):
        await js.publish(f"in.{name}", b'{"n": %d}' % number)
    await arrived(nc, "OUT", 1)
    await settled(nc, "other")
    assert gateway.lane("other") is other
    assert await stored(nc) == {"out.it": 1}
    await gateway.reload({"routes": routes}, Hangs)
    await arrived(nc, "OUT", 2)
    await settled(nc, "needs")
    assert await stored(nc) == {"out.it": 2}
