"""How each fault is done and undone."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass

import nats.errors

from tests.support.streams import api

from .bed import Bed
from .links import Link
from .schedule import PROCESS, Fault, Kind

DELAY = 0.15
"""Seconds that a slow link keeps bytes, each way."""
_PATIENCE = 3.0
"""Seconds in which somebody is asked to step down; without a leader nobody can."""


@dataclass
class Done:
    """A fault as it really was; seconds since the epoch."""

    fault: Fault
    began: float
    ended: float = 0.0
    note: str = ""


class Disturber:
    """Does what a schedule says, when it says so."""

    def __init__(self, bed: Bed) -> None:
        self._bed = bed
        self.done: list[Done] = []
        self.wrong: list[str] = []
        """What no fault may lead to: a gateway that was asked to end and did not end well."""
        self._flags: dict[str, int] = {}
        self._process: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        """Of each gateway: a drain may take longer than the schedule thinks, and nobody is started twice."""

    async def run(self, schedule: Sequence[Fault], say: Callable[[str], None]) -> None:
        """All faults, beginnings and ends at their times; comes back when the last one is undone."""
        begin = time.monotonic()
        async with asyncio.TaskGroup() as group:
            for fault in schedule:
                await asyncio.sleep(max(0.0, begin + fault.at - time.monotonic()))
                say(str(fault))
                group.create_task(self._one(fault))

    async def _one(self, fault: Fault) -> None:
        async with self._process[fault.on[0]] if fault.kind in PROCESS else contextlib.nullcontext():
            await self._do(fault)

    async def _do(self, fault: Fault) -> None:
        done = Done(fault, time.time())
        self.done.append(done)
        async with _HOW[fault.kind](self, fault, done):
            await asyncio.sleep(fault.seconds)
        done.ended = time.time()

    # ------------------------------------------------------------------ servers

    @contextlib.asynccontextmanager
    async def servers_killed(self, fault: Fault, _done: Done) -> AsyncIterator[None]:
        servers = [self._bed.servers[name] for name in fault.on]
        for server in servers:
            server.kill()
        yield
        for server in servers:
            server.launch()

    @contextlib.asynccontextmanager
    async def server_ended(self, fault: Fault, _done: Done) -> AsyncIterator[None]:
        server = self._bed.servers[fault.on[0]]
        await server.stop()
        yield
        server.launch()

    @contextlib.asynccontextmanager
    async def server_stopped(self, fault: Fault, _done: Done) -> AsyncIterator[None]:
        pid = self._bed.servers[fault.on[0]].pid
        os.kill(pid, signal.SIGSTOP)
        yield
        os.kill(pid, signal.SIGCONT)

    # ------------------------------------------------------------------ links

    def _between(self, fault: Fault) -> list[Link]:
        """The links that a fault is about."""
        bed, on = self._bed, fault.on
        if fault.kind is Kind.NODE_CUT:
            return list(bed.node_links(on[0]))
        if fault.kind is Kind.GATEWAY_CUT:
            return list(bed.gateway_links(on[0]))
        if on[0] in bed.gateways:
            return [bed.links[on[0], on[1]]]
        return list(bed.pair_links(*on))

    @contextlib.asynccontextmanager
    async def cut(self, fault: Fault, _done: Done) -> AsyncIterator[None]:
        async with _mended(self._between(fault)) as links:
            for link in links:
                link.cut()
            yield

    @contextlib.asynccontextmanager
    async def held(self, fault: Fault, _done: Done) -> AsyncIterator[None]:
        async with _mended(self._between(fault)) as links:
            for link in links:
                link.hold()
            yield

    @contextlib.asynccontextmanager
    async def delayed(self, fault: Fault, _done: Done) -> AsyncIterator[None]:
        async with _mended(self._between(fault)) as links:
            for link in links:
                link.delay = DELAY
            yield

    # ------------------------------------------------------------------ gateways

    @contextlib.asynccontextmanager
    async def gateway_killed(self, fault: Fault, _done: Done) -> AsyncIterator[None]:
        gateway = self._bed.gateways[fault.on[0]]
        gateway.kill9()
        yield
        gateway.launch()

    @contextlib.asynccontextmanager
    async def gateway_ended(self, fault: Fault, done: Done) -> AsyncIterator[None]:
        gateway = self._bed.gateways[fault.on[0]]
        await gateway.hears_signals()
        gateway.term()
        code = await gateway.wait(60)
        if code != 0:
            self.wrong.append(f"{fault}: ended with {code}")
        done.note = f"ended within {time.time() - done.began:.1f} s"
        yield
        gateway.launch()

    @contextlib.asynccontextmanager
    async def gateway_stopped(self, fault: Fault, _done: Done) -> AsyncIterator[None]:
        gateway = self._bed.gateways[fault.on[0]]
        gateway.signal(signal.SIGSTOP)
        yield
        gateway.signal(signal.SIGCONT)

    @contextlib.asynccontextmanager
    async def gateway_reloaded(self, fault: Fault, _done: Done) -> AsyncIterator[None]:
        name = fault.on[0]
        self._flags[name] = 1 - self._flags.get(name, 0)
        self._bed.write_config(name, self._flags[name])
        await self._bed.gateways[name].hears_signals()
        self._bed.gateways[name].signal(signal.SIGHUP)
        yield

    # ------------------------------------------------------------------ leaders

    @contextlib.asynccontextmanager
    async def stream_stepped_down(self, fault: Fault, done: Done) -> AsyncIterator[None]:
        await self._step_down(f"STREAM.LEADER.STEPDOWN.{fault.on[0]}", done)
        yield

    @contextlib.asynccontextmanager
    async def consumer_stepped_down(self, fault: Fault, done: Done) -> AsyncIterator[None]:
        await self._step_down(f"CONSUMER.LEADER.STEPDOWN.IN.{fault.on[0]}", done)
        yield

    @contextlib.asynccontextmanager
    async def meta_stepped_down(self, _fault: Fault, done: Done) -> AsyncIterator[None]:
        await self._step_down("META.LEADER.STEPDOWN", done)
        yield

    async def _step_down(self, request: str, done: Done) -> None:
        try:
            async with asyncio.timeout(_PATIENCE):
                if request.startswith("META"):
                    answer = await self._bed.meta_step_down()
                else:
                    answer = await api(self._bed.nc, request)
        except (nats.errors.Error, TimeoutError, OSError) as error:
            done.note = f"no leader: {type(error).__name__}"
        else:
            done.note = answer.get("error", {}).get("description", "")


@contextlib.asynccontextmanager
async def _mended(links: Iterable[Link]) -> AsyncIterator[list[Link]]:
    all_of_them = list(links)
    try:
        yield all_of_them
    finally:
        for link in all_of_them:
            link.mend()


_HOW: dict[Kind, Callable[[Disturber, Fault, Done], contextlib.AbstractAsyncContextManager[None]]] = {
    Kind.SERVER_KILL: Disturber.servers_killed,
    Kind.SERVER_TERM: Disturber.server_ended,
    Kind.SERVER_STOP: Disturber.server_stopped,
    Kind.QUORUM_LOSS: Disturber.servers_killed,
    Kind.NODE_CUT: Disturber.cut,
    Kind.ROUTE_CUT: Disturber.cut,
    Kind.ROUTE_HOLD: Disturber.held,
    Kind.ROUTE_DELAY: Disturber.delayed,
    Kind.GATEWAY_KILL: Disturber.gateway_killed,
    Kind.GATEWAY_TERM: Disturber.gateway_ended,
    Kind.GATEWAY_STOP: Disturber.gateway_stopped,
    Kind.GATEWAY_RELOAD: Disturber.gateway_reloaded,
    Kind.GATEWAY_CUT: Disturber.cut,
    Kind.LINK_CUT: Disturber.cut,
    Kind.LINK_HOLD: Disturber.held,
    Kind.LINK_DELAY: Disturber.delayed,
    Kind.STREAM_STEP_DOWN: Disturber.stream_stepped_down,
    Kind.CONSUMER_STEP_DOWN: Disturber.consumer_stepped_down,
    Kind.META_STEP_DOWN: Disturber.meta_stepped_down,
}
