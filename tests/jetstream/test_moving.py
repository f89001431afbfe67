"""Another sign-in, or other servers: a reload moves the connection over, and what is under way does not suffer."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from nats.aio.client import Client
from nats.js import JetStreamContext

from gateway.config import model
from gateway.jetstream.server import EmbeddedServer
from gateway.jetstream.signin import fingerprint
from tests.jetstream.conftest import Route, RunGateway
from tests.support.arrivals import arrived, settled
from tests.support.eventually import eventually
from tests.support.logged import logged
from tests.support.publisher import Publisher
from tests.support.running import RunningGateway
from tests.support.servers import reload_with, restart_with
from tests.support.streams import make_stream

pytestmark = pytest.mark.usefixtures("streams")

USERS = """
authorization {{ users: [
  {{ user: all, password: all }}
  {{ user: gw, password: "{gw}" }}
  {{ user: next, password: "next" }}
] }}
no_auth_user: all
"""


def users(gw: str = "old") -> str:
    return USERS.format(gw=gw)


def of(server: EmbeddedServer, routes: list[dict[str, Any]], **nats: Any) -> dict[str, Any]:
    return {"nats": {"servers": [server.url], **nats}, "http": "off", "drain": "5s", "routes": routes}


def refusals_at(server: EmbeddedServer) -> int:
    """How often the server has refused somebody, as its log says."""
    return server.log_file.read_text().count("authentication error")


def moved(gateway: RunningGateway, generation: int) -> bool:
    return gateway.app._edge.connection.generation == generation and gateway.app.stats.connected


async def test_another_user_is_gone_over_to_under_load_and_nothing_is_lost_or_comes_twice(
    nats_server: EmbeddedServer, nc: Client, run_gateway: RunGateway, route: Route
) -> None:
    """What was on its way by the old connection is taken before it goes, and settled."""
    await restart_with(nats_server, nc, users())
    routes = [route(source={"ack-wait": "30s"})]
    gateway = await run_gateway(of(nats_server, routes, user="gw", password="old"))
    async with Publisher(nc) as publisher:

        async def publish() -> None:
            for number in range(2000):
                await publisher.publish("in.a", b'{"n": %d}' % number)
                if number % 100 == 0:
                    await asyncio.sleep(0)

        publishing = asyncio.create_task(publish())
        for generation in range(2, 5):
            goal = gateway.stats().received + 300
            await eventually(lambda goal=goal: gateway.stats().received >= min(goal, 2000))  # type: ignore[misc]
            who = {"user": "next", "password": "next"} if generation % 2 == 0 else {"user": "gw", "password": "old"}
            await gateway.reload(of(nats_server, routes, **who))
            await eventually(lambda generation=generation: moved(gateway, generation))  # type: ignore[misc]
        await publishing
        await publisher.settled()
    messages = await arrived(nc, "OUT", 2000)
    assert Counter(message.json["n"] for message in messages) == Counter(range(2000))
    await settled(nc)
    # What the server could not deliver for lack of a listener it counts as delivered; here it came once.
    assert gateway.stats().received == 2000
    connection = gateway.app._edge.connection
    await eventually(lambda: not connection._partings, what="the connections from before are closed")


@pytest.mark.fault("sign-in-rotated")
async def test_a_password_the_server_has_changed_is_used_after_a_reload(
    nats_server: EmbeddedServer, nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    """The server ends what signed in with the old one, for good; rotating a password needs no restart."""
    await restart_with(nats_server, nc, users())
    routes = [route()]
    gateway = await run_gateway(of(nats_server, routes, user="gw", password="old"))
    reload_with(nats_server, users("new"))
    await eventually(lambda: not gateway.app.stats.connected, what="kicked out")
    await js.publish("in.a", b"1")
    # With a route that changes as well, which cannot finish anything now: the successor waits for the connection.
    await gateway.reload(of(nats_server, [route(description="another")], user="gw", password="new"))
    await gateway.up()
    await arrived(nc, "OUT", 1)
    await settled(nc)


async def test_a_gateway_that_was_started_with_a_wrong_password_takes_the_right_one_from_a_reload(
    nats_server: EmbeddedServer, nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    await restart_with(nats_server, nc, users())
    await js.publish("in.a", b"1")
    gateway = await run_gateway(of(nats_server, [route()], user="gw", password="wrong"), wait=False)
    await gateway.down("disconnected")
    await gateway.reload(of(nats_server, [route()], user="gw", password="old"))
    await gateway.up()
    await arrived(nc, "OUT", 1)


@pytest.mark.fault("sign-in-rotated")
async def test_a_connection_that_was_given_up_tries_no_more_and_says_nothing(
    nats_server: EmbeddedServer,
    nc: Client,
    run_gateway: RunGateway,
    route: Route,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Whoever has just mended the password must not read that it is refused."""
    await restart_with(nats_server, nc, users())
    gateway = await run_gateway(of(nats_server, [route()], user="gw", password="old"))
    connection = gateway.app._edge.connection
    before = connection.wire
    await restart_with(nats_server, nc, users("new"))
    await eventually(lambda: "does not take who we are" in caplog.text, what="the old password is tried, in vain")
    assert not before.is_closed
    caplog.clear()
    await gateway.reload(of(nats_server, [route()], user="gw", password="new"))
    await eventually(lambda: moved(gateway, 2), what="connected with the new one")
    tries = refusals_at(nats_server)
    await eventually(lambda: before.is_closed and not connection._partings, what="the old one is closed")
    assert logged(caplog, "nats.unreachable") == []
    assert refusals_at(nats_server) <= tries + 1, "one may have been under way"
    await gateway.up()


async def test_what_a_connection_does_after_the_move_is_no_news(
    nats_server: EmbeddedServer,
    nc: Client,
    run_gateway: RunGateway,
    route: Route,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It stays a while for the answers under way; lost meanwhile, it is closed, and never tried again."""
    monkeypatch.setattr("gateway.jetstream.partings.GRACE", 600)
    await restart_with(nats_server, nc, users())
    gateway = await run_gateway(of(nats_server, [route()], user="gw", password="old"))
    connection = gateway.app._edge.connection
    before = connection.wire
    await gateway.reload(of(nats_server, [route()], user="next", password="next"))
    await eventually(lambda: moved(gateway, 2))
    assert before.is_connected
    caplog.clear()
    assert before._transport is not None
    before._transport.close()
    await eventually(lambda: before.is_closed and not connection._partings, what="the one from before is closed")
    assert logged(caplog, "nats.unreachable") == []
    assert moved(gateway, 2)


@pytest.mark.fault("sign-in-refused")
async def test_a_sign_in_that_is_refused_leaves_the_connection_there_is_and_says_so(
    nats_server: EmbeddedServer,
    nc: Client,
    js: JetStreamContext,
    run_gateway: RunGateway,
    route: Route,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Until the server knows the new password, or somebody takes it back."""
    await restart_with(nats_server, nc, users())
    routes = [route()]
    gateway = await run_gateway(of(nats_server, routes, user="gw", password="old"))
    await gateway.reload(of(nats_server, routes, user="later", password="later"))
    await eventually(lambda: "cannot connect as the config says now" in caplog.text)
    assert "later" not in caplog.text
    await js.publish("in.a", b"1")
    await arrived(nc, "OUT", 1)
    # A route that changes meanwhile drains on the connection there is.
    routes = [route(description="another")]
    await gateway.reload(of(nats_server, routes, user="later", password="later"))
    await js.publish("in.a", b"2")
    await arrived(nc, "OUT", 2)
    assert moved(gateway, 1)
    reload_with(nats_server, users().replace("next", "later"))
    await eventually(lambda: moved(gateway, 2))
    await gateway.up()
    await js.publish("in.a", b"3")
    await arrived(nc, "OUT", 3)
    await settled(nc)


async def test_the_end_does_not_wait_for_a_move_that_cannot_be_made(
    nats_server: EmbeddedServer, nc: Client, run_gateway: RunGateway, route: Route
) -> None:
    gateway = await run_gateway(of(nats_server, [route()]))
    await gateway.reload(of(nats_server, [route()], servers=["nats://127.0.0.1:1"]))
    async with asyncio.timeout(20):
        await gateway.stop()


async def test_a_reload_that_says_nothing_new_of_the_servers_leaves_the_connection_alone(
    nats_server: EmbeddedServer, nc: Client, run_gateway: RunGateway, route: Route, tmp_path: Path
) -> None:
    """Nor one that takes back what could not be done."""
    gateway = await run_gateway(of(nats_server, [route()]))
    wire = gateway.app._edge.connection.wire
    await gateway.reload(of(nats_server, [route(), route("more")]))
    await gateway.reload(of(nats_server, [route()], servers=["nats://127.0.0.1:1"]))
    await gateway.reload(of(nats_server, [route()]))
    await gateway.up()
    connection = gateway.app._edge.connection
    assert connection._stands()
    assert (connection.wire, connection.generation) == (wire, 1)


async def test_what_a_target_holds_goes_on_after_a_move(
    nats_server: EmbeddedServer, nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    """Events in flight stay in flight; only what is missing is sent again."""
    await restart_with(nats_server, nc, users())
    await make_stream(nc, "FULL", ["full.>"], max_msgs=1, discard="new")
    await js.publish("full.x", b"0")
    targets = [{"subject": "full.x", "name": "full"}, {"subject": "out.x", "name": "out"}]
    routes = [route(targets=targets, source={"ack-wait": "30s"})]
    gateway = await run_gateway(of(nats_server, routes, user="gw", password="old"))
    await js.publish("in.a", b"1")
    await eventually(lambda: gateway.stats().circuit_open)
    sent_again = await nc.subscribe("out.>")
    await gateway.reload(of(nats_server, routes, user="next", password="next"))
    await eventually(lambda: moved(gateway, 2) and gateway.stats().up)
    await js.purge_stream("FULL")
    await arrived(nc, "FULL", 1)
    await settled(nc)
    assert gateway.stats().received == 1
    await nc.flush()
    assert sent_again.pending_msgs == 0


@pytest.mark.parametrize("field", ["credentials", "tls-ca", "tls-cert", "tls-key"])
def test_a_file_that_is_rotated_counts_as_a_change(field: str, tmp_path: Path) -> None:
    """Its name in the config stays the same."""
    file = tmp_path / "file"
    part = field.removeprefix("tls-")
    config = (
        model.Nats(credentials=str(file)) if part == field else model.Nats(tls=model.Tls(**{part: str(file)}))
    )  # fmt: skip
    seen = {fingerprint(config)}
    for text in ("one", "two"):
        file.write_text(text)
        seen.add(fingerprint(config))
    assert len(seen) == 3


@pytest.mark.parametrize(
    "change",
    [
        {"servers": ["nats://elsewhere:4222"]},
        {"user": "b", "password": model.Secret("x")},
        {"user": "a", "password": model.Secret("y")},
        {"token": model.Secret("x")},
        {"nkey_seed": model.Secret("x")},
        {"tls": model.Tls()},
        {"tls": model.Tls(handshake_first=True)},
    ],
)
def test_every_part_of_a_sign_in_counts(change: dict[str, Any]) -> None:
    before = model.Nats(user="a", password=model.Secret("x"))
    assert fingerprint(before) == fingerprint(model.Nats(user="a", password=model.Secret("x")))
    assert fingerprint(before) != fingerprint(model.Nats(**{"user": "a", "password": model.Secret("x"), **change}))
