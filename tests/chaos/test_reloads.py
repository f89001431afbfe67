"""Reload after reload under load: nothing is lost, nothing doubled, nothing left behind.

GATEWAY_RELOADS says how often; `make reload-soak` takes 500. Routes come, go and change with each, in the main file and
in one that is included; durables keep their place, so that in the end, with all routes back, every event is there once.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections import Counter
from typing import Any

from nats.aio.client import Client

from gateway.jetstream.server import EmbeddedServer
from tests.chaos.say import Say
from tests.conftest import StartGateway
from tests.support.eventually import LONG, eventually
from tests.support.proc import usage
from tests.support.process import GatewayProcess
from tests.support.publisher import Publisher
from tests.support.small_routes import rewrite, route, seen
from tests.support.streams import make_stream
from tests.support.witness import all_settled, read_all

RELOADS = int(os.environ.get("GATEWAY_RELOADS", "48"))
"""A multiple of 12, so that the last config has every route."""
WARM = 12
"""Reloads after which nothing more is made for the first time."""
ROUTES = ("steady", "calm", "picky", "many", "comes", "extra")
TARGETS = (["a", "b"], ["b", "a"], ["a", "b", "c"], ["a"])
"""Targets are reordered, added and removed; one stays."""
PACE = 0.02
"""Seconds between two rounds of events."""


def routes(number: int) -> list[dict[str, Any]]:
    """The routes of the main file after so many reloads."""
    targets = [{"name": name, "subject": f"out.many.{name}"} for name in TARGETS[number % 4]]
    found = [
        route("steady", "in.steady", "out.steady", description=f"the {number}th"),
        route("calm", "in.calm", "out.calm"),
        route("picky", "in.picky", "out.picky", filters=[{"pattern": {"kind": ["always", str(number % 2)]}}]),
        {**route("many", "in.many", ""), "targets": targets},
    ]
    return found if number % 2 else [*found, route("comes", "in.comes", "out.comes")]


def include(gateway: GatewayProcess, number: int) -> None:
    """The included file, which has a route of its own at every third reload."""
    own = [] if number % 3 else [route("extra", "in.extra", "out.extra")]
    folder = gateway.config.parent / "routes.d"
    folder.mkdir(exist_ok=True)
    (folder / "own.yaml").write_text(json.dumps({"routes": own}))


async def publish(publisher: Publisher, stop: asyncio.Event) -> int:
    """Rounds of one event for each route, until told to stop; returns how many rounds."""
    rounds = 0
    while not stop.is_set():
        for _ in range(4):
            for name in ROUTES:
                body = {"n": rounds, "kind": ("always", "0", "1")[rounds % 3]}
                await publisher.publish(f"in.{name}", json.dumps(body).encode())
            rounds += 1
        await asyncio.sleep(PACE)
    return rounds


async def reload(gateway: GatewayProcess, number: int) -> None:
    include(gateway, number)
    rewrite(gateway, routes=routes(number))
    gateway.signal(signal.SIGHUP)

    async def done() -> bool:
        failures = await gateway.metric('config_reloads_total{outcome="failure"}')
        if failures:
            raise RuntimeError(gateway.err)
        return await gateway.metric('config_reloads_total{outcome="success"}') == number

    await eventually(done, what=f"reload {number}")


async def test_reload_after_reload_under_load_loses_doubles_and_leaves_nothing(
    nats_server: EmbeddedServer, nc: Client, gateway_process: StartGateway, say: Say
) -> None:
    for name, subjects in (("IN", ["in.>"]), ("OUT", ["out.>"]), ("DLQ", ["dlq.>"])):
        await make_stream(nc, name, subjects, duplicate_window=int(3600e9))
    defaults = {"source": {"ack-wait": "5s"}}
    config = {"include": "routes.d/*.yaml", "defaults": defaults, "routes": routes(0)}
    gateway = await gateway_process(config, wait=False)
    include(gateway, 0)
    await gateway.start()
    stop = asyncio.Event()
    warm = after = None
    async with Publisher(nc) as publisher:
        publishing = asyncio.create_task(publish(publisher, stop))
        for number in range(1, RELOADS + 1):
            await reload(gateway, number)
            if number == WARM:
                warm = usage(gateway.pid)
        after = usage(gateway.pid)
        stop.set()
        rounds = await publishing
        await publisher.settled()
    # What a server had sent to a route that was just going comes again after ack-wait.
    await all_settled(nc, "IN", [f"gateway-{name}" for name in ROUTES], LONG)

    say(f"{RELOADS} reloads, {rounds * len(ROUTES)} events; after {WARM}: {warm}, at the end: {after}")
    found: dict[str, Counter[int]] = {}
    for message in await read_all(nats_server.url, "OUT"):
        found.setdefault(message.subject, Counter())[message.json["n"]] += 1
    once = Counter(range(rounds))
    for name in ("steady", "calm", "comes", "extra", "many.a"):
        assert found[f"out.{name}"] == once, f"{name}: {wrong(found[f'out.{name}'], once)}"
    for name in ("picky", "many.b", "many.c"):
        assert max(found[f"out.{name}"].values()) == 1, f"{name}: doubled"
    assert set(range(0, rounds, 3)) <= set(found["out.picky"]), "what every version of the filter keeps is all there"
    # A machine that is busy with other things blocks the loop, too.
    told = [line["event"] for line in gateway.logs if line["level"] in ("warning", "error")]
    told = [event for event in told if event != "loop.blocked"]
    assert told == [], told
    ups = Counter(line["route"] for line in gateway.logs if line["event"] == "route.up")
    assert ups["calm"] == 1, "what did not change is not touched"
    assert RELOADS // 2 < ups["steady"] <= RELOADS + 1, "some are replaced before they were up"
    assert seen(gateway)["config.reloaded"] == RELOADS
    assert warm is not None
    assert after is not None
    assert after.fds <= warm.fds + 3
    assert after.threads <= warm.threads
    assert after.rss < warm.rss + (16 << 20), "memory does not grow"


def wrong(found: Counter[int], wanted: Counter[int]) -> str:
    lost, more = wanted - found, found - wanted
    return f"lost {len(lost)}: {sorted(lost)[:5]}, doubled {len(more)}: {sorted(more)[:5]}"
