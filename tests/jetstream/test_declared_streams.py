"""Streams the config declares: told when they are missing, made anew when they are gone, and named in every hint."""

from __future__ import annotations

import logging
import time
from typing import Any

import pytest
from nats.aio.client import Client
from nats.js import JetStreamContext

from gateway.jetstream import streams
from gateway.jetstream.api import REMOVAL
from tests.jetstream.conftest import Route, RunGateway
from tests.support.arrivals import arrived, settled
from tests.support.eventually import eventually
from tests.support.streams import api, count, make_stream

MADE = [
    {"name": "IN", "subjects": ["in.>"], "provision": "create"},
    {"name": "OUT", "subjects": ["out.>"], "provision": "create", "storage": "memory"},
    {"name": "DLQ", "subjects": ["dlq.>"], "provision": "create"},
]


def said(caplog: pytest.LogCaptureFixture, event: str) -> list[logging.LogRecord]:
    """The log lines of one kind."""
    return [record for record in caplog.records if record.__dict__.get("event") == event]


async def there(nc: Client, stream: str) -> None:
    """Wait until a stream is there."""

    async def answers() -> bool:
        return "error" not in await api(nc, f"STREAM.INFO.{stream}")

    await eventually(answers)


async def publish(js: JetStreamContext, *numbers: int) -> None:
    for number in numbers:
        await js.publish("in.a", b"%d" % number)


async def test_a_missing_stream_that_no_route_reads_is_told_once_with_its_declaration(
    nc: Client, run_gateway: RunGateway, route: Route, caplog: pytest.LogCaptureFixture
) -> None:
    """Also when it is looked for again and again, because another route cannot start."""
    verified = {"name": "VER", "subjects": ["ver.>"]}
    bad = route("bad", source={"stream": "NONE", "subjects": ["none.>"]})
    gateway = await run_gateway({"streams": [*MADE, verified], "routes": [route("good"), bad]}, wait=False)
    await gateway.up("good")
    await gateway.down("no-stream", "bad")
    await make_stream(nc, "NONE", ["none.>"])
    await gateway.up("bad")
    [line] = said(caplog, "stream.unusable")
    assert line.levelname == "WARNING"
    assert line.getMessage() == "the declared stream VER cannot be used: there is no stream VER"
    assert "nats stream add VER --subjects 'ver.>'" in line.__dict__["hint"]


async def test_a_declared_source_stream_that_is_deleted_is_made_anew(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route, caplog: pytest.LogCaptureFixture
) -> None:
    """Without a reload: the route that reads it finds it missing. Not before the server has removed the old one."""
    caplog.set_level("INFO")
    await run_gateway({"streams": MADE, "routes": [route()]})
    await publish(js, 1)
    await arrived(nc, "OUT", 1)
    await settled(nc)
    began = time.monotonic()
    await api(nc, "STREAM.DELETE.IN")
    await there(nc, "IN")
    assert time.monotonic() - began > REMOVAL
    await publish(js, 2)
    assert [message.json for message in await arrived(nc, "OUT", 2)] == [1, 2]
    made = [line.__dict__["stream"] for line in said(caplog, "stream.created")]
    assert sorted(made) == ["DLQ", "IN", "OUT"]
    assert [line.__dict__["stream"] for line in said(caplog, "stream.made-again")] == ["IN"]


@pytest.mark.parametrize("subject", ["out.it", "out.{$subject.1}"])
@pytest.mark.fault("target-deleted")
async def test_a_declared_target_stream_that_is_deleted_is_made_anew_and_nothing_is_lost(
    subject: str,
    nc: Client,
    js: JetStreamContext,
    run_gateway: RunGateway,
    route: Route,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """As declared; the event that found it missing is stored in it, and no dead letter is written. What it held is
    lost, though, and a warning says so.
    """
    await run_gateway({"streams": MADE, "routes": [route(targets=[{"subject": subject, "name": "out"}])]})
    await publish(js, 1)
    await arrived(nc, "OUT", 1)
    await api(nc, "STREAM.DELETE.OUT")
    await publish(js, 2)
    await there(nc, "OUT")
    assert [message.json for message in await arrived(nc, "OUT", 1)] == [2]
    await settled(nc)
    assert (await api(nc, "STREAM.INFO.OUT"))["config"]["storage"] == "memory"
    assert await count(nc, "DLQ") == 0
    [line] = said(caplog, "stream.made-again")
    assert (line.levelname, line.__dict__["stream"]) == ("WARNING", "OUT")
    assert "was gone, with all that it held" in line.getMessage()


@pytest.mark.parametrize(
    ("fields", "hint"),
    [
        ({"source": {"stream": "B", "subjects": ["b.x"]}}, "nats stream add B --subjects 'b.>' --defaults --storage"),
        ({"targets": [{"subject": "b.x", "name": "b"}]}, "nats stream add B --subjects 'b.>' --defaults --storage"),
        ({"targets": [{"subject": "c.x", "name": "c"}]}, "nats stream add NAME --subjects c.x --defaults"),
    ],
)
async def test_the_hint_of_a_missing_stream_is_the_declaration_where_there_is_one(
    fields: dict[str, Any], hint: str, nc: Client, run_gateway: RunGateway, route: Route
) -> None:
    declared = [*MADE, {"name": "B", "subjects": ["b.>"]}]
    gateway = await run_gateway({"streams": declared, "routes": [route(**fields)]}, wait=False)
    stats = await gateway.down("no-stream")
    assert hint in stats.reason


async def test_the_hint_about_dead_letters_is_the_declaration_too(
    nc: Client, run_gateway: RunGateway, route: Route, caplog: pytest.LogCaptureFixture
) -> None:
    letters = {"name": "LETTERS", "subjects": ["letters.*"]}
    fields = {"dead-letter": {"subject": "letters.{$route}"}}
    await run_gateway({"streams": [*MADE[:2], letters], "routes": [route(**fields)]})
    [line] = said(caplog, "route.no-dead-letter-stream")
    assert "nats stream add LETTERS --subjects 'letters.*'" in line.__dict__["hint"]


async def test_a_declared_dead_letter_stream_deleted_while_running_is_named_with_its_declaration(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    await make_stream(nc, "LETTERS", ["dlq.*"])
    declared = [*MADE[:2], {"name": "LETTERS", "subjects": ["dlq.*"], "max-age": "30d"}]
    refuse = [{"pattern": {"n": [{"exists": True}]}}]
    gateway = await run_gateway({"streams": declared, "routes": [route(filters=refuse)]})
    await js.delete_stream("LETTERS")
    await js.publish("in.a", b"no json")
    stats = await gateway.down("no-stream")
    assert stats.reason.startswith("the dead-letter stream: no stream takes dlq.r; make it: nats stream add LETTERS ")
    assert "--subjects 'dlq.*'" in stats.reason
    assert "--max-age" in stats.reason


async def test_a_stream_under_removal_holds_up_only_the_routes_that_need_it(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others are opened while it is waited for, and a config without it is taken."""
    monkeypatch.setattr(streams, "REMOVAL", 3600.0)
    declared = [*MADE, {"name": "IN2", "subjects": ["in2.>"], "provision": "create"}]
    bound = route("bound", source={"stream": "IN2", "subjects": ["in2.>"]})
    gateway = await run_gateway({"streams": declared, "routes": [route("good"), bound]})
    await js.delete_stream("IN2")
    provisioner = gateway.app.edge._provisioner
    await eventually(lambda: "IN2" in provisioner._remaking, what="it is waited for")
    await gateway.reload({"streams": declared, "routes": [route("good"), route("more"), bound]})
    await gateway.up("more")
    assert "IN2" in provisioner._remaking
    assert gateway.stats("bound").state != "up"
    await gateway.reload({"streams": MADE, "routes": [route("good"), route("other")]})
    await gateway.up("other")
    assert not provisioner.faults


@pytest.mark.parametrize("becomes", [None, {"storage": "memory"}], ids=["gone", "another"])
async def test_a_stream_under_removal_is_made_as_the_config_says_by_then(
    nc: Client,
    js: JetStreamContext,
    run_gateway: RunGateway,
    route: Route,
    monkeypatch: pytest.MonkeyPatch,
    becomes: dict[str, str] | None,
) -> None:
    """Whoever deletes a stream and takes it out of the config does not find it made again a moment later."""
    monkeypatch.setattr(streams, "REMOVAL", 3600.0)
    declared = {"name": "IN2", "subjects": ["in2.>"], "provision": "create"}
    bound = route("bound", source={"stream": "IN2", "subjects": ["in2.>"]})
    gateway = await run_gateway({"streams": [*MADE, declared], "routes": [route("good"), bound]})
    await js.delete_stream("IN2")
    remaking = gateway.app.edge._provisioner._remaking
    await eventually(lambda: "IN2" in remaking, what="it is waited for")
    if becomes is None:
        await gateway.reload({"streams": MADE, "routes": [route("good")]})
        await eventually(lambda: not remaking, what="nobody waits to make it")
    else:
        await gateway.reload({"streams": [*MADE, {**declared, **becomes}], "routes": [route("good"), bound]})
        found = [{**declared, **becomes}["storage"]]
        await eventually(lambda: [stream.storage for stream, _ in remaking.values()] == found, what="the new one is")
