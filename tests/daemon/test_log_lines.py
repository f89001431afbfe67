"""The log of a real process: few lines for many events, levels by logger, priorities for the journal."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path
from typing import Any

import yaml
from nats.aio.client import Client

from gateway.jetstream.server import EmbeddedServer, free_port
from tests.conftest import StartGateway
from tests.support.eventually import eventually
from tests.support.process import GatewayProcess
from tests.support.small_routes import ONE, rewrite, route, seen
from tests.support.streams import count

POISON = int(os.environ.get("POISON", "3000"))


async def poison(nc: Client, number: int) -> None:
    """Events that cannot be decoded."""
    for _ in range(number):
        await nc.publish("in.one", b"{poison")
    await nc.flush()


def letters(gateway: GatewayProcess) -> list[dict[str, Any]]:
    """The lines about dead letters."""
    return [line for line in gateway.logs if line["event"] == "event.dead-lettered"]


async def all_dead(nc: Client, number: int) -> None:
    """Wait for so many dead letters."""

    async def there() -> bool:
        return await count(nc, "DLQ") == number

    await eventually(there, 300)


DECODES = {**ONE, "transforms": [{"set": {"a": 1}}]}


async def test_thousands_of_poison_events_are_a_few_lines_and_the_numbers_add_up(
    streams: Client, gateway_process: StartGateway
) -> None:
    """What is held back is told when the process ends. `POISON=100000` has as many."""
    gateway = await gateway_process({"routes": [DECODES]})
    await poison(streams, POISON)
    await all_dead(streams, POISON)
    gateway.term()
    assert await gateway.wait() == 0
    told = letters(gateway)
    assert len(told) <= 2 + POISON // 3000, "one at once, one an interval, one at the end"
    assert "repeated" not in told[0]
    assert sum(line.get("repeated", 1) for line in told) == POISON
    assert (told[-1]["code"], told[-1]["route"], told[-1]["step"]) == ("decode-error", "one", "decode")
    assert gateway.logs[-1]["event"] == "gateway.stopped", "the last line is the last"


async def test_a_second_signal_tells_what_was_held_back_before_it_ends(
    streams: Client, full: Client, gateway_process: StartGateway
) -> None:
    """Nothing is flushed then but the log."""
    stuck = route("stuck", "in.stuck", "full.up")
    gateway = await gateway_process({"routes": [DECODES, stuck], "drain": "60s"})
    await streams.jetstream().publish("in.stuck", b"{}")
    await poison(streams, 10)
    await all_dead(streams, 10)
    gateway.term()
    await eventually(lambda: "gateway.stopping" in seen(gateway))
    gateway.term()
    assert await gateway.wait() == 128 + signal.SIGTERM
    assert sum(line.get("repeated", 1) for line in letters(gateway)) == 10


async def test_levels_are_by_logger_and_change_at_a_reload(streams: Client, gateway_process: StartGateway) -> None:
    """A quiet logger is opened, another one closed; what the config says nothing of any more is as ever."""
    log: dict[str, Any] = {"format": "json", "loggers": {"gateway.route": "error", "gateway.nats": "debug"}}
    gateway = await gateway_process({"routes": [DECODES], "log": log})
    await poison(streams, 1)
    await all_dead(streams, 1)
    assert not letters(gateway), "only errors of routes"
    rewrite(gateway, log={"format": "json", "level": "warning"})
    gateway.signal(signal.SIGHUP)
    await eventually(lambda: gateway_metric(gateway))
    await poison(streams, 1)
    await all_dead(streams, 2)
    await eventually(lambda: len(letters(gateway)) == 1)
    assert "config.reloaded" not in seen(gateway), "an info, which is too little now"
    rewrite(gateway, log={"format": "text", "loggers": {"gateway": "debug"}})
    gateway.signal(signal.SIGHUP)
    await eventually(lambda: re.search(r"^\d\d:\d\d:\d\d\.\d{3} INFO  reloaded ", gateway.err, re.MULTILINE))


async def gateway_metric(gateway: GatewayProcess) -> bool:
    """Whether a reload was done."""
    return await gateway.metric('config_reloads_total{outcome="success"}') == 1


async def test_behind_the_journal_each_line_has_its_priority(
    streams: Client, nats_server: EmbeddedServer, tmp_path: Path
) -> None:
    """stderr is the stream that systemd names: <6> for what is usual, <4> for a warning."""
    file, errors = tmp_path / "gateway.yaml", tmp_path / "gateway.err"
    config = {
        "nats": {"servers": [nats_server.url]},
        "http": {"listen": f"127.0.0.1:{free_port()}"},
        "log": {"format": "text"},
        "routes": [DECODES],
    }
    file.write_text(yaml.safe_dump(config))
    errors.touch()
    stat = errors.stat()
    gateway = GatewayProcess(file, tmp_path, env={"JOURNAL_STREAM": f"{stat.st_dev}:{stat.st_ino}"})
    try:
        await gateway.start()
        await poison(streams, 1)
        await eventually(lambda: "dead letter" in gateway.err)
        gateway.term()
        assert await gateway.wait() == 0
    finally:
        gateway.shut_down()
    lines = gateway.err.splitlines()
    assert {line[:3] for line in lines} == {"<6>", "<4>"}
    assert [line[:3] for line in lines if "is a dead letter" in line] == ["<4>"]
    assert all(re.match(r"<\d>\d\d:\d\d:\d\d\.", line) for line in lines)
