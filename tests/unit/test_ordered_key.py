"""An event of a route ordered by key is opened for its key before it begins."""

from __future__ import annotations

import asyncio

import pytest

from gateway.delivery import Delivery
from gateway.event import Event
from gateway.ports import SourceInfo
from gateway.runtime.ordered_lane import OrderedLane
from gateway.runtime.stats import RouteStats
from tests.unit.lanes import FakePublisher, ManualClock
from tests.unit.routes import CREATED, STORED_NS, route_of
from tests.unit.test_ordered_split import Quiet


async def test_what_begins_as_it_comes_is_decoded_once_and_what_waits_keeps_nothing_decoded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A key may have many thousands of events behind it, and a decoded body takes ten times its bytes."""
    opened: list[int] = []
    make = Event.__init__

    def counted(event: Event, reader: object, delivery: Delivery, meta: object) -> None:
        opened.append(delivery.sequence)
        make(event, reader, delivery, meta)  # type: ignore[arg-type]

    source, publisher = Quiet(), FakePublisher()
    stats = RouteStats("r", ["billing.orders"])
    lane = OrderedLane(route_of(more="ordering: {key: k}"), source, publisher, stats, ManualClock())
    source.attach(lane)
    publisher.attach(lane)
    lane.start(SourceInfo(CREATED, 30.0))
    while not lane.order.open:
        lane.sweep()
        await asyncio.sleep(0)
    monkeypatch.setattr(Event, "__init__", counted)
    for sequence, key in enumerate(("a", "b", "a"), 1):
        lane.delivered(
            Delivery("orders.created", b"", b'{"k":"%b"}' % key.encode(), str(sequence), sequence, 1, STORED_NS)
        )
    assert opened == [1, 2, 3]
    assert lane.window.entries[3].event is None
    publisher.answer()
    publisher.answer()
    assert opened == [1, 2, 3, 3]
    assert source.settled == ["1", "2", "3"]
