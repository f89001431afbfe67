"""The copies of a split on an ordered route: one after the other, however many."""

from __future__ import annotations

import asyncio
import time

from gateway.delivery import Delivery
from gateway.ports import Account, SourceInfo
from gateway.runtime.ordered_lane import OrderedLane
from gateway.runtime.stats import RouteStats
from tests.unit.lanes import FakePublisher, ManualClock
from tests.unit.routes import CREATED, STORED_NS, route_of
from tests.unit.test_standby import PinnedFake

PARTS = 10_000
TARGETS = "[{subject: a.x, name: a}, {subject: b.x, name: b}]"


class Quiet(PinnedFake):
    """Nothing is pending before the lane opens."""

    async def account(self) -> Account:
        return Account(0, 0, 0)


async def test_ten_thousand_parts_take_no_longer_than_many_times_one() -> None:
    """The loop is everybody's: a look through all the parts for each of them would stop every route for seconds."""
    source, publisher = Quiet(), FakePublisher()
    route = route_of(targets=TARGETS, more="ordering: strict\ntransforms: [{split: items}]")
    lane = OrderedLane(route, source, publisher, RouteStats("r", ["a", "b"]), ManualClock())
    source.attach(lane)
    publisher.attach(lane)
    lane.start(SourceInfo(CREATED, 30.0))
    while not lane.order.open:
        lane.sweep()
        await asyncio.sleep(0)
    began = time.process_time()
    body = b'{"items":[' + b",".join([b"1"] * PARTS) + b"]}"
    lane.delivered(Delivery("orders.created", b"", body, "1", 1, 1, STORED_NS))
    while publisher.unanswered:
        assert sorted(subject for _, subject in publisher.unanswered) == ["a.x", "b.x"]
        publisher.answer()
    assert time.process_time() - began < 6, "about half a second is right, and half a minute is by the square"
    assert publisher.sent == {"a.x": PARTS, "b.x": PARTS}
    assert source.settled == ["1"]


async def test_max_age_counts_once_for_all_parts_that_wait_for_one_target() -> None:
    """Each part would begin to count when the one before is given up: a split of many would hold its route for ever."""
    source, publisher, clock = Quiet(), FakePublisher(refuses={"a.x"}), ManualClock()
    more = "ordering: strict\nretry: {max-age: 1h}\ntransforms: [{split: items}]"
    lane = OrderedLane(route_of(targets=TARGETS, more=more), source, publisher, RouteStats("r", ["a", "b"]), clock)
    source.attach(lane)
    publisher.attach(lane)
    lane.start(SourceInfo(CREATED, 30.0))
    while not lane.order.open:
        lane.sweep()
        await asyncio.sleep(0)
    lane.delivered(Delivery("orders.created", b"", b'{"items":[1,2,3]}', "1", 1, 1, STORED_NS))
    began = clock.now
    while not source.settled and clock.now - began < 4 * 3600:
        publisher.answer()
        clock.now += 1
        lane.sweep()
    assert source.settled == ["1"]
    assert 3600 < clock.now - began < 3700
    assert publisher.sent["b.x"] == 3
    assert publisher.sent["dlq.orders"] == 1
