"""`shared = True`: routes with equal configs have one instance, open as long as one of them needs it."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from typing import Any, ClassVar

import pytest
from nats.js import JetStreamContext

from gateway import Event, Filter, Settings
from gateway.errors import ConfigError
from tests.jetstream.conftest import Route, RunGateway
from tests.support.arrivals import arrived
from tests.support.eventually import eventually
from tests.support.running import RunningGateway, read_config, registry_with

pytestmark = pytest.mark.usefixtures("streams")


class Pool(Filter, name="pool"):
    """Something dear that routes share."""

    class Config(Settings, frozen=True):
        """Which one."""

        size: int = 1

    shared = True
    log: ClassVar[list[tuple[str, int]]] = []
    routes: ClassVar[set[str]] = set()
    config: Config

    def prepare(self) -> None:
        Pool.log.append(("prepare", self.config.size))

    async def open(self) -> None:
        Pool.log.append(("open", self.config.size))
        Pool.routes.add(self.context.route)

    async def close(self) -> None:
        Pool.log.append(("close", self.config.size))

    def accepts(self, event: Event) -> bool:
        return True


class Threaded(Pool, name="threaded"):
    """The same with a thread."""

    blocking = True
    threads: ClassVar[list[str]] = []

    def open(self) -> None:  # type: ignore[override]
        Threaded.threads.append(threading.current_thread().name)

    def close(self) -> None:  # type: ignore[override]
        Threaded.threads.append(threading.current_thread().name)

    def accepts(self, event: Event) -> bool:
        Threaded.threads.append(threading.current_thread().name)
        return True


class SlowToClose(Filter, name="slow-to-close"):
    """Ends when somebody lets it."""

    gate: ClassVar[asyncio.Event]
    closes: ClassVar[int]
    closed: ClassVar[int]

    def prepare(self) -> None:
        SlowToClose.gate, SlowToClose.closes, SlowToClose.closed = asyncio.Event(), 0, 0

    async def close(self) -> None:
        SlowToClose.closes += 1
        await SlowToClose.gate.wait()
        SlowToClose.closed += 1

    def accepts(self, event: Event) -> bool:
        return True


@pytest.fixture(autouse=True)
def _forget() -> None:
    Pool.log, Pool.routes, Threaded.threads = [], set(), []


async def reload(gateway: RunningGateway, config: dict[str, Any], *components: type[Filter]) -> None:
    """Go over to another config on the same server."""
    registry = registry_with(components)
    await gateway.app.reload(
        read_config({"nats": {"servers": gateway.app.config.nats.servers}, **config}, registry), registry
    )


async def test_equal_configs_share_one_instance_and_others_have_their_own(
    run_gateway: RunGateway, route: Route
) -> None:
    routes = [route(name=name, filters=["pool"], source={"subjects": [f"in.{name}"]}) for name in ("a", "b")]
    other = route(name="c", filters=[{"pool": {"size": 2}}], source={"subjects": ["in.c"]})
    gateway = await run_gateway({"routes": [*routes, other]}, Pool)
    assert sorted(Pool.log) == [("open", 1), ("open", 2), ("prepare", 1), ("prepare", 2)]
    assert Pool.routes == {""}, "it belongs to no route"
    await gateway.stop()
    assert sorted(Pool.log)[:2] == [("close", 1), ("close", 2)]


async def test_a_shared_component_is_open_until_the_last_route_has_left(
    run_gateway: RunGateway, route: Route, js: JetStreamContext
) -> None:
    a, b = (route(name=name, filters=["pool"], source={"subjects": [f"in.{name}"]}) for name in ("a", "b"))
    gateway = await run_gateway({"routes": [a, b]}, Pool)
    await reload(gateway, {"routes": [a]}, Pool)
    # A route that is replaced goes on with what its predecessor had open.
    await reload(gateway, {"routes": [{**a, "description": "changed"}]}, Pool)
    await gateway.up("a")
    assert Pool.log == [("prepare", 1), ("open", 1)]
    await js.publish("in.a", b"{}")
    await arrived(js._nc, "OUT", 1)
    await reload(gateway, {"routes": [{**a, "filters": []}]}, Pool)
    assert Pool.log[2:] == [("close", 1)]
    await reload(gateway, {"routes": [a]}, Pool)
    await gateway.up("a")
    assert Pool.log[3:] == [("prepare", 1), ("open", 1)], "the closed one is not used again"


async def test_a_refused_config_leaves_no_instance_behind(run_gateway: RunGateway, route: Route) -> None:
    gateway = await run_gateway({"routes": [route(name="a", filters=["pool"])]}, Pool)
    wrong = route(name="b", filters=[{"pool": {"size": 3}}, {"pattern": {"a": []}}], source={"subjects": ["in.b"]})
    with pytest.raises(ConfigError):
        await reload(gateway, {"routes": [route(name="a", filters=["pool"]), wrong]}, Pool)
    assert [component.config.size for component in gateway.app._shared._made.values()] == [1]


async def test_all_calls_of_a_shared_blocking_component_are_made_by_its_one_thread(
    run_gateway: RunGateway, route: Route, js: JetStreamContext
) -> None:
    routes = [route(name=name, filters=["threaded"], source={"subjects": [f"in.{name}"]}) for name in ("a", "b")]
    gateway = await run_gateway({"routes": routes}, Threaded)
    for name in ("a", "b"):
        await js.publish(f"in.{name}", b"{}")
    await arrived(js._nc, "OUT", 2)
    await gateway.stop()
    assert Threaded.threads == ["gateway-threaded"] * 4, "open, two events, close"
    await eventually(lambda: all(thread.name != "gateway-threaded" for thread in threading.enumerate()))


async def test_an_end_in_the_middle_of_a_reload_lets_go_of_everything_once(
    run_gateway: RunGateway, route: Route
) -> None:
    """Of what the successor was to share, too, and nothing is taken from a neighbour that still drains."""
    a = route(name="a", filters=["slow-to-close", "pool"], source={"subjects": ["in.a"]})
    b = route(name="b", filters=["pool"], source={"subjects": ["in.b"]})
    gateway = await run_gateway({"routes": [a, b]}, Pool, SlowToClose)
    after = {**a, "filters": ["slow-to-close", {"pool": {"size": 2}}]}
    reloading = asyncio.ensure_future(reload(gateway, {"routes": [after, b]}, Pool, SlowToClose))
    await eventually(lambda: SlowToClose.closes == 1)
    # As the daemon does on SIGTERM.
    reloading.cancel()
    stopping = asyncio.ensure_future(gateway.stop())
    with contextlib.suppress(asyncio.CancelledError):
        await reloading
    SlowToClose.gate.set()
    await stopping
    assert (SlowToClose.closes, SlowToClose.closed) == (1, 1), "nor is a close cut short"
    assert Pool.log.count(("close", 1)) == 1
    assert Pool.log.count(("close", 2)) == Pool.log.count(("open", 2))
    assert gateway.app._shared._made == {}, "no instance is left behind"
