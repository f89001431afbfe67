"""`gateway dlq` under the permissions that docs/dead-letters.md names beside what `gateway permissions` prints."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml
from nats.aio.client import Client

from gateway.jetstream.permissions import Kind, Need, Only
from gateway.jetstream.server import EmbeddedServer
from gateway.subjects import covers
from tests.jetstream.test_permissions import needed, server_with, violations
from tests.jetstream.test_redrive import numbers, sent_before
from tests.support.commands import run_commands
from tests.support.letters import write_letters
from tests.support.process import ROOT
from tests.support.proxy import Frame, Proxy
from tests.support.servers import restart_with
from tests.support.small_routes import route
from tests.support.streams import count, make_stream, read_stream


def documented() -> list[str]:
    """The subjects the page names."""
    page = (ROOT / "docs" / "dead-letters.md").read_text()
    (block,) = re.findall(r"```text\n(\$JS\.API.*?)```", page, re.DOTALL)
    return block.split()


def config(url: str) -> dict[str, Any]:
    """One route, its streams declared: at others nobody looks."""
    streams = [{"name": name, "subjects": [f"{name.lower()}.>"], "provision": "verify"} for name in ("OUT", "DLQ")]
    return {"nats": {"servers": [url]}, "http": "off", "streams": streams, "routes": [route("r", "in.>", "out.it")]}


async def test_every_command_works_under_what_is_printed_and_what_the_page_names(
    nats_server: EmbeddedServer, nc: Client, tmp_path: Path
) -> None:
    """Nothing is refused, and no line of the page is idle."""
    more = documented()
    for name in ("IN", "OUT", "DLQ"):
        await make_stream(nc, name, [f"{name.lower()}.>"])
    printed = needed(config(nats_server.url), Only.SHORT_ACKS)
    allowed = [*printed, *(Need(Kind.PUBLISH, subject, "") for subject in (*more, "in.>"))]
    await restart_with(nats_server, nc, server_with(allowed, config(nats_server.url)))
    await write_letters(nc, 6)
    await sent_before(nats_server, nc, config(nats_server.url), 1)
    used: set[str] = set()

    def note(frame: Frame) -> bool:
        if frame.upward and frame.subject:
            used.add(frame.subject)
        return True

    async with Proxy(nats_server.port) as proxy:
        proxy.passes = note
        file = tmp_path / "gateway.yaml"
        file.write_text(yaml.safe_dump(config(proxy.url.replace("//", "//gw:gw@"))))
        commands = (
            ["list"],
            ["stats"],
            ["show", "1"],
            ["redrive", "--limit", "2"],
            ["redrive", "--to-source", "--limit", "2"],
            ["purge", "--all", "--yes"],
        )
        ended = await run_commands(*(["dlq", name, "-c", str(file), *options] for name, *options in commands))
    assert [one.code for one in ended] == [0] * 6, [one.err for one in ended]
    assert violations(nats_server) == []
    assert [subject for subject in more if not any(covers(subject, one) for one in used)] == []
    assert sorted(numbers(await read_stream(nc, "OUT"))) == [1, 2]
    assert (await count(nc, "IN"), await count(nc, "DLQ")) == (2, 0)
