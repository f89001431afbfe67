"""A replica that is active no more holds nothing that is not at work, whatever state its source is in."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from gateway.delivery import Delivery
from gateway.errors import RouteFault
from gateway.ports import Account, SourceInfo
from gateway.runtime.ordered_lane import OrderedLane
from gateway.runtime.stats import RouteStats
from gateway.runtime.takeover import RETRY
from tests.support.eventually import eventually
from tests.support.logged import logged
from tests.unit.lanes import FakePublisher, FakeSource, ManualClock
from tests.unit.routes import CREATED, STORED_NS, route_of


class PinnedFake(FakeSource):
    """A source whose pin is the test's."""

    pinned = True
    elsewhere = False
    tell: Callable[[bool], None]

    def follow(self, pinned: Callable[[bool], None]) -> None:
        self.tell = pinned

    async def account(self) -> Account:
        return Account(0, self.sequence, self.sequence)

    async def set_back(self) -> bool:
        return False

    def bring(self, events: int) -> None:
        """Deliver without having been asked: what was under way when the process fell asleep."""
        assert self.sink is not None
        for n in range(1, events + 1):
            self.sink.delivered(Delivery("orders.created", b"", b'{"n":1}', str(n), n, 1, STORED_NS))


class Unanswered(PinnedFake):
    """A source whose consumer says nothing of itself."""

    def __init__(self) -> None:
        super().__init__()
        self.asked, self.left = asyncio.Event(), asyncio.Event()

    async def account(self) -> Account:
        self.asked.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.left.set()
        return await super().account()


async def lane_of(source: PinnedFake) -> OrderedLane:
    """An ordered lane that has not looked at what is pending yet."""
    lane = OrderedLane(route_of(more="ordering: strict"), source, FakePublisher(), RouteStats("r"), ManualClock())
    source.attach(lane)
    return lane


async def test_what_came_before_a_pause_goes_back_though_the_source_is_being_opened() -> None:
    """Read after waking, of another replica by now: kept, it would be held in progress for ever."""
    source = PinnedFake()
    lane = await lane_of(source)
    lane.start(SourceInfo(CREATED, 30.0))
    lane.pause()
    source.bring(3)
    assert len(lane.window.entries) == 3
    source.pinned = False
    source.tell(False)
    assert (sorted(source.returned), len(lane.window.entries)) == (["1", "2", "3"], 0)


async def test_a_source_that_opens_as_a_standby_keeps_nothing_from_before() -> None:
    """The pin went while there was no connection, and nobody told."""
    source = PinnedFake()
    lane = await lane_of(source)
    lane.start(SourceInfo(CREATED, 30.0))
    lane.pause()
    source.bring(3)
    source.pinned = False
    lane.start(SourceInfo(CREATED, 30.0))
    assert (sorted(source.returned), len(lane.window.entries)) == (["1", "2", "3"], 0)


async def test_a_standby_that_drains_asks_for_nothing_more() -> None:
    """Opened again for a last look, after its source was closed: what it asked for would come to nobody."""
    source = PinnedFake()
    source.pinned = False
    lane = await lane_of(source)
    lane.begin_drain()
    lane.start(SourceInfo(CREATED, 30.0))
    lane.sweep()
    assert source.pulls == 0


async def test_a_lane_that_closes_leaves_no_look_behind() -> None:
    """A server that does not answer would keep it for seconds, and with it all that the lane holds."""
    source = Unanswered()
    lane = await lane_of(source)
    lane.start(SourceInfo(CREATED, 30.0))
    lane.sweep()
    await asyncio.wait_for(source.asked.wait(), 30)
    lane.close()
    await asyncio.wait_for(source.left.wait(), 30)


class Refusing(PinnedFake):
    """The consumer of a replica that is gone with all it may give out; the server sets it back at the third try."""

    pinned = False

    def __init__(self) -> None:
        super().__init__()
        self.tries: list[float] = []
        self.clock = ManualClock()

    async def account(self) -> Account:
        return Account(0, 16, 16)

    async def set_back(self) -> bool:
        self.tries.append(self.clock.now)
        if len(self.tries) < 3:
            raise RouteFault("jetstream-unavailable", "no answer")
        return True


async def test_a_refused_setting_back_is_tried_again_with_pauses(caplog: pytest.LogCaptureFixture) -> None:
    """A leader may have been about to be chosen; a standby would look on for ever, or until ack-wait is over."""
    source = Refusing()
    lane = OrderedLane(route_of(more="ordering: strict"), source, FakePublisher(), RouteStats("r"), source.clock)
    source.attach(lane)
    lane.start(SourceInfo(CREATED, 30.0))

    async def swept() -> bool:
        source.clock.now += 0.1
        lane.sweep()
        return len(source.tries) >= 3

    await eventually(swept, what="set back at the third try")
    first, second, third = source.tries
    assert RETRY <= second - first < third - second
    assert len(logged(caplog, "route.not-set-back")) == 1
    assert len(logged(caplog, "route.set-back")) == 1
