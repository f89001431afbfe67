"""Commands that ask a server once, under what `gateway permissions` prints and what docs/connection.md names beside."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml
from nats.aio.client import Client

from gateway.jetstream.permissions import Kind, Need, Only
from gateway.jetstream.server import EmbeddedServer
from tests.jetstream.test_permissions import needed, server_with, violations
from tests.support.commands import run_commands
from tests.support.process import ROOT
from tests.support.servers import gateway_url, restart_with
from tests.support.small_routes import route
from tests.support.streams import make_stream

COMMANDS = (["routes"], ["routes", "prune"], ["audit", "verify", "AUDIT"])


def documented(stream: str, command: str) -> list[Need]:
    """The subjects in the command's row of the table, of one stream."""
    page = (ROOT / "docs" / "connection.md").read_text()
    (row,) = [line for line in page.splitlines() if line.startswith(f"| `gateway {command}")]
    subjects = re.findall(r"`(?:\$JS\.API\.)?((?:STREAM|CONSUMER)\.[^`]*)`", row)
    return [Need(Kind.PUBLISH, f"$JS.API.{subject.replace('<stream>', stream)}", "") for subject in subjects]


async def run(nats_server: EmbeddedServer, tmp_path: Path, parsed: dict[str, Any]) -> list[tuple[int, str]]:
    """Code and stderr of each command."""
    file = tmp_path / "gateway.yaml"
    file.write_text(yaml.safe_dump({**parsed, "nats": {"servers": [gateway_url(nats_server)]}}))
    ended = await run_commands(*([*words, "-c", str(file)] for words in COMMANDS))
    return [(one.code, one.err) for one in ended]


async def test_every_command_says_what_it_may_not_and_works_with_what_the_page_names(
    nats_server: EmbeddedServer, nc: Client, tmp_path: Path
) -> None:
    for name in ("IN", "OUT", "DLQ", "AUDIT"):
        await make_stream(nc, name, [f"{name.lower()}.>"])
    await nc.jetstream().publish("audit.r", b"no record")
    parsed = {"nats": {"servers": [nats_server.url]}, "http": "off", "routes": [route("r", "in.>", "out.it")]}
    printed = needed(parsed, Only.SHORT_ACKS)
    await restart_with(nats_server, nc, server_with(printed, parsed))
    looked, *others = await run(nats_server, tmp_path, parsed)
    assert looked == (0, "")
    assert others == [
        (1, "$JS.API.CONSUMER.LIST.IN: no permission to publish there\n"),
        (1, "$JS.API.STREAM.INFO.AUDIT: no permission to publish there\n"),
    ]
    more = documented("IN", "routes prune") + documented("AUDIT", "audit verify")
    assert len(more) == 5
    await restart_with(nats_server, nc, server_with([*printed, *more], parsed))
    before = len(violations(nats_server))
    looked, pruned, verified = await run(nats_server, tmp_path, parsed)
    assert (looked, pruned) == ((0, ""), (0, ""))
    assert verified == (1, ""), "what is no record is a finding"
    assert len(violations(nats_server)) == before
