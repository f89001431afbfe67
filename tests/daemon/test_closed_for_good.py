"""One-shot commands whose connection the server closes for good: exit code 75, another try may go better."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest
import yaml
from nats.aio.client import Client

from gateway.jetstream.server import EmbeddedServer
from tests.support.letters import write_letters
from tests.support.process import ROOT
from tests.support.proxy import Frame, Proxy
from tests.support.servers import permissions, reload_with, restart_with
from tests.support.small_routes import ONE, route

ASKS = ("$JS.API.CONSUMER.MSG.NEXT.", "$JS.API.CONSUMER.INFO.", "$JS.API.CONSUMER.LIST.")


@pytest.mark.usefixtures("streams")
@pytest.mark.parametrize(
    "command",
    [["dlq", "stats"], ["dlq", "redrive"], ["routes"]],
    ids=" ".join,
)
async def test_a_command_whose_user_is_taken_away_says_so(
    nats_server: EmbeddedServer, nc: Client, tmp_path: Path, command: list[str]
) -> None:
    """While it waits for an answer."""
    await restart_with(nats_server, nc, permissions(""))
    await write_letters(nc, 3)
    asked = asyncio.Event()

    def passes(frame: Frame) -> bool:
        if frame.upward and frame.subject.startswith(ASKS):
            asked.set()
            return False
        return True

    async with Proxy(nats_server.port) as proxy:
        proxy.passes = passes
        file = tmp_path / "gateway.yaml"
        nats = {"servers": [proxy.url.replace("//", "//gw:gw@")]}
        file.write_text(yaml.safe_dump({"nats": nats, "http": "off", "routes": [ONE, route("r", "in.r", "out.it")]}))
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "gateway", *command, "-c", str(file)),
            stderr=asyncio.subprocess.PIPE,
            cwd=ROOT,
        )
        try:
            await asyncio.wait_for(asked.wait(), 90)
            reload_with(nats_server, permissions("", password="changed"))
            _, err = await asyncio.wait_for(process.communicate(), 60)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
    assert process.returncode == 75, err.decode()
    assert err.decode().strip()
    assert "Traceback" not in err.decode()
