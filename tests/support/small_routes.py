"""Two small routes for tests of the daemon as a process, and what is done and seen with them."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from typing import Any

import yaml
from nats.aio.client import Client

from .eventually import eventually
from .process import GatewayProcess
from .streams import change_stream


def route(name: str, subject: str, target: str, **more: Any) -> dict[str, Any]:
    source = {"stream": "IN", "subjects": [subject]}
    return {"name": name, "source": source, "targets": [{"name": "out", "subject": target}], **more}


ONE = route("one", "in.one", "out.one")


async def make_room(nc: Client) -> None:
    await change_stream(nc, "FULL", max_msgs=-1)


async def publish(nc: Client, subject: str, events: int) -> None:
    js = nc.jetstream(timeout=30)
    await asyncio.gather(*(js.publish(subject, json.dumps({"n": n}).encode()) for n in range(events)))


async def held(gateway: GatewayProcess, nc: Client, events: int) -> None:
    """Wait until so many events are with the gateway and cannot go on."""

    async def are_held() -> bool:
        return await gateway.metric('events_in_flight{route="stuck"}') == events

    await publish(nc, "in.stuck", events)
    await eventually(are_held)


def seen(gateway: GatewayProcess) -> Counter[str]:
    """How often each event name stands in the log."""
    return Counter(line["event"] for line in gateway.logs)


STUCK = route("stuck", "in.stuck", "full.up", retry={"initial": "100ms", "max": "200ms"})


async def state_of(gateway: GatewayProcess, name: str, state: str) -> bool:
    return bool((await gateway.routes())[name]["state"] == state)


def rewrite(gateway: GatewayProcess, **fields: Any) -> None:
    config = yaml.safe_load(gateway.config.read_text())
    gateway.config.write_text(yaml.safe_dump({**config, **fields}, sort_keys=False))
