"""Components that open slowly: there is one call at a time, and what was opened is closed, however late."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import ClassVar

import pytest

from gateway import Event, Filter
from gateway.errors import RouteFault
from gateway.runtime.opening import Openings, RouteComponents
from tests.support.eventually import eventually

from .routes import route_of


class Slow(Filter, name="slow"):
    """Opens in a thread, when somebody lets it."""

    blocking = True
    gate: ClassVar[threading.Event]
    calls: ClassVar[list[str]]

    def open(self) -> None:
        Slow.calls.append("open")
        Slow.gate.wait(20)
        Slow.calls.append("opened")

    def close(self) -> None:
        Slow.calls.append("close")

    def accepts(self, event: Event) -> bool:
        Slow.gate.wait(20)
        return True


class SlowShared(Slow, name="slow-shared"):
    """The same for several routes."""

    shared = True


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr("gateway.runtime.opening.OPEN_LIMIT", 0.1)
    monkeypatch.setattr("gateway.runtime.opening.GRACE", 0.1)
    Slow.gate, Slow.calls = threading.Event(), []
    yield
    Slow.gate.set()


def components_of(kind: type[Filter]) -> RouteComponents:
    return Openings().join(route_of(kind))


async def interrupted(components: RouteComponents) -> None:
    """A drain comes in the middle of the open."""
    before = len(Slow.calls)
    opening = asyncio.ensure_future(components.open())
    await eventually(lambda: len(Slow.calls) > before)
    opening.cancel()
    await asyncio.wait({opening})


@pytest.mark.parametrize("kind", [Slow, SlowShared])
async def test_a_blocking_component_that_opens_late_is_open_and_not_opened_again(kind: type[Filter]) -> None:
    components = components_of(kind)
    with pytest.raises(RouteFault, match="does not end"):
        await components.open()
    with pytest.raises(RouteFault, match="an earlier call does not end"):
        await components.open()
    Slow.gate.set()

    async def opened() -> bool:
        try:
            await components.open()
        except RouteFault:
            return False
        return True

    await eventually(opened)
    assert Slow.calls == ["open", "opened"]
    await components.close()
    assert Slow.calls == ["open", "opened", "close"]


@pytest.mark.parametrize("kind", [Slow, SlowShared])
async def test_what_opens_after_its_route_has_ended_is_closed(kind: type[Filter]) -> None:
    components = components_of(kind)
    await interrupted(components)
    await components.close()
    assert Slow.calls == ["open"]
    Slow.gate.set()
    await eventually(lambda: Slow.calls == ["open", "opened", "close"])
    await eventually(lambda: all(thread.name != f"gateway-{kind.name}" for thread in threading.enumerate()))


async def test_what_opened_while_its_route_ended_is_closed_at_once() -> None:
    components = components_of(Slow)
    await interrupted(components)
    Slow.gate.set()
    await components.close()
    assert Slow.calls == ["open", "opened", "close"]


async def test_a_shared_component_that_one_route_left_while_it_opened_is_not_opened_again_for_the_other() -> None:
    route, openings = route_of(SlowShared), Openings()
    first, second = openings.join(route), openings.join(route)
    await interrupted(first)
    await first.close()
    Slow.gate.set()

    async def opened() -> bool:
        try:
            await second.open()
        except RouteFault:
            return False
        return True

    await eventually(opened)
    await second.close()
    assert Slow.calls == ["open", "opened", "close"]


async def test_a_component_busy_at_the_end_is_closed_when_its_call_returns() -> None:
    """Else what it holds, such as the lock of a file, would keep its successor out for as long as the process lives."""
    components = components_of(Slow)
    (component,) = components._route.components[1:]
    Slow.gate.set()
    await components.open()
    Slow.gate.clear()
    worker = components.workers.of(component)
    stuck = worker.call(lambda: component.accepts(None))  # type: ignore[attr-defined]
    await eventually(lambda: worker.busy)
    await components.close()
    assert Slow.calls == ["open", "opened"]
    Slow.gate.set()
    await stuck
    await eventually(lambda: Slow.calls == ["open", "opened", "close"])


async def test_closing_twice_lets_go_once() -> None:
    """A second drain, of a gateway that ends during a reload, must not take from the other routes what they share."""
    Slow.gate.set()
    route, openings = route_of(SlowShared), Openings()
    first, second = openings.join(route), openings.join(route)
    await first.open()
    await second.open()
    await first.close()
    await first.close()
    assert "close" not in Slow.calls
    await second.close()
    assert Slow.calls == ["open", "opened", "close"]
