"""A reload touches what changed, and nothing else; a gateway stays the one it is."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any, ClassVar

import pytest
from nats.aio.client import Client
from nats.js import JetStreamContext

from gateway import Event, Settings, Transform
from gateway.app import ReloadRefused
from gateway.config import model
from gateway.errors import ConfigError, ConfigProblem
from gateway.jetstream.server import EmbeddedServer
from gateway.registry import Registry
from tests.jetstream.conftest import Route, RunGateway
from tests.support.arrivals import arrived, settled
from tests.support.eventually import eventually
from tests.support.logged import logged
from tests.support.running import RunningGateway, read_config, registry_with
from tests.support.streams import api, count, make_stream

pytestmark = pytest.mark.usefixtures("streams")


class Stamps(Settings):
    """What the plugin of these tests is set to."""

    text: str = "none"


HOOKS = {"gateway_settings": lambda: Stamps}


class Stamp(Transform, name="stamp"):
    """Make the body what the plugin's settings say."""

    def apply(self, event: Event) -> Event:
        return event.replace(body=self.context.settings.text)


def of(server: EmbeddedServer, routes: list[dict[str, Any]], text: str, **more: Any) -> dict[str, Any]:
    whole = {"nats": {"servers": [server.url]}, "http": "off", "drain": "5s", "routes": routes, **more}
    return {**whole, "plugins": {"settings": {"test": {"text": text}}}}


def loaded(config: dict[str, Any]) -> tuple[model.Config, Registry]:
    registry = registry_with([Stamp], HOOKS)
    return read_config(config, registry), registry


async def test_settings_of_a_plugin_that_change_replace_the_routes_that_use_it_and_only_those(
    nats_server: EmbeddedServer, nc: Client, js: JetStreamContext, route: Route
) -> None:
    routes = [
        route("stamped", transforms=["stamp"], targets=[{"subject": "out.stamped"}]),
        route("plain", targets=[{"subject": "out.plain"}]),
    ]
    gateway = RunningGateway(of(nats_server, routes, "old"), [Stamp], HOOKS)
    try:
        await gateway.start()
        await gateway.up()
        lane = gateway.lane("plain")
        await js.publish("in.a", b"1")
        await arrived(nc, "OUT", 2)
        done = await gateway.app.reload(*loaded(of(nats_server, routes, "new")))
        assert done == {"stopped": [], "replaced": ["stamped"], "started": []}
        assert gateway.lane("plain") is lane
        await js.publish("in.a", b"1")
        messages = await arrived(nc, "OUT", 4)
        assert Counter(message.json for message in messages if message.subject == "out.stamped") == {"old": 1, "new": 1}
        assert await gateway.app.reload(*loaded(of(nats_server, routes, "new"))) == {
            "stopped": [], "replaced": [], "started": []
        }  # fmt: skip
    finally:
        await gateway.stop()


async def test_a_route_that_goes_on_tells_of_events_with_the_config_that_runs_now(
    nats_server: EmbeddedServer, nc: Client, js: JetStreamContext, route: Route
) -> None:
    """The route is the same under both; but it is the new file that an operator finds."""
    gateway = RunningGateway(of(nats_server, [route()], "old"), [Stamp], HOOKS)
    try:
        await gateway.start()
        await gateway.up()
        lane, before = gateway.lane(), gateway.app.config.digest
        await js.publish("in.a", b"no JSON")
        config, registry = loaded(of(nats_server, [route(), route("more", enabled=False)], "old"))
        assert config.digest != before
        await arrived(nc, "DLQ", 1)
        await gateway.app.reload(config, registry)
        assert gateway.lane() is lane
        await js.publish("in.a", b"nor this")
        letters = await arrived(nc, "DLQ", 2)
        assert [letter.headers["Gateway-Config"] for letter in letters] == [before, config.digest]
    finally:
        await gateway.stop()


async def test_another_name_is_refused_by_a_reload_and_said_to_need_a_restart(
    nats_server: EmbeddedServer, nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    """Its durables and message ids would be other ones: every stream would be published anew."""
    gateway = await run_gateway({"routes": [route()]})
    await js.publish("in.a", b"1")
    await arrived(nc, "OUT", 1)
    with pytest.raises(ReloadRefused, match="from gateway to other: restart"):
        await gateway.app.reload(*loaded(of(nats_server, [route()], "x", name="other")))
    await js.publish("in.a", b"2")
    await arrived(nc, "OUT", 2)
    await settled(nc)
    assert "error" in await api(nc, "CONSUMER.INFO.IN.other-r")
    assert await count(nc, "OUT") == 2


async def test_what_needs_a_restart_is_said_by_the_reload(
    nats_server: EmbeddedServer, run_gateway: RunGateway, route: Route, caplog: pytest.LogCaptureFixture
) -> None:
    gateway = await run_gateway({"routes": [route()]})
    nats = {"servers": [nats_server.url], "domain": "hub", "inbox-prefix": "_INBOX_gw"}
    config = {**of(nats_server, [route(), route("added")], "x"), "nats": nats, "http": {"listen": "127.0.0.1:0"}}
    for _ in range(2):
        await gateway.app.reload(*loaded(config))
        assert "used only after a restart: nats.domain, nats.inbox-prefix, http" in caplog.text
        caplog.clear()  # and it is said again by the next one, for as long as it is so
    await gateway.up("added")
    subscribed = [sub._subject for sub in gateway.app._edge.connection.wire._subs.values()]
    assert all(subject.startswith("_INBOX.") for subject in subscribed), "another prefix may not be permitted yet"


class Unready(Stamp, name="unready"):
    """Cannot be made ready."""

    def prepare(self) -> None:
        raise ConfigProblem(text="no such table")


async def test_a_reload_that_is_refused_says_of_nothing_that_it_is_used_after_a_restart(
    nats_server: EmbeddedServer, run_gateway: RunGateway, route: Route, caplog: pytest.LogCaptureFixture
) -> None:
    gateway = await run_gateway({"routes": [route()]})
    nats = {"servers": [nats_server.url], "inbox-prefix": "_INBOX_gw"}
    with pytest.raises(ConfigError, match="no such table"):
        await gateway.reload({"nats": nats, "routes": [route(transforms=["unready"])]}, Unready)
    assert not logged(caplog, "config.needs-restart")


class Slow(Stamp, name="slow"):
    """Does not come to its end of opening."""

    opening: ClassVar[asyncio.Event]

    async def open(self) -> None:
        Slow.opening.set()
        await asyncio.Event().wait()


async def test_who_waits_for_the_start_does_not_wait_for_a_route_that_a_reload_took_away(
    nats_server: EmbeddedServer, route: Route
) -> None:
    """systemd is told that the gateway is ready when every route is up or down, and would wait for ever."""
    Slow.opening = asyncio.Event()
    gateway = RunningGateway(of(nats_server, [route(transforms=["slow"])], "x"), [Stamp, Slow], HOOKS)
    try:
        await gateway.start()
        await asyncio.wait_for(Slow.opening.wait(), 30)
        assert await gateway.app._edge.connection.wait(30)
        waits = asyncio.create_task(gateway.app._gateway.settled())
        await eventually(lambda: gateway.app._gateway.supervisors["r"].settled._waiters)
        await gateway.app.reload(*loaded(of(nats_server, [route("other")], "x")))
        await asyncio.wait_for(waits, 30)
    finally:
        await gateway.stop()


async def test_a_drain_in_the_middle_of_a_reload_counts_routes_that_the_reload_takes_away_meanwhile(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    """One route ends at once, the other holds an event until the drain is over."""
    await make_stream(nc, "FULL", ["full.>"], max_msgs=1, discard="new")
    await js.publish("full.x", b"")
    held = route("held", targets=[{"subject": "full.x"}], source={"subjects": ["in.held"]})
    gateway = await run_gateway({"routes": [route("idle", source={"subjects": ["in.idle"]}), held]})
    await js.publish("in.held", b"1")
    await eventually(lambda: gateway.lane("held").window.entries)
    reload = asyncio.create_task(gateway.reload({"drain": "1s", "routes": [route("other")]}))
    await asyncio.sleep(0)  # it has begun
    await gateway.app._gateway.drain(1.0)
    await reload
    assert set(gateway.app.stats.routes) == {"other"}
