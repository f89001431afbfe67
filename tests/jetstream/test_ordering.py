"""Ordered routes on one gateway: retries, full targets, splits, filters, dead letters, a server that dies."""

from __future__ import annotations

import json
from typing import Any

import pytest
from nats.aio.client import Client

from gateway import Event, Filter, Reject, Retry, Transform
from gateway.jetstream import pin
from gateway.jetstream.server import EmbeddedServer
from tests.jetstream.conftest import Route, RunGateway
from tests.support.arrivals import arrived, settled
from tests.support.eventually import LONG, eventually
from tests.support.order import arrivals, by_key, disorder
from tests.support.streams import api, change_stream, consumer_state, count, make_stream, read_stream

STRICT: Any = "strict"
BY_KEY = {"key": "key"}


class Flaky(Transform, name="flaky"):
    """Every third event fails twice before it goes through, each for another time; `poison` is rejected."""

    def prepare(self) -> None:
        self.tries: dict[int, int] = {}

    def apply(self, event: Event) -> Event:
        n = event.get("n")
        tries = self.tries[n] = self.tries.get(n, 0) + 1
        if event.get("poison"):
            raise Reject("poison", "never goes through")
        if n % 3 == 0 and tries < 3:
            raise Retry(after=0.02 * (1 + n % 4))
        return event


class Stuck(Transform, name="stuck"):
    """Events with `stuck` wait, for much longer than ack-wait, until the test lets them go."""

    free = False
    deliveries: set[int] = set()  # noqa: RUF012 - the test reads what the instance saw

    def apply(self, event: Event) -> Event:
        if event.get("stuck") and not Stuck.free:
            Stuck.deliveries.add(event.meta.deliveries)
            raise Retry(after=0.2)
        return event


class No(Filter, name="no"):
    """Lets only every hundredth event through, and wants headers that do not change."""

    def accepts(self, event: Event) -> bool:
        assert "Nats-Pin-Id" not in event.headers
        return bool(event.get("n") % 100 == 0)


@pytest.fixture(autouse=True)
def stuck() -> None:
    """As if no event had come by yet."""
    Stuck.free, Stuck.deliveries = False, set()


async def publish(nc: Client, events: range, keys: int = 4, **more: Any) -> None:
    js = nc.jetstream()
    bodies = [(f"in.{n % keys}", json.dumps({"n": n, "key": f"k{n % keys}", **more}).encode()) for n in events]
    for subject, body in bodies[:-1]:
        await nc.publish(subject, body)
    await js.publish(*bodies[-1])


@pytest.mark.parametrize("ordering", [STRICT, BY_KEY, {"key": "$subject.1"}])
async def test_events_that_are_tried_again_keep_their_place(
    nc: Client, streams: None, run_gateway: RunGateway, route: Route, ordering: Any
) -> None:
    """Strict: the whole stream's order. By key: that of each key, and other keys go by."""
    await publish(nc, range(40))
    await run_gateway({"routes": [route(ordering=ordering, transforms=["flaky"])]}, Flaky)
    messages = await arrived(nc, "OUT", 40)
    assert disorder(arrivals(messages, by_key)) == []
    if ordering == STRICT:
        assert disorder(arrivals(messages)) == []
    else:
        assert disorder(arrivals(messages)), "other keys should have gone by"
    await settled(nc)


async def test_a_failing_key_blocks_only_itself(
    nc: Client, streams: None, run_gateway: RunGateway, route: Route
) -> None:
    """What waits behind it takes no place, and its pause is spent here, however long: nothing is handed over."""
    fields = {"retry": {"attempts": 1000, "max-age": "1h"}, "source": {"ack-wait": "4s"}, "max-in-flight": 4}
    await publish(nc, range(1), keys=1, stuck=True)
    await publish(nc, range(1, 60), keys=1)
    await publish(nc, range(60, 100))
    gateway = await run_gateway({"routes": [route(ordering=BY_KEY, transforms=["stuck"], **fields)]}, Stuck)
    assert all(message.json["key"] != "k0" for message in await arrived(nc, "OUT", 30))
    await eventually(lambda: gateway.stats().retries["retry"] > 22)
    assert Stuck.deliveries == {1}
    Stuck.free = True
    messages = await arrived(nc, "OUT", 100)
    assert disorder(arrivals(messages, by_key)) == []


@pytest.mark.parametrize("ordering", [STRICT, BY_KEY])
async def test_copies_of_a_split_stay_in_order_through_a_full_target(
    nc: Client, streams: None, run_gateway: RunGateway, route: Route, ordering: Any
) -> None:
    """They are stored one after the other; the target is full in the middle of one, again and again."""
    js = nc.jetstream()
    for n in range(12):
        body = {"key": f"k{n % 3}", "items": [{"i": i} for i in range(5)]}
        await js.publish("in.it", json.dumps(body).encode())
    await change_stream(nc, "OUT", max_msgs=7, discard="new")
    targets = [{"subject": "out.a", "name": "a"}, {"subject": "out.b", "name": "b"}]
    await run_gateway({"routes": [route(ordering=ordering, transforms=[{"split": "items"}], targets=targets)]})
    for most in (7, 31, 64):
        await change_stream(nc, "OUT", max_msgs=most, discard="new")
        await arrived(nc, "OUT", most)
    await change_stream(nc, "OUT", max_msgs=-1, discard="new")
    messages = await arrived(nc, "OUT", 120)
    keys = {sequence: f"k{(sequence - 1) % 3}" for sequence in range(1, 13)}
    for target in ("out.a", "out.b"):
        found = arrivals([message for message in messages if message.subject == target])
        if ordering == BY_KEY:
            found = [type(one)(one.id, one.sequence, one.copy, keys[one.sequence]) for one in found]
        assert disorder(found) == []


async def test_an_event_whose_key_cannot_be_read_is_a_dead_letter_and_holds_up_nobody(
    nc: Client, streams: None, run_gateway: RunGateway, route: Route
) -> None:
    """It is in order with nothing; what lacks the key is in order with what lacks it too. No letter shows the pin."""
    js = nc.jetstream()
    for body in (b'{"key": "\xff"}', b"no json", b'{"n": 1}', b'{"n": 2}', b'{"n": 3, "key": {"a": [1]}}'):
        await js.publish("in.it", body)
    await run_gateway({"routes": [route(ordering=BY_KEY)]})
    letters = await arrived(nc, "DLQ", 2)
    assert {letter.headers["Gateway-Error-Code"] for letter in letters} == {"decode-error"}
    assert not [name for letter in letters for name in letter.headers if "pin" in name.lower()]
    messages = await arrived(nc, "OUT", 3)
    assert disorder(arrivals(messages, lambda message: str(message.json.get("key")))) == []


async def test_a_long_run_of_events_that_end_at_once_is_no_recursion(
    nc: Client, streams: None, run_gateway: RunGateway, route: Route
) -> None:
    """Each one that ends begins the next."""
    await publish(nc, range(1, 3001))
    await run_gateway({"routes": [route(ordering=STRICT, filters=["no"], **{"max-in-flight": 3000})]}, No)
    messages = await arrived(nc, "OUT", 30)
    assert disorder(arrivals(messages)) == []
    await settled(nc)


@pytest.mark.parametrize("ordering", [STRICT, BY_KEY])
async def test_order_holds_when_the_server_dies(
    nc: Client,
    streams: None,
    run_gateway: RunGateway,
    route: Route,
    ordering: Any,
    nats_server: EmbeddedServer,
) -> None:
    """Acks and messages on their way die with it, and the pin; what was given out is waited for."""
    await publish(nc, range(1500))
    gateway = await run_gateway({"routes": [route(ordering=ordering, source={"ack-wait": "1s"})]})
    for after in (100, 700):
        await eventually(lambda most=after: gateway.stats().outcomes["published"] > most, LONG)  # type: ignore[misc]
        nats_server.kill()
        await nats_server.start()
    await eventually(lambda: _all_there(nc, 1500), LONG, "all events in OUT")
    await settled(nc)
    messages = await read_stream(nc, "OUT")
    assert len(messages) == 1500
    assert disorder(arrivals(messages, by_key)) == []
    if ordering == STRICT:
        assert disorder(arrivals(messages)) == []


async def _all_there(nc: Client, events: int) -> bool:
    return await count(nc, "OUT") >= events


# ---------------------------------------------------------------------- durables


async def make_durable(nc: Client, **config: Any) -> None:
    whole = {"name": "gateway-r", "durable_name": "gateway-r", "ack_policy": "explicit", "filter_subjects": ["in.>"]}
    whole |= {"ack_wait": 2_000_000_000, "max_ack_pending": 20000, "max_deliver": -1, **config}
    body = {"stream_name": "IN", "action": "create", "config": whole}
    assert "error" not in await api(nc, "CONSUMER.CREATE.IN.gateway-r", body)


@pytest.mark.parametrize(("ordering", "found"), [(STRICT, {}), (BY_KEY, {}), ("none", pin.wanted())])
async def test_a_durable_found_that_does_not_fit_the_ordering_is_refused(
    nc: Client, streams: None, run_gateway: RunGateway, route: Route, ordering: Any, found: dict[str, Any]
) -> None:
    """The route would run without order, or its pulls would be refused: it is down, and says what to do."""
    await make_durable(nc, **found)
    gateway = await run_gateway({"routes": [route(ordering=ordering)]}, wait=False)
    stats = await gateway.down("unfit-durable")
    assert "source.manage to update, which changes it and keeps its place" in stats.reason
    await publish(nc, range(1))
    assert (await consumer_state(nc, "IN", "gateway-r"))["num_ack_pending"] == 0


@pytest.mark.parametrize(("ordering", "found"), [(STRICT, {}), ("none", pin.wanted())])
async def test_manage_update_gives_a_durable_the_pin_and_takes_it(
    nc: Client, streams: None, run_gateway: RunGateway, route: Route, ordering: Any, found: dict[str, Any]
) -> None:
    """Its place in the stream stays."""
    await make_durable(nc, **found)
    await run_gateway({"routes": [route(ordering=ordering, source={"manage": "update"})]})
    config = (await consumer_state(nc, "IN", "gateway-r"))["config"]
    assert (config.get("priority_policy") == "pinned_client") is (ordering == STRICT)
    await publish(nc, range(3))
    await arrived(nc, "OUT", 3)


@pytest.mark.parametrize(("ordering", "changed"), [(STRICT, {}), ("none", pin.wanted())])
async def test_a_durable_that_somebody_changes_while_it_is_read_is_refused(
    nc: Client, streams: None, run_gateway: RunGateway, route: Route, ordering: Any, changed: dict[str, Any]
) -> None:
    """Once it was as the config says, it is not changed again, and what it lacks is said as such."""
    gateway = await run_gateway({"routes": [route(ordering=ordering, source={"manage": "update"})]})
    config = (await consumer_state(nc, "IN", "gateway-r"))["config"]
    whole = {name: value for name, value in config.items() if not name.startswith("priority")} | changed
    body = {"stream_name": "IN", "action": "update", "config": whole}
    assert "error" not in await api(nc, "CONSUMER.CREATE.IN.gateway-r", body)
    gateway.lane().source_lost("test", "looked at again")
    await gateway.down("unfit-durable")


async def test_a_pinned_durable_of_another_make_is_used_as_it_is(
    nc: Client, streams: None, run_gateway: RunGateway, route: Route
) -> None:
    """Its group and time-out are its own."""
    await make_durable(nc, **{**pin.wanted(), "priority_groups": ["theirs"], "priority_timeout": 2_000_000_000})
    await run_gateway({"routes": [route(ordering=STRICT)]})
    await publish(nc, range(3))
    await arrived(nc, "OUT", 3)


# ---------------------------------------------------------------------- in partitions


async def test_a_stream_in_partitions_is_ordered_by_key_over_several_routes(
    nc: Client, run_gateway: RunGateway, route: Route
) -> None:
    """The server writes the key's partition into the subject, and each has a route of its own: docs/ordering.md."""
    transform = {"src": "in.*", "dest": "in.{{partition(3,1)}}.{{wildcard(1)}}"}
    await make_stream(nc, "IN", ["in.*"], subject_transform=transform)
    await make_stream(nc, "OUT", ["out.>"])
    await make_stream(nc, "DLQ", ["dlq.>"])
    routes = [
        route(f"r{part}", ordering=STRICT, source={"subjects": [f"in.{part}.*"]}, transforms=["flaky"])
        for part in range(3)
    ]
    for _ in range(2):
        await run_gateway({"routes": routes}, Flaky)
    await publish(nc, range(60), keys=7)
    messages = await arrived(nc, "OUT", 60)
    assert disorder(arrivals(messages, by_key)) == []
