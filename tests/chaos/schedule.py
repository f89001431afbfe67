"""What is done to whom, when and for how long: a pure function of the seed."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum


class Kind(StrEnum):
    """Every fault there is; faults.py knows how each is done and undone."""

    SERVER_KILL = "server-kill"
    SERVER_TERM = "server-term"
    SERVER_STOP = "server-stop"
    QUORUM_LOSS = "quorum-loss"
    """Two of three servers killed: nothing can be stored until one is back."""
    NODE_CUT = "node-cut"
    """A server that the other two do not reach; gateways still do."""
    ROUTE_CUT = "route-cut"
    """Two servers that do not reach each other; the third reaches both."""
    ROUTE_HOLD = "route-hold"
    ROUTE_DELAY = "route-delay"
    GATEWAY_KILL = "gateway-kill"
    GATEWAY_TERM = "gateway-term"
    GATEWAY_STOP = "gateway-stop"
    GATEWAY_RELOAD = "gateway-reload"
    GATEWAY_CUT = "gateway-cut"
    """A gateway that reaches no server."""
    LINK_CUT = "link-cut"
    """A gateway that does not reach one server."""
    LINK_HOLD = "link-hold"
    LINK_DELAY = "link-delay"
    STREAM_STEP_DOWN = "stream-step-down"
    CONSUMER_STEP_DOWN = "consumer-step-down"
    META_STEP_DOWN = "meta-step-down"


DECK: Sequence[Kind] = (*Kind, Kind.GATEWAY_KILL, Kind.GATEWAY_STOP, Kind.GATEWAY_TERM, Kind.LINK_HOLD)
"""Dealt to the last card before it is shuffled again: twenty-three faults have every kind among them."""
AT_ONCE = frozenset(
    {Kind.STREAM_STEP_DOWN, Kind.CONSUMER_STEP_DOWN, Kind.META_STEP_DOWN, Kind.GATEWAY_RELOAD, Kind.GATEWAY_TERM}
)
"""Do not last: done, and that is all. A gateway that is asked to end is started again as soon as it has ended."""
COST_A_NODE = frozenset({Kind.SERVER_KILL, Kind.SERVER_TERM, Kind.SERVER_STOP, Kind.QUORUM_LOSS, Kind.NODE_CUT})
"""After which two nodes are left, or one: never two of these at a time, and a rest between them."""
BETWEEN_SERVERS = frozenset({Kind.ROUTE_CUT, Kind.ROUTE_HOLD, Kind.ROUTE_DELAY})
PROCESS = frozenset({Kind.GATEWAY_KILL, Kind.GATEWAY_TERM, Kind.GATEWAY_STOP, Kind.GATEWAY_RELOAD})
"""What is done to a gateway's process; one at a time to each."""


@dataclass(frozen=True)
class Pace:
    """How hard it is; seconds throughout."""

    longest: float = 20.0
    """A fault lasts so long at most."""
    gap: float = 6.0
    """Between the beginnings of two faults, at most: they overlap."""
    rest: float = 12.0
    """For the servers, after a fault that cost a node: catching up and electing takes them some seconds."""


@dataclass(frozen=True)
class Scene:
    """Who is there to be disturbed."""

    nodes: tuple[str, ...] = ("n0", "n1", "n2")
    gateways: tuple[str, ...] = ("g0", "g1")
    streams: tuple[str, ...] = ()
    consumers: tuple[str, ...] = ()


@dataclass(frozen=True)
class Fault:
    """One line of the schedule."""

    number: int
    at: float
    """Seconds after the beginning."""
    seconds: float
    """How long it lasts; 0 when it is over as soon as it is done."""
    kind: Kind
    on: tuple[str, ...]
    """Nodes, gateways, a stream or a consumer: what the kind asks for."""

    @property
    def end(self) -> float:
        """When it is undone."""
        return self.at + self.seconds

    def __str__(self) -> str:
        lasting = f" for {self.seconds:.1f} s" if self.seconds else ""
        return f"{self.at:7.1f}  {self.kind} {' '.join(self.on)}{lasting}"


def schedule(seed: int, faults: int, scene: Scene, pace: Pace | None = None) -> list[Fault]:
    """The same for the same arguments, always."""
    maker = _Maker(random.Random(seed), scene, pace or Pace())
    return list(itertools.islice(maker.faults(), faults))


def schedule_for(seed: int, seconds: float, scene: Scene, pace: Pace | None = None) -> list[Fault]:
    """As many as begin within so many seconds: longer schedules begin like shorter ones."""
    maker = _Maker(random.Random(seed), scene, pace or Pace())
    return list(itertools.takewhile(lambda fault: fault.at < seconds, maker.faults()))


@dataclass
class _Maker:
    rng: random.Random
    scene: Scene
    pace: Pace
    free: dict[str, float] = field(default_factory=dict)
    """When what is disturbed now may be disturbed again."""

    def faults(self) -> Iterator[Fault]:
        """One after the other, by their beginnings, without end."""
        now = 1.0
        for number in itertools.count():
            if number % len(DECK) == 0:
                deck = self.rng.sample(DECK, len(DECK))
            kind = deck[number % len(DECK)]
            on = self._chosen(kind)
            names = self._occupied(kind, on)
            # Waiting for its own turn keeps the order: whatever comes later begins later.
            now = max([now + self.rng.uniform(0.2, self.pace.gap), *(self.free.get(name, 0.0) for name in names)])
            seconds = 0.0 if kind in AT_ONCE else self._seconds()
            fault = Fault(number, round(now, 2), round(seconds, 2), kind, on)
            for name in names:
                self.free[name] = fault.end + (self.pace.rest if name == "nodes" else 2.0)
            yield fault

    def _seconds(self) -> float:
        """Mostly short, sometimes as long as may be."""
        return max(0.5, self.pace.longest * self.rng.random() ** 2)

    def _chosen(self, kind: Kind) -> tuple[str, ...]:
        rng, scene = self.rng, self.scene
        if kind in BETWEEN_SERVERS or kind is Kind.QUORUM_LOSS:
            return tuple(sorted(rng.sample(scene.nodes, 2)))
        if kind in COST_A_NODE:
            return (rng.choice(scene.nodes),)
        if kind in (Kind.LINK_CUT, Kind.LINK_HOLD, Kind.LINK_DELAY):
            return (rng.choice(scene.gateways), rng.choice(scene.nodes))
        if kind is Kind.STREAM_STEP_DOWN:
            return (rng.choice(scene.streams),)
        if kind is Kind.CONSUMER_STEP_DOWN:
            return (rng.choice(scene.consumers),)
        return () if kind is Kind.META_STEP_DOWN else (rng.choice(scene.gateways),)

    def _occupied(self, kind: Kind, on: tuple[str, ...]) -> list[str]:
        """What two faults must not have at the same time."""
        if kind in COST_A_NODE:
            return ["nodes", "routes"]
        if kind in BETWEEN_SERVERS:
            # A cut beside a dead node would leave no majority, unseen by the schedule.
            return ["nodes", "routes"] if kind is not Kind.ROUTE_DELAY else ["routes"]
        if kind in PROCESS:
            return [f"process {on[0]}"]
        if kind in (Kind.LINK_CUT, Kind.LINK_HOLD, Kind.LINK_DELAY):
            return [f"link {on[0]} {on[1]}"]
        if kind is Kind.GATEWAY_CUT:
            return [f"link {on[0]} {node}" for node in self.scene.nodes]
        return []
