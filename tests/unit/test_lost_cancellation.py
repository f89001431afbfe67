"""A route that ends while it opens: up to Python 3.11, `asyncio.wait_for` may lose the cancellation."""

from __future__ import annotations

import asyncio

from gateway.ports import SourceInfo
from gateway.runtime.opening import Openings
from gateway.runtime.stats import RouteStats
from gateway.runtime.supervisor import Supervisor
from tests.unit.lanes import FakePublisher, FakeSource, ManualClock
from tests.unit.routes import route_of


class Answering(FakeSource):
    """Its server answers in the very moment in which nobody should wait for it any more."""

    def __init__(self) -> None:
        super().__init__()
        self.asked, self.reads, self.opens = asyncio.Event(), False, 0

    async def open(self) -> SourceInfo:
        self.opens += 1
        self.asked.set()
        if self.opens == 1:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                await asyncio.sleep(0)
        self.reads = True
        return await super().open()

    async def close(self) -> None:
        self.reads = False


class Life:
    """Whoever is told of routes."""

    def __init__(self) -> None:
        self.started = self.stopped = 0

    def route_started(self, route: object) -> None:
        self.started += 1

    def route_stopped(self, route: object) -> None:
        self.stopped += 1


async def ready() -> None:
    """All there is."""


def opening(source: FakeSource, life: Life) -> Supervisor:
    """A route that begins to open its source."""
    route = route_of()
    components = Openings().join(route)
    made = Supervisor(route, source, FakePublisher(), RouteStats("r"), ManualClock(), ready, "i", life, components)
    made.start()
    return made


async def test_a_route_that_ends_while_it_opens_is_not_opened_after_its_end() -> None:
    """It would read on, and open and change its durable as the config said before, for as long as the process lives."""
    source, life = Answering(), Life()
    made = opening(source, life)
    await asyncio.wait_for(source.asked.wait(), 30)
    await asyncio.wait_for(made.drain(asyncio.get_running_loop().time() + 5), 30)
    for _ in range(10):
        await asyncio.sleep(0)
    assert made._task is not None
    assert life.started == life.stopped
    assert (made._task.done(), source.reads, source.opens) == (True, False, 1)


class Leasing(FakeSource):
    """It holds something at its server while it opens."""

    def __init__(self) -> None:
        super().__init__()
        self.asked, self.held = asyncio.Event(), False

    async def open(self) -> SourceInfo:
        self.held = True
        self.asked.set()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            self.held = False
        return await super().open()


async def test_a_route_that_ends_while_it_opens_gives_back_what_it_holds() -> None:
    """A lease, for example, for which its successor would wait: what is cancelled has time for that."""
    source = Leasing()
    made = opening(source, Life())
    await asyncio.wait_for(source.asked.wait(), 30)
    await asyncio.wait_for(made.drain(asyncio.get_running_loop().time() + 5), 30)
    assert not source.held
