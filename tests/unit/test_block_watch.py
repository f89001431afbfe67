"""Who blocks the event loop is told, whatever the component is like."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
import uvloop

from gateway import Event, Filter
from gateway.observe import blocking
from gateway.observe.blocking import BlockWatch, Culprit, culprit
from gateway.runtime.ticks import Pace
from tests.support.eventually import eventually


class Proxy:
    """Stands in for something else, and asks it what it is."""

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        raise RuntimeError("unbound")

    def call(self, watch: BlockWatch) -> None:
        found = culprit(sys._getframe())
        assert found is not None
        watch._report(found, 0.5)


class Homeless(Filter, name="homeless"):
    """Has an __init__ of its own, and no context."""

    def __init__(self, watch: BlockWatch) -> None:
        self.watch = watch

    def accepts(self, event: Event) -> bool:
        Proxy().call(self.watch)
        return True


def test_a_component_without_a_context_is_named_all_the_same(caplog: pytest.LogCaptureFixture) -> None:
    """What the watching thread raised would end it, and with it the watch over all others."""
    caplog.set_level(logging.WARNING, "gateway.plugins")
    watch = BlockWatch(lambda component: "acme")
    Homeless(watch).accepts(None)  # type: ignore[arg-type]
    (said,) = [record.__dict__ for record in caplog.records]
    assert (said["plugin"], said["route"], said["component"]) == ("acme", "", "homeless")


def look_while_it_waits(thread: int) -> Culprit:
    """What is found of a loop's thread when the loop has nothing to do."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        found = culprit(sys._current_frames()[thread])
        # asyncio's loop waits in a function of its own, uvloop's beneath all that is Python.
        if found is not None and found.method in ("select", "run"):
            return found
    raise AssertionError("the loop never waited")


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_a_loop_that_only_waits_for_its_turn_is_no_fault_of_a_component(
    new_loop: Callable[[], asyncio.AbstractEventLoop], caplog: pytest.LogCaptureFixture
) -> None:
    """A busy host is late with it; whoever reads the line must not look for a plugin."""
    caplog.set_level(logging.WARNING, "gateway.plugins")
    watch = BlockWatch(lambda component: "acme")

    async def main() -> None:
        watch.start()
        watch._report(await asyncio.to_thread(look_while_it_waits, threading.get_ident()), 0.5)
        watch.stop()

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(main())
    (said,) = [record.__dict__ for record in caplog.records]
    assert (said["event"], said["code"], said["seconds"]) == ("loop.blocked", "loop-starved", 0.5)
    assert "the process was given no processor" in said["message"]
    assert not said.keys() & {"plugin", "route", "where", "component"}


def test_what_blocks_and_is_no_component_has_its_place_and_no_empty_fields(caplog: pytest.LogCaptureFixture) -> None:
    """A plugin's hook, or a task it has begun."""
    caplog.set_level(logging.WARNING, "gateway.plugins")
    found = culprit(sys._getframe())
    assert found is not None
    BlockWatch(lambda component: "acme")._report(found, 0.5)
    (said,) = [record.__dict__ for record in caplog.records]
    assert said["where"].startswith(__file__)
    assert not said.keys() & {"plugin", "route", "component", "code"}


class Waits(threading.Event):
    """Knows how long somebody waits for it, at most."""

    seconds = 0.0

    def wait(self, timeout: float | None = None) -> bool:
        assert timeout is not None
        self.seconds = timeout
        return super().wait(timeout)


class Slow(Filter, name="slow"):
    """Blocks until somebody is told of it."""

    def __init__(self, told: Callable[[], object]) -> None:
        self.told = told

    def accepts(self, event: Event) -> bool:
        deadline = time.monotonic() + 30
        while not self.told() and time.monotonic() < deadline:
            time.sleep(0.01)
        return True


async def test_the_first_event_after_a_calm_is_watched_at_once(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loop beats seldom then, and the event that blocks it is worked on in the same turn in which it came."""
    caplog.set_level(logging.WARNING, "gateway.plugins")
    monkeypatch.setattr(blocking, "SELDOM", 3600.0)
    pace = Pace()
    watch = BlockWatch(lambda component: "acme", pace)
    watch._wake = waits = Waits()
    watch.start()
    pace.rest()
    await eventually(lambda: waits.seconds > 1000)
    pace.stir()
    Slow(lambda: caplog.records).accepts(None)  # type: ignore[arg-type]
    watch.stop()
    (said,) = [record.__dict__ for record in caplog.records]
    assert (said["component"], said["event"]) == ("slow", "loop.blocked")
    assert not pace.stirred, "nobody is told once it has stopped"
