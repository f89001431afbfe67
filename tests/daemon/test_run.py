"""`gateway run` as a process: what its supervisor, its operator and its logs see of it."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from nats.aio.client import Client

from gateway.jetstream.server import EmbeddedServer, free_port
from tests.conftest import StartGateway
from tests.support.eventually import eventually
from tests.support.small_routes import ONE, STUCK, held, make_room, publish, route, seen
from tests.support.streams import count
from tests.support.witness import all_settled

# ---------------------------------------------------------------------- the end


async def test_sigterm_drains_and_exits_0(streams: Client, gateway_process: StartGateway) -> None:
    """In the middle of two thousand events: what it had is settled, and a successor need not wait for the rest."""
    gateway = await gateway_process({"routes": [ONE]})
    await publish(streams, "in.one", 2000)
    gateway.term()
    assert await gateway.wait() == 0
    assert any(line["message"].startswith("drained: ") and " 0 returned" in line["message"] for line in gateway.logs)
    assert seen(gateway)["gateway.stopped"] == 1
    await gateway.start()
    # ack-wait is 30 s: what the first one had taken and not settled would come only then.
    await all_settled(streams, "IN", ["gateway-one"], 20)
    assert await count(streams, "OUT") == 2000


async def test_what_cannot_be_finished_in_time_goes_back_at_once(full: Client, gateway_process: StartGateway) -> None:
    """A successor gets it long before ack-wait is over."""
    gateway = await gateway_process({"drain": "500ms", "routes": [STUCK]})
    await held(gateway, full, 50)
    gateway.term()
    assert await gateway.wait() == 0
    assert any("0 settled, 50 returned" in line["message"] for line in gateway.logs)
    await make_room(full)
    await gateway.start()
    await all_settled(full, "IN", ["gateway-stuck"], 20)
    assert await count(full, "FULL") == 51


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_second_signal_ends_it_at_once(
    number: signal.Signals, full: Client, gateway_process: StartGateway
) -> None:
    """The exit code names the signal; a drain that would take 25 s is not waited for."""
    gateway = await gateway_process({"routes": [STUCK]})
    await held(gateway, full, 1)
    gateway.term()
    await eventually(lambda: "gateway.stopping" in seen(gateway))
    gateway.signal(number)
    assert await gateway.wait(15) == 128 + number
    assert gateway.logs[-1]["event"] == "gateway.killed", "the last line says why"


async def test_a_server_that_hangs_does_not_keep_it_from_ending(
    full: Client, nats_server: EmbeddedServer, gateway_process: StartGateway
) -> None:
    """Connected, but nobody answers: it exits 0 not much later than its drain says."""
    gateway = await gateway_process({"drain": "1s", "routes": [STUCK, ONE]})
    await held(gateway, full, 5)
    os.kill(nats_server.pid, signal.SIGSTOP)
    gateway.term()
    try:
        assert await gateway.wait() == 0
    finally:
        os.kill(nats_server.pid, signal.SIGCONT)
    assert "Traceback" not in gateway.err


async def test_a_server_that_dies_during_the_drain_does_not_keep_it_from_ending(
    full: Client, nats_server: EmbeddedServer, gateway_process: StartGateway
) -> None:
    gateway = await gateway_process({"drain": "1s", "routes": [STUCK, ONE]})
    await held(gateway, full, 5)
    gateway.term()
    nats_server.kill()
    assert await gateway.wait() == 0
    assert "Traceback" not in gateway.err


# ---------------------------------------------------------------------- the start


async def test_an_invalid_config_exits_78_with_its_problems(tmp_path: Path, gateway_process: StartGateway) -> None:
    """All problems on stderr, each with its place; no traceback."""
    file = tmp_path / "bad.yaml"
    file.write_text("naem: x\nroutes:\n  - name: UPPER\n    targets: []\n")
    gateway = await gateway_process(file, wait=False)
    gateway.launch()
    assert await gateway.wait() == 78
    assert f"{file}:1:1: naem: unknown field" in gateway.err
    assert f"{file}:3:" in gateway.err
    assert "Traceback" not in gateway.err + gateway.out


async def test_a_missing_config_exits_78(tmp_path: Path, gateway_process: StartGateway) -> None:
    gateway = await gateway_process(tmp_path / "nowhere.yaml", wait=False)
    gateway.launch()
    assert await gateway.wait() == 78
    assert "nowhere.yaml" in gateway.err
    assert "Traceback" not in gateway.err


async def test_a_port_in_use_is_said_clearly(streams: Client, gateway_process: StartGateway) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        gateway = await gateway_process({"http": {"listen": listen}, "routes": [ONE]}, wait=False)
        gateway.launch()
        assert await gateway.wait() == 75, "a supervisor should try again, which 78 would forbid"
    assert gateway.logs[-1]["event"] == "gateway.start-failed", "a line like every other"
    assert gateway.logs[-1]["message"].startswith(f"cannot listen on {listen}: ")
    assert "Traceback" not in gateway.err


async def test_a_server_that_is_away_at_the_start_is_waited_for(
    streams: Client, nats_server: EmbeddedServer, gateway_process: StartGateway
) -> None:
    """Alive and not ready; ready, and at work, when the server comes."""
    await nats_server.stop()
    gateway = await gateway_process({"routes": [ONE]}, wait=False)
    gateway.launch()

    async def waits() -> bool:
        return (await gateway.get("/healthz"))[0] == 200 and (await gateway.get("/readyz"))[0] == 503

    async def says_why() -> bool:
        return bool((await gateway.routes())["one"]["code"] == "disconnected")

    await eventually(waits)
    await eventually(says_why)
    await eventually(lambda: "nats.unreachable" in seen(gateway))
    await nats_server.start()
    await gateway.ready()
    await publish(streams, "in.one", 10)
    await all_settled(streams, "IN", ["gateway-one"])
    assert await count(streams, "OUT") == 10


async def test_a_gateway_that_never_saw_a_server_can_be_stopped(gateway_process: StartGateway) -> None:
    servers = {"servers": [f"nats://127.0.0.1:{free_port()}"]}
    gateway = await gateway_process({"nats": servers, "routes": [ONE]}, wait=False)
    gateway.launch()
    await eventually(lambda: "gateway.ready" in seen(gateway))
    (line,) = [told for told in map(json.loads, gateway.err.splitlines()) if told["event"] == "gateway.ready"]
    assert line["level"] == "warning"
    assert line["message"].startswith("started, and not ready yet: not connected to NATS"), "it is no good news"
    gateway.term()
    assert await gateway.wait() == 0
    assert "Traceback" not in gateway.err


# ---------------------------------------------------------------------- systemd and logs


@pytest.fixture
def notified(tmp_path: Path) -> Iterator[socket.socket]:
    """systemd's end of NOTIFY_SOCKET."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(tmp_path / "notify"))
        receiver.setblocking(False)
        yield receiver


async def test_systemd_is_told_what_it_must_know(
    streams: Client, notified: socket.socket, gateway_process: StartGateway
) -> None:
    """READY once the routes are up, WATCHDOG all the time, RELOADING and READY around a reload, STOPPING at the end."""
    told: list[str] = []

    def has(word: str, times: int = 1) -> bool:
        while True:
            try:
                told.append(notified.recv(4096).decode())
            except BlockingIOError:
                return sum(word in message.split("\n") for message in told) >= times

    gateway = await gateway_process(
        {"routes": [ONE]}, env={"NOTIFY_SOCKET": str(notified.getsockname()), "WATCHDOG_USEC": "1000000"}
    )
    await eventually(lambda: has("READY=1"))
    assert any(message.startswith("READY=1\nSTATUS=1 of 1 routes up") for message in told), told
    assert not has("STOPPING=1")
    started = time.monotonic()
    pings = told.count("WATCHDOG=1")
    await eventually(lambda: has("WATCHDOG=1", pings + 4))
    assert time.monotonic() - started < 4 * 1.0, "the pings come too late"
    gateway.signal(signal.SIGHUP)
    await eventually(lambda: has("RELOADING=1") and has("READY=1", 2))
    # A process that stands still tells nothing: systemd will end it.
    gateway.signal(signal.SIGSTOP)
    has("")
    pings = told.count("WATCHDOG=1")
    gateway.signal(signal.SIGCONT)
    await eventually(lambda: has("WATCHDOG=1", pings + 1))
    gateway.term()
    await gateway.wait()
    assert has("STOPPING=1")
    last = [message.split("\n")[0] for message in told]
    assert not any(message == "READY=1" for message in last[last.index("STOPPING=1") :])


async def test_the_log_has_a_line_for_each_fact_and_none_for_events(
    streams: Client, gateway_process: StartGateway
) -> None:
    """JSON on a pipe without being told; a thousand events add nothing, and twenty dead letters of a kind one line."""
    gateway = await gateway_process({"log": {}, "routes": [ONE, route("two", "in.two", "out.two")]})
    await eventually(lambda: "gateway.ready" in seen(gateway))
    before = len(gateway.err.splitlines())
    await publish(streams, "in.one", 1000)
    for _ in range(20):
        await streams.jetstream().publish("in.two", b"{")
    await all_settled(streams, "IN", ["gateway-one", "gateway-two"])
    assert await count(streams, "DLQ") == 20
    lines = [json.loads(line) for line in gateway.err.splitlines()[before:]]
    # A machine that is busy with other things blocks the loop, too.
    assert [line["event"] for line in lines if line["event"] != "loop.blocked"] == ["event.dead-lettered"]
    gateway.term()
    assert await gateway.wait() == 0
    lines = [json.loads(line) for line in gateway.err.splitlines()]
    assert all({"time", "level", "event", "message"} <= line.keys() for line in lines)
    found = seen(gateway)
    found.pop("loop.blocked", None)
    assert found == {
        "gateway.starting": 1,
        "nats.connected": 1,
        "replicas.bucket-made": 1,
        "durable.created": 2,
        "route.up": 2,
        "gateway.ready": 1,
        "event.dead-lettered": 2,
        "gateway.stopping": 1,
        "gateway.drained": 1,
        "gateway.stopped": 1,
    }
    assert gateway.out == ""


async def test_nothing_of_it_stays_behind(streams: Client, gateway_process: StartGateway) -> None:
    """Its port is free and its process gone."""
    gateway = await gateway_process({"routes": [ONE]})
    pid = gateway.pid
    gateway.term()
    assert await gateway.wait() == 0
    assert await gateway.get("/healthz") == (0, "")
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
