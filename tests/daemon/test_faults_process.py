"""What happens to the process: it stands still, its disk is full, it may open nothing more."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import signal
from pathlib import Path
from typing import Any

import pytest
from nats.aio.client import Client

from gateway.jetstream.server import EmbeddedServer
from tests.conftest import StartGateway
from tests.support.arrivals import arrived, settled
from tests.support.eventually import eventually
from tests.support.small_routes import ONE, make_room, publish, route, seen, state_of
from tests.support.streams import consumer_state, count

STARTED = resource.getrlimit(resource.RLIMIT_FSIZE)


async def stand_still(pid: int, seconds: float) -> None:
    """Freeze a process as a host that swaps, or a virtual machine that is moved, does."""
    os.kill(pid, signal.SIGSTOP)
    try:
        # Not a wait for something: the time itself is the fault.
        await asyncio.sleep(seconds)
    finally:
        os.kill(pid, signal.SIGCONT)


@pytest.mark.fault("process-frozen")
async def test_a_process_that_stood_still_loses_and_doubles_nothing(
    full: Client, gateway_process: StartGateway
) -> None:
    """Longer than ack-wait, what was in flight may be with a replica by now: it is forgotten, and comes again."""
    routes = [ONE]
    for name, ack_wait in (("short", "1s"), ("long", "30s")):
        source = {"stream": "IN", "subjects": [f"in.{name}"], "ack-wait": ack_wait}
        stuck = route(name, f"in.{name}", f"full.{name}", retry={"initial": "100ms", "max": "200ms"})
        routes.append({**stuck, "source": source})
    gateway = await gateway_process({"routes": routes})
    for name in ("one", "short", "long"):
        await publish(full, f"in.{name}", 20)

    async def held() -> bool:
        held = [await gateway.metric(f'events_in_flight{{route="{name}"}}') for name in ("short", "long")]
        return held == [20, 20]

    await eventually(held)
    await stand_still(gateway.pid, 1.6)
    await publish(full, "in.one", 20)
    await arrived(full, "OUT", 40)
    await make_room(full)
    messages = await arrived(full, "FULL", 41)
    for name in ("short", "long"):
        stored = [message.json["n"] for message in messages if message.subject == f"full.{name}"]
        assert sorted(stored) == list(range(20))
        await settled(full, name)
        assert (await gateway.routes())[name]["state"] == "up"
    forgot = [line["route"] for line in gateway.logs if line.get("event") == "route.forgot"]
    assert set(forgot) == {"short"}


@pytest.mark.fault("audit-disk-full")
async def test_a_disk_that_is_full_holds_a_required_file_audit_and_costs_a_best_effort_one_its_records(
    streams: Client, gateway_process: StartGateway, tmp_path: Path
) -> None:
    """No event is settled before its record is safe; a neighbour without the audit does not notice."""

    def audited(name: str, mode: str) -> dict[str, Any]:
        file = {"path": str(tmp_path / f"{name}.jsonl"), "rotate": None}
        return route(name, f"in.{name}", f"out.{name}", audits=[{"file": file}], **{"audit-mode": mode})

    routes = [ONE, audited("required", "required"), audited("effort", "best-effort")]
    gateway = await gateway_process({"routes": routes})
    limit = 40_000
    resource.prlimit(gateway.pid, resource.RLIMIT_FSIZE, (limit, STARTED[1]))
    for name in ("required", "effort"):
        await publish(streams, f"in.{name}", 200)

    async def failing() -> bool:
        answer = (await gateway.routes())["required"]
        assert (answer["state"], answer["code"]) == ("down", "audit-failed"), answer
        assert "File too large" in answer["reason"]
        return True

    await eventually(failing)
    await settled(streams, "effort")
    await publish(streams, "in.one", 20)
    await settled(streams, "one")
    assert (await gateway.routes())["effort"]["state"] == "up"
    assert await gateway.metric('audit_records_total{route="effort",sink="audit-0-file",outcome="failed"}') > 0
    held = (await consumer_state(streams, "IN", "gateway-required"))["num_ack_pending"]
    assert held > 0
    resource.prlimit(gateway.pid, resource.RLIMIT_FSIZE, STARTED)
    await settled(streams, "required")
    await eventually(lambda: state_of(gateway, "required", "up"))
    records = [json.loads(line) for line in (tmp_path / "required.jsonl").read_text().splitlines() if whole(line)]
    assert {record["sequence"] for record in records if "outcome" in record} == set(range(1, 201))
    assert await count(streams, "OUT") == 420
    assert seen(gateway)["route.down"] < 10


def whole(line: str) -> bool:
    """Whether a line was written to its end; the disk was full in the middle of one."""
    try:
        json.loads(line)
    except ValueError:
        return False
    return True


@pytest.mark.fault("out-of-descriptors")
async def test_without_file_descriptors_it_goes_on_and_comes_back_when_there_are_some(
    streams: Client, nats_server: EmbeddedServer, gateway_process: StartGateway
) -> None:
    """Nothing new can be opened: no connection, no answer to a scrape. The one to the server is there until it goes."""
    gateway = await gateway_process({"routes": [ONE]})
    before = resource.prlimit(gateway.pid, resource.RLIMIT_NOFILE)
    held = len(os.listdir(f"/proc/{gateway.pid}/fd"))
    await publish(streams, "in.one", 20)
    resource.prlimit(gateway.pid, resource.RLIMIT_NOFILE, (3, before[1]))
    assert (await gateway.get("/healthz", timeout=2))[0] == 0
    await publish(streams, "in.one", 20)
    await arrived(streams, "OUT", 40)
    await nats_server.stop()
    await nats_server.start()
    await eventually(lambda: streams.is_connected)
    await publish(streams, "in.one", 20)
    await eventually(lambda: "nats.disconnected" in seen(gateway))
    resource.prlimit(gateway.pid, resource.RLIMIT_NOFILE, before)
    messages = await arrived(streams, "OUT", 60, 30)
    assert len(messages) == 60
    await gateway.ready()
    await settled(streams, "one")
    assert len(os.listdir(f"/proc/{gateway.pid}/fd")) <= held + 2
    assert len(gateway.logs) < 60
