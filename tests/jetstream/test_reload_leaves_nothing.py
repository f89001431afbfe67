"""A process that reloads for months holds no more afterwards than one that has just begun."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections import Counter
from typing import Any

from nats.aio.client import Client

from gateway.jetstream.connection import Connection
from gateway.jetstream.server import EmbeddedServer
from gateway.jetstream.wire import Wire
from gateway.registry import Registry
from gateway.routing.route import CompiledRoute
from gateway.runtime.lane import Lane
from tests.jetstream.conftest import Route, RunGateway
from tests.support.eventually import eventually
from tests.support.running import RunningGateway
from tests.support.servers import restart_with
from tests.support.streams import make_stream

COUNTED = (Lane, CompiledRoute, Registry, Wire)
USERS = """
authorization { users: [ { user: all, password: all }, { user: a, password: a }, { user: b, password: b } ] }
no_auth_user: all
"""


def held(gateway: RunningGateway) -> dict[str, Any]:
    """Everything a reload makes, and should let go of."""
    gc.collect()
    connection: Connection = gateway.app._edge.connection
    objects = Counter(type(found).__name__ for found in gc.get_objects() if isinstance(found, COUNTED))
    return {
        "tasks": len(asyncio.all_tasks()),
        "threads": threading.active_count(),
        "subscriptions": len(connection.wire._subs),
        "sinks": len(connection.wire.sinks),
        "readers": connection.readers,
        "listeners": len(connection.changed),
        "stats": len(gateway.app.stats.routes),
        "shared": len(gateway.app._shared._made),
        **objects,
    }


async def test_reloads_leave_no_task_thread_subscription_or_object_behind(
    nats_server: EmbeddedServer, nc: Client, run_gateway: RunGateway, route: Route
) -> None:
    """Routes that come, go and change, and a connection that moves over each time."""
    await restart_with(nats_server, nc, USERS)
    for name in ("IN", "OUT", "DLQ"):
        await make_stream(nc, name, [f"{name.lower()}.>"])
    audit = {"stream": {"subject": "out.audit"}}

    def config(number: int) -> dict[str, Any]:
        user = "ab"[number % 2]
        routes = [route("steady"), route("changed", description=str(number), audits=[audit])]
        if number % 2:
            routes.append(route("comes"))
        nats = {"servers": [nats_server.url], "user": user, "password": user}
        return {"nats": nats, "http": "off", "drain": "5s", "routes": routes}

    gateway = await run_gateway(config(0))
    seen: list[dict[str, Any]] = []
    for number in range(1, 13):
        await gateway.reload(config(number))
        await eventually(lambda number=number: gateway.app._edge.connection.generation == number + 1)  # type: ignore[misc]
        await gateway.up()
        if number in (4, 12):
            await eventually(lambda: not gateway.app._edge.connection._partings)
            seen.append(held(gateway))
    # A timer that has not run out yet may hold on to the last one.
    assert {name: (seen[0][name], count) for name, count in seen[1].items() if count > seen[0][name] + 2} == {}
