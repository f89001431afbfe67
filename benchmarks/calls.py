"""What it costs that steps are called by the gateway: six sync steps of a plugin, beside calling their methods."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from gateway import Event, Filter, Transform, hookimpl
from gateway.config.loader import examine_text
from gateway.event import Delivery, Meta
from gateway.registry import load_plugins
from gateway.routing.compile import compile_config
from gateway.routing.route import CompiledRoute
from gateway.routing.run import Passed, run

from . import work
from .table import table

LIMIT = 1.0
"""Microseconds that the six steps of an event may cost more than six calls."""
_ROUNDS = 400
_CALLS = 500
"""Events in a round, some tenths of a millisecond: many rounds are shorter than the scheduler's turns."""


class Accept(Filter, name="accept"):
    """Takes every event."""

    def accepts(self, event: Event) -> bool:
        return True


class Pass(Transform, name="pass"):
    """Changes nothing."""

    def apply(self, event: Event) -> Event:
        return event


class _Plugin:
    """The plugin, and the entry point that finds it."""

    name = "bench"
    value = "benchmarks.calls"

    @hookimpl
    def gateway_filters(self) -> list[type[Filter]]:
        return [Accept]

    @hookimpl
    def gateway_transforms(self) -> list[type[Transform]]:
        return [Pass]

    def load(self) -> _Plugin:
        return self


@dataclass(frozen=True)
class Cost:
    """Microseconds an event; the best of many rounds."""

    by_hand: float
    """A loop over the six bound methods."""
    by_route: float
    """The same six as the steps of a route."""

    @property
    def more(self) -> float:
        """What the gateway adds."""
        return self.by_route - self.by_hand


def measure(rounds: int = _ROUNDS) -> Cost:
    """Both take turns, so that a busy moment of the machine hits both."""
    route = _route()
    delivery = Delivery("s.created", b"", work.event(1, 256), "$JS.ACK.token", 1, 1, time.time_ns())
    event = Event(route.reader, delivery, Meta(route.origin, delivery, 1))
    methods = tuple(step.call for step in route.steps)
    assert len(methods) == 6
    assert isinstance(run(route, event), Passed)

    def by_hand() -> None:
        for _ in range(_CALLS):
            for method in methods:
                method(event)

    def by_route() -> None:
        for _ in range(_CALLS):
            run(route, event)

    jobs: list[Callable[[], None]] = [by_hand, by_route]
    best = [float("inf")] * len(jobs)
    for _round in range(rounds):
        for index, job in enumerate(jobs):
            start = time.perf_counter()
            job()
            best[index] = min(best[index], (time.perf_counter() - start) / _CALLS * 1e6)
    return Cost(*best)


def _route() -> CompiledRoute:
    """A route with the six, without a server."""
    registry = load_plugins(entry_points=[_Plugin()])
    config = work.config("nats://127.0.0.1:4222", "127.0.0.1:0", "S", "s.>", "d")
    config["routes"][0] |= {"filters": ["accept"] * 3, "transforms": ["pass"] * 3}
    loaded = examine_text(json.dumps(config), registry=registry)
    assert loaded.config is not None, loaded.problems
    (route,), problems = compile_config(loaded.config, loaded.registry)
    assert not problems, problems
    return route


def report(cost: Cost) -> str:
    """One line, and whether it holds what was promised."""
    head = ("six sync steps", "by hand us", "by route us", "more us", "at most")
    row = ("an event", f"{cost.by_hand:.2f}", f"{cost.by_route:.2f}", f"{cost.more:.2f}", f"{LIMIT:.2f}")
    return f"calling the steps of a plugin, beside calling their methods in a loop\n{table(head, [row])}"


def plain(cost: Cost) -> dict[str, Any]:
    """The same for machines."""
    return {**asdict(cost), "more": cost.more, "limit": LIMIT}
