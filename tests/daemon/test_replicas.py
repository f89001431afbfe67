"""Replicas as processes: they come, go, crash and are rolled over to another config, and every event is there once."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from nats.aio.client import Client

from gateway.jetstream.server import EmbeddedServer, free_port
from tests.conftest import StartGateway
from tests.support.eventually import eventually
from tests.support.process import GatewayProcess
from tests.support.publisher import Publisher
from tests.support.small_routes import route, seen
from tests.support.streams import consumer_state, count
from tests.support.witness import all_settled, read_all

pytestmark = pytest.mark.usefixtures("streams")

PAUSE = 0.02
"""Seconds between two bursts of BURST events: a steady load that two replicas carry without haste."""
BURST = 10

Replica = Callable[..., Awaitable[GatewayProcess]]


@pytest.fixture
def replica(gateway_process: StartGateway, tmp_path: Path, nats_server: EmbeddedServer) -> Replica:
    """`await replica(routes)`: one more gateway; those with equal routes have the same file, and so the same digest."""

    async def start(*routes: dict[str, Any], wait: bool = True) -> GatewayProcess:
        config = {
            "nats": {"servers": [nats_server.url]},
            "http": {"listen": "${HTTP_LISTEN}"},
            "log": {"format": "json"},
            "drain": "5s",
            "routes": list(routes),
        }
        text = yaml.safe_dump(config, sort_keys=False)
        file = tmp_path / f"replica-{hash(text):x}.yaml"
        file.write_text(text)
        gateway = await gateway_process(file, wait=False, env={"HTTP_LISTEN": f"127.0.0.1:{free_port()}"})
        if wait:
            await gateway.start()
        return gateway

    return start


class Load:
    """Publishes all the time, every event until it is stored."""

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher
        self.sent: Counter[str] = Counter()
        self.subjects = ["in.a"]
        self.stops = asyncio.Event()

    async def run(self) -> None:
        """Go on until told to stop; cancelled, it could have counted an event that it did not publish."""
        while not self.stops.is_set():
            for subject in self.subjects:
                for _ in range(BURST):
                    data = json.dumps({"subject": subject, "n": self.sent[subject]}).encode()
                    self.sent[subject] += 1
                    await self._publisher.publish(subject, data)
            await asyncio.sleep(PAUSE)

    async def goes_on(self, events: int = 200) -> None:
        """Wait until so many more events are stored."""
        await self._publisher.reached(self._publisher.stored + events)


@asynccontextmanager
async def load(nc: Client) -> AsyncIterator[Load]:
    """A steady load; in the end everything is stored."""
    async with Publisher(nc) as publisher:
        steady = Load(publisher)
        task = asyncio.create_task(steady.run())
        try:
            yield steady
        finally:
            steady.stops.set()
            await task
        await publisher.settled()


async def restarted(gateway: GatewayProcess) -> None:
    """One step of a rolling restart: it drains, ends, and is back."""
    gateway.term()
    assert await gateway.wait() == 0
    await gateway.start()


async def test_replicas_join_leave_crash_and_are_restarted_one_by_one_under_load(
    nc: Client, nats_server: EmbeddedServer, replica: Replica
) -> None:
    """No event is lost, none doubled, all share the work, and what waits is worked off."""
    only = route("r", "in.a", "out.a")
    only["source"]["ack-wait"] = "1s"
    one, two = await asyncio.gather(replica(only), replica(only))
    three = await replica(only, wait=False)
    async with load(nc) as steady:
        three.launch()  # join
        await steady.goes_on()
        await three.ready()
        two.kill9()  # crash
        await steady.goes_on()
        two.launch()
        await restarted(one)  # rolling restart
        await two.ready()
        await restarted(three)
        one.term()  # leave
        assert await one.wait() == 0
        await steady.goes_on()

        async def keeps_up() -> bool:
            state = await consumer_state(nc, "IN", "gateway-r")
            return bool(state["num_pending"] < 5 * BURST)

        await eventually(keeps_up, what="what waited is worked off while more comes")
    await all_settled(nc, "IN", ["gateway-r"])
    stored = await read_all(nats_server.url, "OUT")
    assert sorted(message.json["n"] for message in stored) == list(range(steady.sent["in.a"]))
    ids = [message.headers["Nats-Msg-Id"] for message in stored]
    assert sorted(int(one.split(".")[1]) for one in ids) == list(range(1, await count(nc, "IN") + 1))
    for gateway in (two, three):
        assert await gateway.metric('events_received_total{route="r"}') > 0
        assert await gateway.metric("replica_configs") == 1
        assert not seen(gateway)["replicas.config-differs"]


async def test_a_roll_out_changes_the_durable_once_and_every_event_from_then_on_is_there_once(
    nc: Client, nats_server: EmbeddedServer, replica: Replica
) -> None:
    """Two replicas of the new config start at once beside two of the old one, which go then."""
    old = route("r", "in.a", "{$subject}")
    old["targets"][0]["subject"] = "out.{$subject.1}"
    old["source"] |= {"ack-wait": "2s", "manage": "update"}
    new = {**old, "source": {**old["source"], "subjects": ["in.a", "in.b"], "max-ack-pending": 5000}}
    before = await asyncio.gather(replica(old), replica(old))

    async def known() -> bool:
        return max([await gateway.metric("replicas_seen") for gateway in before]) == 2

    await eventually(known, what="theirs is the older config")
    async with load(nc) as steady:
        await steady.goes_on()
        after = await asyncio.gather(replica(new), replica(new))
        config = (await consumer_state(nc, "IN", "gateway-r"))["config"]
        assert config["filter_subjects"] == ["in.a", "in.b"]
        assert config["max_ack_pending"] == 5000
        steady.subjects.append("in.b")
        await steady.goes_on()
        before[0].kill9()
        await before[0].start()  # an old one comes back, and must not change the durable back
        await steady.goes_on()
        for gateway in before:
            gateway.term()
            assert await gateway.wait() == 0
        await steady.goes_on()
    await all_settled(nc, "IN", ["gateway-r"])
    stored = await read_all(nats_server.url, "OUT")
    arrived = {name: sorted(m.json["n"] for m in stored if m.json["subject"] == name) for name in steady.sent}
    assert arrived == {name: list(range(number)) for name, number in steady.sent.items()}
    assert steady.sent["in.b"] > 0
    assert sum(seen(gateway)["durable.updated"] for gateway in after) == 1
    assert sum(seen(gateway)["replicas.config-differs"] for gateway in after) == 2
    assert seen(before[0])["durable.updated"] == 0
    assert seen(before[0])["durable.update-put-off"] == 1
    assert (await consumer_state(nc, "IN", "gateway-r"))["config"]["filter_subjects"] == ["in.a", "in.b"]
