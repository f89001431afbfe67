"""The connection goes, in every way it can: nothing is decided meanwhile, nothing is lost, nothing is doubled."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import aiohttp
import nats.errors
import nkeys  # type: ignore[import-untyped]
import pytest
from nats.aio.client import Client
from nats.js import JetStreamContext

from gateway.config import model
from gateway.jetstream.server import EmbeddedServer
from gateway.jetstream.signin import UnusableFileError, sign_in
from tests.jetstream.conftest import Route, RunGateway
from tests.support.arrivals import arrived, in_flight, settled
from tests.support.eventually import eventually
from tests.support.servers import gateway_url, permissions, reload_with, restart_with
from tests.support.streams import api, count, make_stream

pytestmark = pytest.mark.usefixtures("streams")

KIB = 1024


async def publish_many(js: JetStreamContext, number: int) -> None:
    """Publish `number` events, through restarts of the server, each stored once."""
    for at in range(number):
        while True:
            try:
                await js.publish("in.a", b'{"n": %d}' % at, timeout=1, headers={"Nats-Msg-Id": f"n{at}"})
                break
            except (nats.errors.Error, OSError):  # the server is away just now
                await asyncio.sleep(0.02)


@pytest.mark.parametrize("how", ["stop", "kill"])
async def test_a_server_that_restarts_under_load_costs_no_event_and_doubles_none(
    nats_server: EmbeddedServer,
    nc: Client,
    js: JetStreamContext,
    run_gateway: RunGateway,
    route: Route,
    how: str,
) -> None:
    targets = [{"subject": "out.one", "name": "one"}, {"subject": "dlq.two", "name": "two"}]
    gateway = await run_gateway({"routes": [route(targets=targets)]})
    publishing = asyncio.create_task(publish_many(js, 600))
    for part in (100, 300):
        await eventually(lambda part=part: gateway.stats().published["one"] >= part, interval=0)  # type: ignore[misc]
        if how == "kill":
            nats_server.kill()
        await nats_server.restart()
    await publishing
    for stream in ("OUT", "DLQ"):
        messages = await arrived(nc, stream, 600)
        assert sorted(message.json["n"] for message in messages) == list(range(600))
    await settled(nc)
    assert gateway.app.stats.reconnects >= 2


@pytest.mark.fault("gap-over-ack-wait")
async def test_a_gap_longer_than_ack_wait_makes_it_forget_what_was_in_flight(
    nats_server: EmbeddedServer, nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    await make_stream(nc, "FULL", ["full.>"], max_msgs=1, discard="new")
    await js.publish("full.x", b"0")
    targets = [{"subject": "full.x", "name": "full"}, {"subject": "out.x", "name": "out"}]
    gateway = await run_gateway({"routes": [route(targets=targets, source={"ack-wait": "1s"})]})
    for number in range(10):
        await js.publish("in.a", b"%d" % number)
    await arrived(nc, "OUT", 10)
    await eventually(lambda: gateway.stats().circuit_open)
    await nats_server.stop()
    await eventually(lambda: not gateway.app.stats.connected)
    away = time.monotonic()
    await eventually(lambda: time.monotonic() - away > 1.3)
    lane = gateway.lane()
    assert len(lane.window.entries) == 10
    entries = set(lane.window.entries.values())
    await nats_server.start()
    await eventually(lambda: nc.is_connected and gateway.app.stats.connected)
    await eventually(lambda: not entries & set(lane.window.entries.values()), what="forgotten")
    await api(nc, "STREAM.UPDATE.FULL", {"name": "FULL", "subjects": ["full.>"], "max_msgs": 100, "discard": "new"})
    await arrived(nc, "FULL", 11)
    await settled(nc)
    assert len(await arrived(nc, "OUT", 10)) == 10, "copies sent before the gap are not stored again"
    assert gateway.stats().redeliveries >= 10


async def test_a_short_gap_keeps_what_is_in_flight(
    nats_server: EmbeddedServer, nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    await make_stream(nc, "FULL", ["full.>"], max_msgs=1, discard="new")
    await js.publish("full.x", b"0")
    targets = [{"subject": "full.x", "name": "full"}, {"subject": "out.x", "name": "out"}]
    gateway = await run_gateway({"routes": [route(targets=targets, source={"ack-wait": "30s"})]})
    await js.publish("in.a", b"1")
    await arrived(nc, "OUT", 1)
    await eventually(lambda: gateway.stats().circuit_open)
    sent_again = await nc.subscribe("out.>")
    await nats_server.restart()
    await eventually(lambda: nc.is_connected and gateway.stats().up)
    await api(nc, "STREAM.UPDATE.FULL", {"name": "FULL", "subjects": ["full.>"], "max_msgs": 100, "discard": "new"})
    await arrived(nc, "FULL", 2)
    await settled(nc)
    assert gateway.stats().received == 1
    await nc.flush()
    assert sent_again.pending_msgs == 0, "only the missing copy is sent again"


async def test_a_server_away_at_the_start_is_waited_for_and_readyz_says_so(
    nats_server: EmbeddedServer, nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    await js.publish("in.a", b"1")
    await nats_server.stop()
    gateway = await run_gateway({"http": {"listen": "127.0.0.1:0"}, "routes": [route()]}, wait=False)
    await gateway.down("disconnected")
    async with aiohttp.ClientSession() as http:
        async with http.get(f"{gateway.app.http_url}/readyz") as answer:
            said = await answer.json()
            assert (answer.status, said["ready"], said["state"]) == (503, False, "down")
            assert said["routes"][0]["code"] == "disconnected"
        await nats_server.start()
        await gateway.up()
        async with http.get(f"{gateway.app.http_url}/readyz") as answer:
            assert (answer.status, (await answer.json())["state"]) == (200, "ok")
    await arrived(nc, "OUT", 1)


async def test_a_connection_the_server_closes_for_good_is_built_anew(
    nats_server: EmbeddedServer, nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    """nats-py takes most errors of the server for final and stays closed: the process would sit there dead."""
    await restart_with(nats_server, nc, permissions(""))
    gateway = await run_gateway({"nats": {"servers": [gateway_url(nats_server)]}, "routes": [route()]})
    await js.publish("in.a", b"1")
    await arrived(nc, "OUT", 1)
    reload_with(nats_server, permissions("", password="changed"))
    await eventually(lambda: not gateway.app.stats.connected, what="kicked out")
    await js.publish("in.a", b"2")
    await eventually(lambda: gateway.app._edge.connection.wire.is_closed, what="closed for good")
    assert await count(nc, "OUT") == 1
    reload_with(nats_server, permissions(""))
    await arrived(nc, "OUT", 2)
    await gateway.up()
    await settled(nc)
    assert gateway.app._edge.connection.generation >= 2


@pytest.mark.fault("max-payload-lowered")
async def test_a_server_that_takes_less_than_before_does_not_end_in_a_circle_of_closed_connections(
    nats_server: EmbeddedServer, nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    """What waits to be sent again was made for the old limit; sending it closes the connection, for all routes."""
    await make_stream(nc, "FULL", ["full.>"], max_msgs=1, discard="new")
    await js.publish("full.x", b"0")
    held = route("held", targets=[{"subject": "full.x", "name": "full"}], source={"ack-wait": "30s"})
    gateway = await run_gateway({"routes": [held, route("good")]})
    await js.publish("in.a", b'"' + b"x" * (100 * KIB) + b'"')
    await arrived(nc, "OUT", 1)
    await eventually(lambda: gateway.stats("held").circuit_open)
    await restart_with(nats_server, nc, "max_payload: 65536")
    await gateway.up()
    await eventually(lambda: gateway.stats("held").parked == 1)
    await js.publish("in.a", b"2")
    await arrived(nc, "OUT", 2)
    await settled(nc, "good")
    assert gateway.app.stats.reconnects == 1
    assert await in_flight(nc, "held") >= 1


async def test_credentials_that_are_not_there_are_named_with_their_setting_and_waited_for(
    run_gateway: RunGateway,
    route: Route,
    nats_server: EmbeddedServer,
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
) -> None:
    """Also where the server asks for none: who says credentials does not mean to be anybody."""
    file = tmp_path / "nope.creds"
    nats = {"servers": [nats_server.url], "credentials": str(file)}
    gateway = await run_gateway({"nats": nats, "routes": [route()]}, wait=False)
    words = f"cannot connect: nats.credentials: cannot use {file}: No such file or directory"
    await eventually(lambda: words in caplog.text)
    file.write_text("-----BEGIN NATS USER JWT-----\n")
    await gateway.up()


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"ca": "{}/no.pem"}, "nats.tls.ca: cannot use {}/no.pem: No such file or directory"),
        ({"ca": "{}/bad.pem"}, "nats.tls.ca: cannot use {}/bad.pem: "),
        ({"cert": "{}/bad.pem", "key": "{}/no.pem"}, "nats.tls.key: cannot use {}/no.pem: No such file or directory"),
        ({"cert": "{}/bad.pem", "key": "{}/bad.pem"}, "nats.tls.cert and nats.tls.key: cannot use {}/bad.pem, {}/bad"),
    ],
)
def test_a_file_that_is_no_good_for_tls_is_named_with_its_setting(
    fields: dict[str, str], words: str, tmp_path: Path
) -> None:
    """The libraries below name neither."""
    (tmp_path / "bad.pem").write_text("nonsense")
    tls = model.Tls(**{name: path.format(tmp_path) for name, path in fields.items()})
    with pytest.raises(UnusableFileError) as raised:
        sign_in(model.Nats(tls=tls))
    assert str(raised.value).startswith(words.format(tmp_path, tmp_path))


async def test_credentials_that_are_half_written_at_a_reconnect_are_read_again(
    nats_server: EmbeddedServer,
    nc: Client,
    js: JetStreamContext,
    run_gateway: RunGateway,
    route: Route,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """They are rotated by writing the file; nats-py gives up without a word when it finds it half done."""
    seed = nkeys.encode_seed(os.urandom(32), nkeys.PREFIX_BYTE_USER).decode()
    user = nkeys.from_seed(seed.encode()).public_key.decode()
    users = f"{{ user: all, password: all }}, {{ nkey: {user} }}"
    await restart_with(nats_server, nc, f"authorization {{ users: [ {users} ] }}\nno_auth_user: all")
    whole = "\n".join(
        f"-----BEGIN {what}-----\n{text}\n------END {what}------\n"
        for what, text in (("NATS USER JWT", "e30.e30.e30"), ("USER NKEY SEED", seed))
    )
    file = tmp_path / "gateway.creds"
    file.write_text(whole)
    gateway = await run_gateway({"nats": {"servers": [nats_server.url], "credentials": str(file)}, "routes": [route()]})
    file.write_text(whole[:60])
    await nats_server.restart()
    await eventually(lambda: "closed for good" in caplog.text and "cannot connect" in caplog.text)
    file.write_text(whole)
    await gateway.up()
    await js.publish("in.a", b"1")
    await arrived(nc, "OUT", 1)
    await settled(nc)


async def test_a_tls_url_is_never_served_in_plaintext(
    run_gateway: RunGateway, route: Route, nats_server: EmbeddedServer, caplog: pytest.LogCaptureFixture
) -> None:
    """Without a tls section, too: whoever writes tls:// wants nobody to read along."""
    url = nats_server.url.replace("nats://", "tls://user:password@")
    gateway = await run_gateway({"nats": {"servers": [url]}, "routes": [route()]}, wait=False)
    await eventually(lambda: "offers no TLS" in caplog.text or gateway.app.stats.connected)
    assert not gateway.app.stats.connected
