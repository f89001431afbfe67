"""Order under kill -9, SIGSTOP, drain, a server that dies and steps that fail, of replicas as processes.

The streams are the witnesses. `ORDER_ROUNDS=50` has as many faults, in a random order that `ORDER_SEED` repeats.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import random
import signal
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

from nats.aio.client import Client

from gateway.jetstream import pin
from gateway.jetstream.server import EmbeddedServer
from tests.chaos.load import steady
from tests.conftest import StartGateway
from tests.support.distribution import install
from tests.support.eventually import LONG, eventually
from tests.support.order import arrivals, by_key, disorder, one_order
from tests.support.process import GatewayProcess
from tests.support.publisher import Message
from tests.support.streams import api, change_stream, consumer_state, make_stream, read_stream

log = logging.getLogger("tests")

PIN = 1.0
"""Seconds after which the pin of a replica that says nothing lapses: found durables keep their own."""
ACK_WAIT = 2.0
KEYS = 5
RATE = 100.0
"""Events a second."""
FAULTS = ("kill", "nap", "sleep", "drain", "full", "server")
"""nap: longer than the pin, shorter than ack-wait; sleep: longer than both."""
FLAKY = """
from gateway import Retry, Reject, Transform, hookimpl

class Flaky(Transform, name="flaky"):
    def prepare(self):
        self.tries = {}

    def apply(self, event):
        n = event.get("n")
        tries = self.tries[n] = self.tries.get(n, 0) + 1
        if n % 61 == 0 and tries < 3:
            raise Retry(after=0.01 * (1 + n % 4))
        if n % 47 == 0:
            raise Reject("poison", "never goes through")
        return event

@hookimpl
def gateway_transforms():
    return [Flaky]
"""


def route(name: str, ordering: Any) -> dict[str, Any]:
    return {
        "name": name,
        "source": {"stream": "IN", "subjects": ["in.>"], "ack-wait": f"{ACK_WAIT:g}s"},
        "transforms": ["flaky"],
        "targets": [{"name": "out", "subject": f"{name}.out"}],
        "dead-letter": {"subject": f"{name}.dlq"},
        "ordering": ordering,
        "retry": {"initial": "50ms", "max": "200ms"},
        "max-in-flight": 64,
    }


ROUTES = [route("strict", "strict"), route("bykey", {"key": "key"})]


async def make_durable(nc: Client, name: str) -> None:
    """As the gateway makes it, but for a pin that lapses sooner."""
    durable = f"gateway-{name}"
    config = {
        "name": durable,
        "durable_name": durable,
        "ack_policy": "explicit",
        "deliver_policy": "all",
        "ack_wait": int(ACK_WAIT * 1e9),
        "max_deliver": -1,
        "max_ack_pending": 20000,
        "filter_subjects": ["in.>"],
        **pin.wanted(),
        "priority_timeout": int(PIN * 1e9),
    }
    answer = await api(nc, f"CONSUMER.CREATE.IN.{durable}", {"stream_name": "IN", "action": "create", "config": config})
    assert "error" not in answer, answer


def event(n: int) -> Message:
    """The event of this number."""
    return Message("in.ev", json.dumps({"n": n, "key": f"k{n % KEYS}"}).encode(), {})


async def holds_pin(nc: Client, gateways: list[GatewayProcess]) -> GatewayProcess:
    """The replica whose strict route last became active."""

    def last(gateway: GatewayProcess) -> str:
        return max(
            (
                line["time"]
                for line in gateway.logs
                if line.get("event") == "route.active" and line["route"] == "strict"
            ),
            default="",
        )

    return max(gateways, key=last)


class Storm:
    def __init__(self, nc: Client, server: EmbeddedServer, gateways: list[GatewayProcess]) -> None:
        self.nc, self.server, self.gateways = nc, server, gateways
        self.done: Counter[str] = Counter()

    async def strike(self, fault: str) -> None:
        self.done[fault] += 1
        victim = await holds_pin(self.nc, self.gateways)
        if fault == "kill":
            victim.kill9()
            await asyncio.sleep(random.random())
            victim.launch()
        elif fault == "drain":
            victim.term()
            await victim.wait()
            victim.launch()
        elif fault in ("nap", "sleep"):
            victim.signal(signal.SIGSTOP)
            await asyncio.sleep(PIN + 0.5 if fault == "nap" else ACK_WAIT + PIN)
            victim.signal(signal.SIGCONT)
        elif fault == "full":
            for stream in ("STRICT", "BYKEY"):
                await change_stream(self.nc, stream, max_msgs=1, discard="new")
            await asyncio.sleep(0.7)
            for stream in ("STRICT", "BYKEY"):
                await change_stream(self.nc, stream, max_msgs=-1)
        elif fault == "server":
            self.server.kill()
            await self.server.start()


async def test_order_holds_through_a_storm(
    nats_server: EmbeddedServer, nc: Client, gateway_process: StartGateway, tmp_path: Path
) -> None:
    """Every event arrives once, as a copy or a dead letter, and none before one that it is in order with."""
    seed = int(os.environ.get("ORDER_SEED", "7"))
    rounds = int(os.environ.get("ORDER_ROUNDS", "0"))
    chance = random.Random(seed)
    faults = [chance.choice(FAULTS) for _ in range(rounds)] or ["nap", "sleep", "kill"]
    await make_stream(nc, "IN", ["in.>"])
    for name in ("strict", "bykey"):
        await make_stream(nc, name.upper(), [f"{name}.>"], duplicate_window=600_000_000_000)
        await make_durable(nc, name)
    install(tmp_path / "plugins", "test-flaky", "1.0", {"test_flaky": FLAKY})
    env = {"PYTHONPATH": os.pathsep.join([os.environ.get("PYTHONPATH", ""), str(tmp_path / "plugins"), os.getcwd()])}
    gateways = [await gateway_process({"routes": ROUTES, "drain": "5s"}, wait=False, env=env) for _ in range(2)]
    for gateway in gateways:
        await gateway.start(60)
    storm = Storm(nc, nats_server, gateways)
    async with steady(nc, event, RATE) as load:
        for fault in faults:
            await load.reached(load.stored + 50, 60)
            await storm.strike(fault)
            await eventually(lambda: progressed(nc), LONG, f"progress after {fault}")
    for name in ("strict", "bykey"):
        await eventually(partial(all_settled, nc, name), LONG, f"{name} settled everything")
        last = (await api(nc, "STREAM.INFO.IN"))["state"]["messages"]
        assert last == load.sent
        messages = await read_stream(nc, name.upper())
        ids = Counter(message.headers["Nats-Msg-Id"] for message in messages)
        doubled = [ident for ident, times in ids.items() if times > 1]
        events = Counter(arrived.sequence for arrived in arrivals(messages))
        found = disorder(arrivals(messages, by_key if name == "bykey" else one_order))
        summary = f"{dict(storm.done)}: {last} events, {len(messages)} messages, {len(doubled)} doubled"
        log.info("%s: %s, %d out of order", name, summary, len(found))
        assert (found[:5], doubled[:5]) == ([], []), summary
        assert sorted(events) == list(range(1, last + 1)), summary
        assert {sequence for sequence, times in events.items() if times > 1} == set(), summary


async def all_settled(nc: Client, name: str) -> bool:
    state = await consumer_state(nc, "IN", f"gateway-{name}")
    assert (state["num_pending"], state["num_ack_pending"]) == (0, 0), (state["num_pending"], state["num_ack_pending"])
    return True


async def progressed(nc: Client) -> bool:
    """Whether both routes are nearly through with what came so far."""
    for name in ("strict", "bykey"):
        state = await consumer_state(nc, "IN", f"gateway-{name}")
        assert state["num_pending"] + state["num_ack_pending"] < 40, (
            name,
            state["num_pending"],
            state["num_ack_pending"],
        )
    return True
