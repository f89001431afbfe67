"""`gateway routes` as users run it: what it shows, and what `prune` deletes and what it must not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from nats.aio.client import Client

from gateway.jetstream.server import EmbeddedServer, free_port
from tests.conftest import StartGateway
from tests.support.commands import Ended, run_commands
from tests.support.eventually import eventually
from tests.support.servers import gateway_url, permissions, restart_with
from tests.support.small_routes import ONE, publish, route
from tests.support.streams import api, consumer_state
from tests.support.witness import all_settled

pytestmark = pytest.mark.usefixtures("streams")


async def routes(*args: str) -> Ended:
    """Run `gateway routes`."""
    (ended,) = await run_commands(("routes", *args))
    return ended


@pytest.fixture
def config(tmp_path: Path, nats_server: EmbeddedServer) -> Any:
    """`config(ONE, ...)` is a file with these routes."""

    def write(*some: dict[str, Any], **fields: Any) -> str:
        file = tmp_path / "routes.yaml"
        whole = {"nats": {"servers": [nats_server.url]}, "routes": list(some), **fields}
        file.write_text(yaml.safe_dump(whole, sort_keys=False))
        return str(file)

    return write


async def left_behind(nc: Client, durable: str, stream: str = "IN", owner: str | None = "gateway") -> None:
    """A durable as a route that is gone leaves it."""
    metadata = {"gateway": owner, "gateway-config": "0ldc0nf19"} if owner else {}
    wanted = {"durable_name": durable, "ack_policy": "explicit", "filter_subject": "in.old", "metadata": metadata}
    answer = await api(nc, f"CONSUMER.CREATE.{stream}.{durable}.in.old", {"stream_name": stream, "config": wanted})
    assert "error" not in answer, answer


async def durables(nc: Client, stream: str = "IN") -> list[str]:
    return sorted((await api(nc, f"CONSUMER.NAMES.{stream}"))["consumers"] or [])


async def test_every_route_is_shown_with_its_durable_and_what_waits_for_it(
    nc: Client, config: Any, gateway_process: StartGateway
) -> None:
    gateway = await gateway_process({"routes": [ONE]})
    await publish(nc, "in.one", 7)
    await all_settled(nc, "IN", ["gateway-one"])
    gateway.term()
    await gateway.wait()
    await publish(nc, "in.one", 1234)
    await left_behind(nc, "gateway-theirs", owner="other")
    file = config(
        ONE,
        route("two", "in.two", "out.two"),
        route("off", "in.off", "out.off", enabled=False),
        route("theirs", "in.x", "out.x"),
        {**ONE, "name": "nowhere", "source": {"stream": "NONE", "subjects": ["none.>"]}},
    )
    said = await routes("-c", file)
    assert said.code == 0, said.err
    lines = [line.split() for line in said.out.splitlines()]
    assert lines[0] == ["ROUTE", "STATE", "STREAM", "DURABLE", "ACTIVE", "WAITING", "IN", "FLIGHT", "READERS"]
    assert lines[1] == ["one", "ok", "IN", "gateway-one", "-", "1,234", "0", "0"]
    assert [line[1] for line in lines[2:]] == ["no-durable", "disabled", "foreign", "no-stream"]
    shown = (await routes("-c", file, "--json")).document["routes"][0]
    assert (shown["state"], shown["pending"], shown["position"], shown["owner"]) == ("ok", 1234, 7, "gateway")


async def test_a_durable_that_somebody_paused_is_not_ok(nc: Client, config: Any) -> None:
    await left_behind(nc, "gateway-one")
    await api(nc, "CONSUMER.PAUSE.IN.gateway-one", {"pause_until": "2999-01-01T00:00:00Z"})
    file = config(ONE)
    assert (await routes("-c", file, "--json")).document["routes"][0]["state"] == "paused"
    await api(nc, "CONSUMER.PAUSE.IN.gateway-one", {})
    assert (await routes("-c", file, "--json")).document["routes"][0]["state"] == "ok"


async def test_prune_shows_what_no_route_has_and_deletes_it_when_told(nc: Client, config: Any) -> None:
    """Of streams that no route reads any more, too, but only when told."""
    await left_behind(nc, "gateway-old")
    await publish(nc, "in.old", 3)
    await left_behind(nc, "gateway-off")
    await left_behind(nc, "gateway-foreign", owner="other")
    await left_behind(nc, "gateway-somebodys", owner=None)
    await left_behind(nc, "gateway-moved", "OUT")
    file = config(ONE, route("off", "in.off", "out.off", enabled=False))

    said = await routes("prune", "-c", file)
    assert said.code == 1
    (line, last) = said.out.splitlines()
    assert line.startswith("IN/gateway-old  made by config 0ldc0nf19, settled up to sequence 0, 3 events wait, 0 in fl")
    assert last == "1 would be deleted: --yes does it"
    assert len(await durables(nc)) == 4

    said = await routes("prune", "-c", file, "--yes", "--all-streams", "--json")
    assert said.code == 0, said.out
    shown = {one["durable"]: (one["deleted"], one["kept"]) for one in said.document["durables"]}
    assert shown == {"gateway-old": (True, None), "gateway-moved": (True, None)}
    assert await durables(nc) == ["gateway-foreign", "gateway-off", "gateway-somebodys"]
    assert await durables(nc, "OUT") == []
    said = await routes("prune", "-c", file, "--yes")
    assert (said.code, said.out) == (0, "no durable without a route\n")


async def test_prune_keeps_what_a_gateway_with_another_config_uses(
    nc: Client, config: Any, gateway_process: StartGateway
) -> None:
    """In the middle of a roll-out, or with the wrong file: its events would be lost to it from then on."""
    two = route("two", "in.two", "out.two")
    gateway = await gateway_process({"routes": [ONE, two]})

    async def reads() -> bool:
        return bool((await consumer_state(nc, "IN", "gateway-two"))["num_waiting"])

    await eventually(reads)
    await left_behind(nc, "gateway-idle")
    file = config(ONE)
    said = await routes("prune", "-c", file, "--yes")
    assert said.code == 1
    lines = {line.split()[0]: line for line in said.out.splitlines()}
    assert "kept: it is being read" in lines["IN/gateway-two"]
    assert "kept: replicas run another config" in lines["IN/gateway-idle"]
    assert await durables(nc) == ["gateway-idle", "gateway-one", "gateway-two"]

    gateway.term()
    await gateway.wait()
    said = await routes("prune", "-c", file, "--yes")
    assert said.code == 0, said.out
    assert await durables(nc) == ["gateway-one"]


async def test_prune_keeps_everything_while_nobody_can_see_the_replicas(
    nats_server: EmbeddedServer, nc: Client, config: Any
) -> None:
    """They may run another config, and what is deleted is gone for good."""
    await left_behind(nc, "gateway-old")
    await restart_with(nats_server, nc, permissions('publish: { deny: ["$JS.API.STREAM.INFO.KV_gateway-gateway"] }'))
    file = config(ONE, nats={"servers": [gateway_url(nats_server)]})
    said = await routes("prune", "-c", file, "--yes")
    assert said.code == 1
    assert "kept: it cannot be seen whether replicas run another config" in said.out
    assert await durables(nc) == ["gateway-old"]
    assert (await routes("prune", "-c", file, "--yes", "--force")).code == 0
    assert await durables(nc) == []


async def test_what_goes_wrong_has_its_exit_code(config: Any) -> None:
    away = config(ONE, nats={"servers": [f"nats://127.0.0.1:{free_port()}"]})
    said = await routes("-c", away, "--timeout", "300ms")
    assert (said.code, said.out) == (69, "")
    assert "no NATS server answers" in said.err
    assert (await routes("prune", "-c", config(), "--yes")).code == 78
