"""Every hook, called for real: when, how often, with what, and what happens when it raises."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import msgspec
import pytest
from nats.aio.client import Client
from nats.js import JetStreamContext

from gateway import Audit, AuditRecord, Codec, Encoded, Event, Filter, Secret, Settings, Transform
from gateway.jetstream.server import EmbeddedServer
from gateway.lent import GatewayInfo, RouteInfo
from tests.jetstream.conftest import Route, RunGateway
from tests.support.arrivals import arrived, settled
from tests.support.eventually import eventually
from tests.support.running import RunningGateway, read_config, registry_with
from tests.support.streams import read_stream

pytestmark = pytest.mark.usefixtures("streams")


class Reverse(Codec, name="reverse"):
    """Text backwards."""

    def decode(self, data: bytes, headers: Any, subject: str) -> Any:
        return data.decode()[::-1]

    def encode(self, body: Any, headers: Any) -> Encoded:
        return Encoded(body[::-1].encode())


async def test_gateway_codecs_offers_codecs(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    await run_gateway({"routes": [route(targets=[{"subject": "out.it", "codec": "reverse"}])]}, Reverse)
    await js.publish("in.a", b'"abc"')
    await arrived(nc, "OUT", 1)
    assert [message.data for message in await read_stream(nc, "OUT")] == [b"cba"]


class Even(Filter, name="even"):
    """Keep even numbers."""

    def accepts(self, event: Event) -> bool:
        return bool(event.get("n") % 2 == 0)


async def test_gateway_filters_offers_filters(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    gateway = await run_gateway({"routes": [route(filters=["even"])]}, Even)
    for n in range(4):
        await js.publish("in.a", b'{"n": %d}' % n)
    await arrived(nc, "OUT", 2)
    await settled(nc)
    assert gateway.stats().outcomes["filtered"] == 2


class Double(Transform, name="double"):
    """Twice as much."""

    def apply(self, event: Event) -> Event:
        return event.set("n", event.get("n") * 2)


async def test_gateway_transforms_offers_transforms(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    await run_gateway({"routes": [route(transforms=["double"])]}, Double)
    await js.publish("in.a", b'{"n": 4}')
    await arrived(nc, "OUT", 1)
    assert [message.data for message in await read_stream(nc, "OUT")] == [b'{"n":8}']


class Kept(Audit, name="kept"):
    """Keep records here."""

    records: ClassVar[list[AuditRecord]] = []

    def record(self, records: Sequence[AuditRecord]) -> None:
        Kept.records.extend(records)


async def test_gateway_audits_offers_audits(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    Kept.records.clear()
    await run_gateway({"routes": [route(audits=["kept"])]}, Kept)
    await js.publish("in.a", b"{}")
    await arrived(nc, "OUT", 1)
    await settled(nc)
    assert [record.outcome for record in Kept.records] == ["published"]


class Own(Settings):
    """What the plugin takes."""

    tenant: str
    token: Secret | None = None


class Tenant(Filter, name="tenant"):
    """Keep what is ours."""

    def accepts(self, event: Event) -> bool:
        return bool(event.get("tenant") == self.context.settings.tenant)


async def test_gateway_settings_names_the_type_components_find_in_their_context(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    config = {"plugins": {"settings": {"test": {"tenant": "acme"}}}, "routes": [route(filters=["tenant"])]}
    await run_gateway(config, Tenant, hooks={"gateway_settings": lambda: Own})
    for tenant in (b"acme", b"other"):
        await js.publish("in.a", b'{"tenant": "%b"}' % tenant)
    await arrived(nc, "OUT", 1)
    await settled(nc)
    assert [message.data for message in await read_stream(nc, "OUT")] == [b'{"tenant": "acme"}']


class Told:
    """The four life-cycle hooks, and what they were told."""

    def __init__(self, *, angry: bool = False) -> None:
        self.calls: list[tuple[str, Any]] = []
        self._angry = angry

    @property
    def hooks(self) -> dict[str, Callable[..., None]]:
        names = ("gateway_started", "gateway_stopping", "gateway_route_started", "gateway_route_stopped")
        return {name: self._hook(name) for name in names}

    def _hook(self, name: str) -> Callable[..., None]:
        def note(told: Any) -> None:
            self.calls.append((name, told))
            if self._angry:
                raise RuntimeError("a hook that fails")

        def hook_of_gateway(info: GatewayInfo) -> None:
            note(info)

        def hook_of_route(route: RouteInfo) -> None:
            note(route)

        return hook_of_route if "route" in name else hook_of_gateway

    def names(self) -> list[str]:
        return [name for name, _ in self.calls]


async def reload(gateway: RunningGateway, told: Told, routes: list[dict[str, Any]]) -> None:
    registry = registry_with((), told.hooks)
    running = gateway.app.config
    config = {"name": running.name, "nats": {"servers": running.nats.servers}, "routes": routes}
    await gateway.app.reload(read_config(config, registry), registry)
    await gateway.up()


async def test_gateway_started_and_gateway_stopping_are_called_once_with_the_same_info(
    run_gateway: RunGateway, route: Route
) -> None:
    told = Told()
    gateway = await run_gateway({"name": "shop", "routes": [route()]}, hooks=told.hooks)
    await gateway.app.settled()
    await gateway.app.settled()
    await reload(gateway, told, [route(description="changed")])
    await gateway.stop()
    names = [name for name in told.names() if "route" not in name]
    assert names == ["gateway_started", "gateway_stopping"]
    infos = [info for name, info in told.calls if "route" not in name]
    assert (infos[0].name, infos[0].instance) == ("shop", gateway.app.instance)
    assert infos[0].version == infos[1].version != ""
    assert told.names()[-1] == "gateway_route_stopped", "routes end after the gateway has said that it will"


async def test_gateway_route_started_and_gateway_route_stopped_follow_each_route(
    run_gateway: RunGateway, route: Route
) -> None:
    told = Told()
    both = [route(name="a", source={"subjects": ["in.a"]}), route(name="b", source={"subjects": ["in.b"]})]
    gateway = await run_gateway({"routes": both}, hooks=told.hooks)
    await eventually(lambda: len(told.calls) == 2)
    assert {(name, info.name) for name, info in told.calls} == {
        ("gateway_route_started", "a"),
        ("gateway_route_started", "b"),
    }
    first = next(info for _, info in told.calls if info.name == "a")
    assert msgspec.structs.asdict(first) == {
        "gateway": "gateway",
        "name": "a",
        "description": "",
        "stream": "IN",
        "durable": "gateway-a",
        "targets": ("out",),
    }
    told.calls.clear()
    await reload(gateway, told, [{**both[0], "description": "changed"}, both[1]])
    assert [(name, info.name) for name, info in told.calls] == [
        ("gateway_route_stopped", "a"),
        ("gateway_route_started", "a"),
    ]
    told.calls.clear()
    await reload(gateway, told, [{**both[0], "description": "changed"}])
    assert [(name, info.name) for name, info in told.calls] == [("gateway_route_stopped", "b")]


async def test_a_reload_tells_the_plugins_it_brings_of_the_routes_it_starts(
    run_gateway: RunGateway, route: Route
) -> None:
    """Of each route the same plugins hear the start and the end, whichever are there by then."""
    before, after = Told(), Told()
    a, b = (route(name=name, source={"subjects": [f"in.{name}"]}) for name in ("a", "b"))
    gateway = await run_gateway({"routes": [a, b]}, hooks=before.hooks)
    await eventually(lambda: len(before.calls) == 2)
    before.calls.clear()
    gateway.app.stats.plugins.clear()
    await reload(gateway, after, [{**a, "description": "changed"}, b])
    assert [(name, info.name) for name, info in before.calls] == [("gateway_route_stopped", "a")]
    assert [(name, info.name) for name, info in after.calls] == [("gateway_route_started", "a")]
    assert ("test", "", "ok") in gateway.app.stats.plugins
    await gateway.stop()
    assert [(name, info.name) for name, info in before.calls[1:]] == [("gateway_route_stopped", "b")]
    assert after.names()[1:] == ["gateway_stopping", "gateway_route_stopped"]


async def test_a_life_cycle_hook_that_raises_is_logged_and_changes_nothing(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR, "gateway.plugins")
    told = Told(angry=True)
    gateway = await run_gateway({"routes": [route()]}, hooks=told.hooks)
    await gateway.app.settled()
    await js.publish("in.a", b"{}")
    await arrived(nc, "OUT", 1)
    await gateway.stop()
    assert len(told.calls) == 4
    failed = [record.__dict__ for record in caplog.records if record.__dict__.get("event") == "plugin.hook-failed"]
    assert {(record["plugin"], record["hook"]) for record in failed} == {("test", name) for name in told.hooks}


class NeedsServer(Filter, name="needs-server"):
    """Open a bucket before the first event."""

    connected: ClassVar[list[bool]] = []

    async def open(self) -> None:
        NeedsServer.connected.append(True)
        await self.context.publish("out.opened", b"{}")

    def accepts(self, event: Event) -> bool:
        return True


async def test_components_open_only_once_there_is_a_server_they_may_need(
    nats_server: EmbeddedServer, run_gateway: RunGateway, route: Route, caplog: pytest.LogCaptureFixture
) -> None:
    """A server that is away is no fault of theirs, and not told as one."""
    NeedsServer.connected.clear()
    await nats_server.stop()
    gateway = await run_gateway({"routes": [route(filters=["needs-server"])]}, NeedsServer, wait=False)
    stats = await gateway.down("disconnected")
    assert (NeedsServer.connected, stats.reason) == ([], "no connection to a server")
    await nats_server.start()
    await gateway.up()
    assert NeedsServer.connected == [True]
    assert not [record for record in caplog.records if record.__dict__.get("event") == "component.open-failed"]
