"""`gateway check --live`: what servers hold beside what a config needs, each finding at its place in the file."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from nats.aio.client import Client
from nats.js import JetStreamContext

from gateway.cli import gateway
from gateway.config.loader import examine_text
from gateway.jetstream.inspection import Finding, Inspection
from gateway.jetstream.oneshot import connected
from gateway.jetstream.permissions import Only
from gateway.jetstream.server import EmbeddedServer, free_port
from gateway.routing.compile import compile_config
from tests.jetstream.test_permissions import needed, server_with
from tests.support.commands import run_commands
from tests.support.servers import gateway_url, permissions, restart_with
from tests.support.streams import api, change_stream, make_stream

SECOND = 1_000_000_000


def config(url: str, **fields: Any) -> dict[str, Any]:
    """A route that fits streams made by `good`."""
    route = {
        "name": "r",
        "source": {"stream": "IN", "subjects": ["in.>"]},
        "retry": {"max": "10s"},
        "targets": [{"subject": "out.it", "name": "out"}],
        **fields.pop("route", {}),
    }
    return {"nats": {"servers": [url]}, "drain": "10s", "routes": [route], **fields}


async def good(nc: Client, *leave_out: str, **changes: dict[str, Any]) -> None:
    """IN, OUT and DLQ as the config needs them, with changes by name."""
    for name in ("IN", "OUT", "DLQ"):
        if name not in leave_out:
            fields: dict[str, Any] = {"duplicate_window": 120 * SECOND, **changes.get(name, {})}
            await make_stream(nc, name, fields.pop("subjects", [f"{name.lower()}.>"]), **fields)


async def look(parsed: dict[str, Any]) -> list[Finding]:
    """What the inspection finds."""
    loaded = examine_text(json.dumps(parsed))
    assert loaded.config is not None, loaded.problems
    routes, _ = compile_config(loaded.config, loaded.registry)
    async with connected(loaded.config.nats, "check", 5) as link:
        return [finding async for finding in Inspection(link.api, loaded.config, routes).findings()]


async def test_what_fits_has_no_findings(nats_server: EmbeddedServer, nc: Client) -> None:
    await good(nc)
    assert await look(config(nats_server.url)) == []


async def test_nothing_is_made_by_looking(nats_server: EmbeddedServer, nc: Client) -> None:
    await good(nc, "OUT")
    out = [{"name": "OUT", "subjects": ["out.>"], "provision": "create"}]
    assert await look(config(nats_server.url, streams=out)) == []
    assert "error" in await api(nc, "STREAM.INFO.OUT")
    assert (await api(nc, "CONSUMER.NAMES.IN"))["total"] == 0


async def test_what_a_stream_has_from_others_is_no_subject_it_does_not_take(
    nats_server: EmbeddedServer, nc: Client
) -> None:
    """A stream with sources stores subjects that it does not listen to."""
    await good(nc, "IN")
    await make_stream(nc, "FIRST", ["in.>"])
    await make_stream(nc, "IN", ["direct.>"], sources=[{"name": "FIRST"}])
    assert await look(config(nats_server.url)) == []


ROUTE = ("routes", 0)
Case = tuple[dict[str, Any], dict[str, Any], tuple[Any, ...], str, bool]
CASES: dict[str, Case] = {
    "no-source": ({"leave": "IN"}, {}, (*ROUTE, "source", "stream"), "there is no stream IN", False),
    "no-such-subject": (
        {"IN": {"subjects": ["other.>"]}},
        {},
        (*ROUTE, "source", "subjects", 0),
        "IN takes no in.>",
        True,
    ),
    "no-target-stream": ({"leave": "OUT"}, {}, (*ROUTE, "targets", 0, "subject"), "no stream takes out.it", False),
    "named-stream-missing": (
        {},
        {"targets": [{"subject": "out.it", "stream": "NOPE"}]},
        (*ROUTE, "targets", 0, "stream"),
        "there is no stream NOPE",
        False,
    ),
    "other-stream": (
        {},
        {"targets": [{"subject": "out.it", "stream": "DLQ"}]},
        (*ROUTE, "targets", 0, "stream"),
        "OUT takes out.it, and not DLQ",
        False,
    ),
    "short-window": (
        {"OUT": {"duplicate_window": 59 * SECOND}},
        {},
        (*ROUTE, "targets", 0),
        "the duplicate window of OUT, 59 s, is shorter",
        True,
    ),
    "no-templated-target": (
        {},
        {"targets": [{"subject": "far.{id}.x-{n}.{$route}"}]},
        (*ROUTE, "targets", 0, "subject"),
        "no stream takes far.*.*.r",
        False,
    ),
    "templated-target-elsewhere": (
        {},
        {"targets": [{"subject": "out.{id}", "stream": "DLQ"}]},
        (*ROUTE, "targets", 0, "stream"),
        "OUT takes out.*, and not DLQ",
        False,
    ),
    "short-window-of-templates": (
        {"OUT": {"duplicate_window": 59 * SECOND}},
        {"targets": [{"subject": "out.{id}"}]},
        (*ROUTE, "targets", 0),
        "the duplicate window of OUT, 59 s, is shorter",
        True,
    ),
    "no-ack": ({"OUT": {"no_ack": True}}, {}, (*ROUTE, "targets", 0), "OUT acknowledges nothing", False),
    "sealed": ({"seal": "OUT"}, {}, (*ROUTE, "targets", 0), "OUT is sealed", False),
    "no-letters": ({"leave": "DLQ"}, {}, (*ROUTE, "dead-letter", "subject"), "no stream takes the dead letters", True),
    "own-letters": (
        {"leave": "DLQ"},
        {"dead-letter": {"subject": "in.dead"}},
        (*ROUTE, "dead-letter", "subject"),
        "its dead letters come back to it",
        True,
    ),
    "letters-of-interest": (
        {"DLQ": {"retention": "interest"}},
        {},
        (*ROUTE, "dead-letter", "subject"),
        "DLQ keeps only what somebody consumes",
        True,
    ),
    "no-durable": (
        {},
        {"source": {"stream": "IN", "subjects": ["in.>"], "manage": "verify"}},
        (*ROUTE, "source", "manage"),
        "stream IN has no durable gateway-r",
        False,
    ),
    "no-bucket": (
        {},
        {"transforms": [{"set": {"a": 1}}, {"enrich": {"bucket": "b", "key": "{id}", "into": "x"}}]},
        (*ROUTE, "transforms", 1, "enrich"),
        "there is no bucket b",
        False,
    ),
    "no-audit-stream": (
        {},
        {"audits": [{"stream": {"subject": "audit.{$route}"}}]},
        (*ROUTE, "audits", 0, "stream"),
        "no stream takes the audit records, audit.r",
        False,
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
async def test_what_does_not_fit_is_found_at_its_place(nats_server: EmbeddedServer, nc: Client, case: Case) -> None:
    held, fields, path, words, warning = case
    held = dict(held)
    leave, seal = held.pop("leave", ""), held.pop("seal", "")
    await good(nc, leave, **held)
    if seal:
        await change_stream(nc, seal, sealed=True)
    (finding,) = await look(config(nats_server.url, route=fields))
    assert (finding.path, finding.warning) == (path, warning)
    assert words in finding.text


@pytest.mark.parametrize(
    ("changes", "warning", "words"),
    [
        ({"ack_wait": 7 * SECOND}, True, "the durable gateway-r differs: ack-wait is 7s"),
        ({"metadata": {"gateway": "somebody-else"}}, False, "belongs to the gateway 'somebody-else'"),
        ({"ack_policy": "none"}, False, "is no pull consumer with explicit acks"),
    ],
)
async def test_a_durable_that_is_there_is_compared(
    nats_server: EmbeddedServer, nc: Client, changes: dict[str, Any], warning: bool, words: str
) -> None:
    await good(nc)
    made = {
        "durable_name": "gateway-r",
        "ack_policy": "explicit",
        "ack_wait": 30 * SECOND,
        "max_ack_pending": 20_000,
        "filter_subjects": ["in.>"],
        **changes,
    }
    if changes.get("ack_policy") == "none":
        del made["max_ack_pending"]
    assert "error" not in await api(nc, "CONSUMER.CREATE.IN.gateway-r", {"stream_name": "IN", "config": made}), (
        "the test's own durable"
    )
    (finding,) = await look(config(nats_server.url))
    assert words in finding.text
    assert finding.warning is warning


async def test_a_paused_durable_is_a_warning(nats_server: EmbeddedServer, nc: Client) -> None:
    """Nothing comes, and nothing is wrong."""
    await good(nc)
    made = {"durable_name": "gateway-r", "ack_policy": "explicit", "ack_wait": 30 * SECOND, "max_ack_pending": 20_000}
    made |= {"filter_subjects": ["in.>"], "pause_until": "2999-01-01T00:00:00Z"}
    assert "error" not in await api(nc, "CONSUMER.CREATE.IN.gateway-r", {"stream_name": "IN", "config": made})
    (finding,) = await look(config(nats_server.url))
    assert (finding.path, finding.warning) == ((*ROUTE, "source"), True)
    assert finding.text == "the durable gateway-r is paused until 2999-01-01T00:00:00Z"


async def test_a_template_that_a_declared_stream_will_take_is_no_finding(
    nats_server: EmbeddedServer, nc: Client
) -> None:
    await good(nc, "OUT")
    out = [{"name": "OUT", "subjects": ["out.*.a"], "provision": "create"}]
    assert await look(config(nats_server.url, streams=out, route={"targets": [{"subject": "out.{id}.{n}"}]})) == []


async def test_a_work_queue_has_no_second_consumer_for_a_subject(nats_server: EmbeddedServer, nc: Client) -> None:
    """The server would refuse the durable (10100), once the route starts."""
    await good(nc, IN={"retention": "workqueue"})
    made = {"durable_name": "first", "ack_policy": "explicit", "filter_subject": "in.a.>"}
    await api(nc, "CONSUMER.CREATE.IN.first", {"stream_name": "IN", "config": made})
    (finding,) = await look(config(nats_server.url))
    assert finding.path == (*ROUTE, "source", "subjects")
    assert "first consumes some of these subjects already" in finding.text
    apart = {"source": {"stream": "IN", "subjects": ["in.b.>"]}}
    assert await look(config(nats_server.url, route=apart)) == []


async def test_declared_streams_are_compared(nats_server: EmbeddedServer, nc: Client, js: JetStreamContext) -> None:
    await good(nc)
    streams = [
        {"name": "IN", "subjects": ["in.>"], "duplicate-window": "2m", "storage": "memory"},
        {"name": "GONE", "subjects": ["gone.>"]},
        {"name": "LATER", "subjects": ["later.>"], "provision": "create"},
    ]
    differs, gone = await look(config(nats_server.url, streams=streams))
    assert (differs.path, differs.warning) == (("streams", 0), True)
    assert "storage is file" in differs.text
    assert (gone.path, gone.warning) == (("streams", 1), False)


@pytest.mark.parametrize("subject", ["$JS.API.CONSUMER.INFO.>", "$JS.API.STREAM.INFO.IN"])
async def test_what_may_not_be_looked_at_is_one_finding_and_the_rest_is_looked_at(
    nats_server: EmbeddedServer, nc: Client, subject: str
) -> None:
    """One, also where the source and its durable both need it."""
    await good(nc, "DLQ")
    await restart_with(nats_server, nc, permissions(f'publish: {{ deny: ["{subject}"] }}'))
    denied, letters = await look(config(gateway_url(nats_server)))
    assert denied.path == ROUTE
    assert "no permission to publish there" in denied.text
    assert "no stream takes the dead letters" in letters.text


async def test_under_the_least_permissions_each_thing_that_may_not_be_seen_is_one_finding(
    nats_server: EmbeddedServer, nc: Client, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What `gateway run` needs is no more than that; whatever else can be looked at is."""
    monkeypatch.setattr("gateway.jetstream.api.TIMEOUT", 60)
    await good(nc)
    parsed = config(
        nats_server.url, route={"targets": [{"subject": "out.it"}, {"subject": "out.too"}, {"subject": "far.it"}]}
    )
    await restart_with(nats_server, nc, server_with(needed(parsed, Only.SHORT_ACKS), parsed))
    parsed["nats"]["servers"] = [gateway_url(nats_server)]
    async with asyncio.timeout(30):
        found = [(finding.path, finding.text) for finding in await look(parsed)]
    denied = ": no permission to publish there"
    assert found == [
        (("nats",), f"whether there is a JetStream cannot be looked at: $JS.API.INFO{denied}"),
        ((*ROUTE, "targets", 0), f"it cannot be looked at: $JS.API.STREAM.INFO.OUT{denied}"),
        ((*ROUTE, "targets", 1), f"it cannot be looked at: $JS.API.STREAM.INFO.OUT{denied}"),
        ((*ROUTE, "targets", 2, "subject"), "no stream takes far.it"),
        (ROUTE, f"it cannot be looked at: $JS.API.STREAM.INFO.DLQ{denied}"),
    ]
    code, out, err = await check(tmp_path, parsed)
    assert (code, out.count("cannot be looked at"), err) == (1, 4, "")


# ---------------------------------------------------------------------- the command


async def check(tmp_path: Path, parsed: dict[str, Any], *args: str) -> tuple[int, str, str]:
    file = tmp_path / "gateway.yaml"
    file.write_text(yaml.safe_dump(parsed, sort_keys=False))
    (ended,) = await run_commands(("check", "--live", *args, str(file)))
    return ended.code, ended.out, ended.err


async def test_the_command_shows_places_and_exits_with_findings(
    nats_server: EmbeddedServer, nc: Client, tmp_path: Path
) -> None:
    """Warnings go to stderr, and do not count."""
    await good(nc, "OUT", IN={"subjects": ["other.>"]})
    code, out, err = await check(tmp_path, config(nats_server.url))
    assert code == 1
    found = re.search(r"yaml:(\d+):(\d+): routes\[0\].targets\[0\].subject: no stream takes out.it \(server\)", out)
    assert found is not None, out
    line = (tmp_path / "gateway.yaml").read_text().splitlines()[int(found[1]) - 1]
    assert line[int(found[2]) - 1 :] == "out.it"
    assert "warning: " in err
    assert "IN takes no in.>: nothing will come (server)" in err
    assert "IN takes no" not in out


async def test_no_server_within_the_time_is_69(tmp_path: Path) -> None:
    code, _, err = await check(tmp_path, config(f"nats://127.0.0.1:{free_port()}"), "--timeout", "300ms")
    assert code == 69
    assert "no NATS server answers" in err


def test_a_config_with_problems_is_not_asked_about(tmp_path: Path) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text(yaml.safe_dump(config(f"nats://127.0.0.1:{free_port()}", nonsense=1)))
    assert CliRunner().invoke(gateway, ["check", "--live", str(file)]).exit_code == 1
