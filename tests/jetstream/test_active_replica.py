"""Who is active in an ordered route: told by the active replica, by the one that stands by, and by `gateway routes`."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from nats.aio.client import Client

from gateway.jetstream import pin, replicas
from gateway.jetstream.replica_records import fingerprint, live
from gateway.jetstream.server import EmbeddedServer
from tests.jetstream.conftest import Route, RunGateway
from tests.support.commands import run_commands
from tests.support.eventually import eventually
from tests.support.running import RunningGateway
from tests.support.streams import consumer_state


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing depends on what is done now and then only, and no pin lapses while a test looks who has it."""
    monkeypatch.setattr(pin, "TIMEOUT", 60.0)
    monkeypatch.setattr(replicas, "EVERY", 3600.0)
    monkeypatch.setattr(replicas, "SOON", 0.1)


@pytest.fixture
def shown(tmp_path: Path, nats_server: EmbeddedServer) -> Any:
    """`await shown(route)` is what `gateway routes` says of it: the row of its JSON, and what stands under ACTIVE."""

    async def ask(one: dict[str, Any]) -> tuple[dict[str, Any], str]:
        file = tmp_path / "routes.yaml"
        file.write_text(yaml.safe_dump({"nats": {"servers": [nats_server.url]}, "routes": [one]}))
        said = await run_commands(("routes", "-c", str(file), "--json"), ("routes", "-c", str(file)))
        assert [one.code for one in said] == [0, 0], said[0].err
        return said[0].document["routes"][0], said[1].out.splitlines()[1].split()[4]

    return ask


def holders(*gateways: RunningGateway) -> list[str | None]:
    return [gateway.app.edge.holder("r") for gateway in gateways]


async def publish(nc: Client, events: int) -> None:
    for n in range(events):
        await nc.jetstream().publish("in.x", json.dumps({"n": n}).encode())


async def test_everybody_can_tell_who_is_active(
    nc: Client, streams: None, run_gateway: RunGateway, route: Route, shown: Any
) -> None:
    """Nobody before the first event; then one of the replicas, by name, whoever is asked; another one after a drain,
    and nobody again when all have gone.
    """
    one_route = route(ordering="strict")
    one = await run_gateway({"routes": [one_route]})
    assert holders(one) == [None]
    row, word = await shown(one_route)
    assert (row["ordering"], row["held"], row["active"], word) == ("strict", False, None, "nobody")

    await publish(nc, 1)
    await eventually(lambda: holders(one) == [one.app.instance])
    two = await run_gateway({"routes": [one_route]})
    await eventually(lambda: holders(one, two) == [one.app.instance] * 2, what="the standby names the active one")
    assert two.stats().code == "standby"
    row, word = await shown(one_route)
    assert (row["held"], row["active"], word) == (True, one.app.instance, one.app.instance)

    await one.stop()
    await publish(nc, 1)
    await eventually(lambda: holders(one, two) == [None, two.app.instance])

    async def second() -> bool:
        word = (await shown(one_route))[1]
        assert word == two.app.instance, word
        return True

    await eventually(second)
    await two.stop()

    async def nobody() -> bool:
        return bool((await shown(one_route))[1] == "nobody")

    await eventually(nobody)


async def test_a_record_that_comes_late_is_looked_for_again(
    nc: Client, streams: None, run_gateway: RunGateway, route: Route, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The active one writes it at about the time at which the others read it."""
    one_route = route(ordering="strict")
    one = await run_gateway({"routes": [one_route]})
    bucket, looked = one.app.edge.replicas.bucket, asyncio.Event()
    put = bucket.put

    async def late(*record: Any) -> Any:
        await looked.wait()
        return await put(*record)

    monkeypatch.setattr(bucket, "put", late)
    await publish(nc, 1)
    await eventually(lambda: holders(one) == [one.app.instance])
    two = await run_gateway({"routes": [one_route]})
    await eventually(lambda: holders(two) == [""] and two.app.edge.replicas._again > 1)
    looked.set()
    await eventually(lambda: holders(two) == [one.app.instance])


async def test_a_replica_nobody_can_name_is_unknown(
    nc: Client, streams: None, run_gateway: RunGateway, route: Route, shown: Any
) -> None:
    """Its record is gone, or it may not write one: never is another one named in its place."""
    one_route = route(ordering={"key": "n"})
    one = await run_gateway({"routes": [one_route]})
    await publish(nc, 1)
    await eventually(lambda: holders(one) == [one.app.instance])

    async def named() -> bool:
        return bool((await shown(one_route))[1] == one.app.instance)

    await eventually(named)
    await one.app.edge.replicas.leave()
    row, word = await shown(one_route)
    assert (row["ordering"], row["held"], row["active"], word) == ("key", True, None, "unknown")


async def test_a_record_does_not_hold_the_pin_itself(
    nc: Client, streams: None, run_gateway: RunGateway, route: Route
) -> None:
    """Whoever knows it could ask in its name."""
    one = await run_gateway({"routes": [route(ordering="strict")]})
    await publish(nc, 1)

    async def told() -> str:
        (record,) = await live(one.app.edge.api, "gateway")
        return record.pins[0] if record.pins else ""

    mark = await eventually(told)
    groups = (await consumer_state(nc, "IN", "gateway-r"))["priority_groups"]
    assert mark == fingerprint(groups[0]["pinned_client_id"])


async def test_a_route_without_order_has_no_holder(
    nc: Client, streams: None, run_gateway: RunGateway, route: Route, shown: Any
) -> None:
    one_route = route()
    one = await run_gateway({"routes": [one_route]})
    await publish(nc, 1)
    await eventually(lambda: one.stats().outcomes["published"] == 1)
    row, word = await shown(one_route)
    assert (row["ordering"], row["held"], row["active"], word) == ("none", None, None, "-")
    assert holders(one) == [None]
