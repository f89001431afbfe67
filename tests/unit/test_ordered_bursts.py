"""Many events of an ordered route that may begin at once: it takes a while, and longer than ack-wait altogether."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable

import pytest

from gateway.delivery import Delivery
from gateway.event import Event
from gateway.paths import Path
from gateway.ports import Account, SourceInfo
from gateway.runtime import order
from gateway.runtime.order import key_of
from gateway.runtime.ordered_lane import OrderedLane
from gateway.runtime.stats import RouteStats
from tests.unit.lanes import FakePublisher, ManualClock
from tests.unit.routes import CREATED, STORED_NS, filter_, route_of
from tests.unit.test_ordered_split import Quiet

ACK_WAIT = 1.0
TAKES = 0.01
"""Seconds of each event's step, which stand still for all others."""
EVENTS = 300


class Pending(Quiet):
    """Each event was given out before and has a key of its own; it comes again when it is not in the lane."""

    async def account(self) -> Account:
        return Account(0, EVENTS, EVENTS - len(set(self.settled)))

    def hand_out(self) -> None:
        lane = self.sink
        assert isinstance(lane, OrderedLane)
        for n in range(1, EVENTS + 1):
            if self.wanted and n not in lane.window.entries and str(n) not in self.settled:
                self.wanted -= 1
                lane.delivered(Delivery("orders.created", b"", b'{"k":%d}' % n, str(n), n, 1, STORED_NS))


def of_slow(
    step: Callable[[Event], bool], clock: ManualClock, ordering: str
) -> tuple[OrderedLane, Pending, FakePublisher]:
    """A lane that is about to become active, with this filter."""
    source, publisher, stats = Pending(), FakePublisher(), RouteStats("r", ["billing.orders"], ["filter-0-check"])
    lane = OrderedLane(route_of(filter_(step), more=f"ordering: {ordering}"), source, publisher, stats, clock)
    source.attach(lane)
    publisher.attach(lane)
    lane.start(SourceInfo(CREATED, ACK_WAIT))
    return lane, source, publisher


async def turn(lane: OrderedLane, source: Pending, publisher: FakePublisher, clock: ManualClock) -> float:
    """A turn of the loop: what has come is read first. Returns how long it took."""
    began = clock.now
    source.hand_out()
    publisher.answer()
    await asyncio.sleep(0)
    lane.sweep()
    return clock.now - began


@pytest.mark.parametrize("ordering", ["strict", "{key: k}"])
@pytest.mark.parametrize("passes", [True, False])
async def test_a_burst_that_takes_longer_than_ack_wait_is_worked_off(ordering: str, passes: bool) -> None:
    """Begun in one go, nothing would be told to be in progress meanwhile: the server gives all of it away, nothing of
    it counts, and the next burst is as long. Nobody else has a turn meanwhile, either.
    """
    clock, longest = ManualClock(), 0.0

    def slow(event: Event) -> bool:
        clock.now += TAKES
        return passes

    lane, source, publisher = of_slow(slow, clock, ordering)
    for _ in range(3 * EVENTS):
        longest = max(longest, await turn(lane, source, publisher, clock))
        clock.now += 0.1
        if len(source.settled) >= EVENTS:
            break
    assert sorted(map(int, source.settled)) == list(range(1, EVENTS + 1))
    assert longest < ACK_WAIT / 2


async def test_what_is_left_of_a_burst_does_not_begin_after_a_standstill() -> None:
    """The process stood still between two parts of it: what is here was given away, perhaps to a replica at work."""
    clock, begun = ManualClock(), 0

    def slow(event: Event) -> bool:
        nonlocal begun
        begun += 1
        clock.now += TAKES
        return True

    lane, source, _ = of_slow(slow, clock, "{key: k}")
    while not begun:
        source.hand_out()
        clock.now += 0.1
        lane.sweep()
        await asyncio.sleep(0)
    assert 0 < begun < EVENTS
    before = begun
    clock.now += 2 * ACK_WAIT
    await asyncio.sleep(0)
    assert (begun, len(lane.window.entries)) == (before, 0)


async def test_many_events_behind_one_key_are_opened_in_parts_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of each the key is read before anything of it begins, and a large body takes its time. Their order holds."""
    clock, begun = ManualClock(), []

    def slow_key(event: Event, path: Path) -> Hashable:
        clock.now += TAKES
        return key_of(event, path)

    def note(event: Event) -> bool:
        begun.append(event.meta.sequence)
        return True

    monkeypatch.setattr(order, "key_of", slow_key)
    lane, source, publisher = of_slow(note, clock, "{key: one}")
    longest = 0.0
    for _ in range(3 * EVENTS):
        longest = max(longest, await turn(lane, source, publisher, clock))
        clock.now += 0.01
    assert begun == list(range(1, EVENTS + 1))
    assert len(source.settled) == EVENTS
    assert longest < ACK_WAIT / 2
    assert not lane.window.entries
