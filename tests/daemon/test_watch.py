"""`gateway run --watch`: files that change are a reload, once they are at rest."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from nats.aio.client import Client

from gateway.daemon import LOOK_EVERY
from tests.conftest import StartGateway
from tests.support.eventually import eventually
from tests.support.process import GatewayProcess
from tests.support.small_routes import ONE, publish, rewrite, route, seen
from tests.support.streams import read_stream
from tests.support.witness import all_settled


def lines(gateway: GatewayProcess, event: str) -> list[dict[str, Any]]:
    return [line for line in gateway.logs if line.get("event") == event]


def text_of(gateway: GatewayProcess, **fields: Any) -> str:
    return yaml.safe_dump({**yaml.safe_load(gateway.config.read_text()), **fields}, sort_keys=False)


async def test_files_that_change_are_a_reload_which_names_them(streams: Client, gateway_process: StartGateway) -> None:
    """The config itself, a file that newly matches an include, a secret of one route: only what changed is replaced."""
    config = {"include": "routes.d/*.yaml", "routes": [ONE]}
    gateway = await gateway_process(config, wait=False, args=("--watch",))
    folder = gateway.config.parent
    (folder / "routes.d").mkdir()
    (folder / "key").write_text("old-key\n")
    redacted = route(
        "two", "in.two", "out.two", transforms=[{"redact": {"paths": ["n"], "with": "hmac", "key": "${file:../key}"}}]
    )
    (folder / "routes.d" / "two.yaml").write_text(json.dumps({"routes": [redacted]}))
    await gateway.start()

    # A route of its own file, written beside and renamed into its place.
    (folder / "three").write_text(json.dumps({"routes": [route("three", "in.three", "out.three")]}))
    (folder / "three").rename(folder / "routes.d" / "three.yaml")
    await eventually(lambda: seen(gateway)["config.reloaded"] == 1)
    assert [line["files"] for line in lines(gateway, "config.changed")] == [[str(folder / "routes.d/three.yaml")]]
    assert lines(gateway, "config.reloaded")[0]["started"] == ["three"]

    await publish(streams, "in.two", 1)
    await all_settled(streams, "IN", ["gateway-two"])
    (folder / "key").write_text("new-key\n")
    await eventually(lambda: seen(gateway)["config.reloaded"] == 2)
    assert lines(gateway, "config.changed")[1]["files"] == [f"{folder}/routes.d/../key"]
    said = lines(gateway, "config.reloaded")[1]
    assert (said["stopped"], said["replaced"], said["started"]) == ([], ["two"], [])
    assert said["config"] == lines(gateway, "config.reloaded")[0]["config"], "the text is the same"
    await publish(streams, "in.two", 1)
    await all_settled(streams, "IN", ["gateway-two"])
    masked = [message.json["n"] for message in await read_stream(streams, "OUT") if message.subject == "out.two"]
    assert len(set(masked)) == 2, "the same number under two keys"
    assert "old-key" not in gateway.err
    assert "new-key" not in gateway.err

    (folder / "routes.d" / "three.yaml").unlink()
    await eventually(lambda: seen(gateway)["config.reloaded"] == 3)
    assert lines(gateway, "config.reloaded")[2]["stopped"] == ["three"]


async def two_looks() -> None:
    """Let the watch look twice: what is shown is that nothing comes of it, so that there is nothing to wait for."""
    await asyncio.sleep(2.2 * LOOK_EVERY)


@pytest.mark.fault("half-written-config")
async def test_a_file_that_is_written_piece_by_piece_is_one_reload(
    streams: Client, gateway_process: StartGateway
) -> None:
    """Half a config is none: nothing is refused meanwhile, and a burst of changes is one."""
    gateway = await gateway_process({"routes": [ONE]}, args=("--watch",))
    for number in range(10):
        before = seen(gateway)
        text = text_of(gateway, routes=[ONE, route(f"two-{number}", "in.two", "out.two")])
        longest = await write_slowly(gateway.config, text)
        await eventually(lambda name=f"two-{number}": runs(gateway, "one", name))  # type: ignore[misc]
        if longest < LOOK_EVERY / 2:
            break
    assert longest < LOOK_EVERY / 2, "this machine stands still too often to write without a rest"
    done = seen(gateway) - before
    assert (done["config.reloaded"], done["config.changed"], done["config.reload-failed"]) == (1, 1, 0)


async def write_slowly(file: Path, text: str) -> float:
    """Write a file piece by piece, as an editor that takes its time; the longest time between two pieces."""
    longest, last = 0.0, time.monotonic()
    with file.open("w") as half:
        for at in range(0, len(text), 1 + len(text) // 12):
            half.write(text[at : at + 1 + len(text) // 12])
            half.flush()
            longest, last = max(longest, time.monotonic() - last), time.monotonic()
            await asyncio.sleep(0.2)
    return longest


async def runs(gateway: GatewayProcess, *names: str) -> bool:
    """Whether it has exactly these routes, and has said so in the log."""
    said = [line for line in gateway.logs if line["event"] == "config.reloaded"]
    return set(await gateway.routes()) == set(names) and bool(said) and names[-1] in said[-1]["started"]


async def test_a_file_with_problems_is_refused_once_and_what_is_no_change_is_none(
    streams: Client, gateway_process: StartGateway
) -> None:
    """It is mended by the next change, be it the old text: the gateway then runs what the file says."""
    gateway = await gateway_process({"routes": [ONE]}, args=("--watch",))
    good = gateway.config.read_text()
    gateway.config.write_text(text_of(gateway, routes=[{**ONE, "nmae": "x"}]))
    await eventually(lambda: seen(gateway)["config.reload-failed"] == 1)
    assert await gateway.metric("config_last_reload_successful") == 0
    await two_looks()
    assert seen(gateway)["config.reload-failed"] == seen(gateway)["config.changed"] == 1, "said once, not at every look"
    await publish(streams, "in.one", 1)
    await all_settled(streams, "IN", ["gateway-one"])
    gateway.config.unlink()
    await eventually(lambda: seen(gateway)["config.reload-failed"] == 2)
    gateway.config.write_text(good)
    await eventually(lambda: seen(gateway)["config.reloaded"] == 1)
    assert await gateway.metric("config_last_reload_successful") == 1
    assert await gateway.metric('config_reloads_total{outcome="failure"}') == 2
    assert seen(gateway)["route.up"] == 1

    # Touched, away for a moment, and changed with a signal: the watch has nothing to add.
    os.utime(gateway.config)
    gateway.config.unlink()
    gateway.config.write_text(good)
    changed = seen(gateway)["config.changed"]
    rewrite(gateway, routes=[ONE, route("two", "in.two", "out.two")])
    gateway.signal(signal.SIGHUP)
    await eventually(lambda: seen(gateway)["config.reloaded"] == 2)
    await two_looks()
    assert (seen(gateway)["config.reloaded"], seen(gateway)["config.changed"]) == (2, changed)


async def test_log_levels_are_used_at_once(streams: Client, gateway_process: StartGateway) -> None:
    """To look closer at a gateway in trouble must not need a restart, which may end the trouble."""
    gateway = await gateway_process({"routes": [ONE]})

    async def reloads(number: int) -> bool:
        return await gateway.metric('config_reloads_total{outcome="success"}') == number

    rewrite(gateway, log={"format": "json", "level": "error"}, routes=[ONE, route("two", "in.two", "out.two")])
    gateway.signal(signal.SIGHUP)
    await eventually(lambda: reloads(1))
    assert seen(gateway)["config.reloaded"] == 0, "an error it is not"
    rewrite(gateway, log={"format": "text", "level": "debug"})
    gateway.signal(signal.SIGHUP)
    await eventually(lambda: reloads(2))
    assert "INFO  reloaded" in gateway.err
