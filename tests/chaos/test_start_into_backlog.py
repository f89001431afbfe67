"""A gateway that starts into a full stream: each route gets its events, however busy the others keep the socket."""

from __future__ import annotations

from nats.aio.client import Client

from tests.conftest import StartGateway
from tests.support.eventually import LONG
from tests.support.publisher import Publisher
from tests.support.streams import count, make_stream
from tests.support.witness import all_settled

ROUTES = 12
EVENTS = 6_000


async def test_every_route_works_from_the_start(nc: Client, gateway_process: StartGateway) -> None:
    """What a route sends at its start keeps its order: a pull request that overtakes its subscription is lost, and the
    route would wait for the watchdog.
    """
    await make_stream(nc, "IN", ["in.>"])
    await make_stream(nc, "OUT", ["out.>"])
    async with Publisher(nc) as publisher:
        for n in range(EVENTS):
            await publisher.publish(f"in.{n}", b"x" * 8000)
        await publisher.settled()
    source = {"stream": "IN", "subjects": ["in.>"]}
    routes = [
        {"name": f"r{n}", "codec": "raw", "source": source, "targets": [{"name": "out", "subject": "out.all"}]}
        for n in range(ROUTES)
    ]
    gateway = await gateway_process({"routes": routes})
    await all_settled(nc, "IN", [f"gateway-r{n}" for n in range(ROUTES)], LONG)
    assert [line for line in gateway.logs if line["event"] == "source.silent"] == []
    assert await count(nc, "OUT") == ROUTES * EVENTS
