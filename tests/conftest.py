"""Fixtures every test may use. The chain is store_dir -> nats_server -> nc -> js; a server starts in 30 ms.

A missing nats-server is an error, never a skip: a suite that skips its servers proves nothing.
"""

from __future__ import annotations

import itertools
import logging
import os
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest
import yaml
from hypothesis import HealthCheck, settings
from nats.aio.client import Client
from nats.js import JetStreamContext

from gateway.jetstream import server as server_module
from gateway.jetstream.server import EmbeddedServer, free_port
from tests.support.catalogued import Watch, offences_in
from tests.support.clients import connect
from tests.support.cluster import Cluster, running_cluster
from tests.support.limit import limited
from tests.support.process import GatewayProcess
from tests.support.told import told

log = logging.getLogger("tests")


def pytest_configure() -> None:
    """Each worker has ports of its own: another's is listened on only a moment after it was given out.

    And no example of a property is wrong for the time it takes: a machine that does other things as well has stood
    still for longer than Hypothesis allows.
    """
    settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("busy")
    worker = os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    server_module._PORTS = server_module._PORTS[int(worker) % workers :: workers]


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_setup() -> Generator[None, Any, None]:
    """No part of a test goes on for ever."""
    with limited():
        yield


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_call() -> Generator[None, Any, None]:
    """No part of a test goes on for ever."""
    with limited():
        yield


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_teardown() -> Generator[None, Any, None]:
    """No part of a test goes on for ever."""
    with limited():
        yield


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, None]:
    """A failed test's report has the last lines of its gateways and servers."""
    report = (yield).get_result()
    if report.failed:
        report.sections += told(getattr(item, "funcargs", {}).values())


class StartGateway(Protocol):
    """What the `gateway_process` fixture gives: call it with a config to get a process."""

    async def __call__(
        self, config: dict[str, Any] | Path, *, wait: bool = True, args: tuple[str, ...] = (), env: dict[str, str] = ...
    ) -> GatewayProcess: ...


async def connected(url: str | list[str]) -> Client:
    """A client that comes back fast after a restart and keeps the log free of its reconnects."""

    async def note(error: Exception) -> None:
        log.debug("nats client: %r", error)

    return await connect(url, reconnect_time_wait=0.05, max_reconnect_attempts=-1, error_cb=note, connect_timeout=5)


@pytest.fixture(autouse=True)
def _every_warning_is_in_the_catalogue() -> Iterator[None]:
    """One that is not has no entry in docs/troubleshooting.md."""
    watch = Watch()
    logging.getLogger("gateway").addHandler(watch)
    yield
    logging.getLogger("gateway").removeHandler(watch)
    assert watch.offences == set()


@pytest.fixture
def store_dir(tmp_path: Path) -> Path:
    """Where this test's server keeps its streams."""
    return tmp_path / "nats"


@pytest.fixture
def nats_server(store_dir: Path) -> Iterator[EmbeddedServer]:
    """A server of the test's own: it may be killed, restarted, filled."""
    server = EmbeddedServer(store_dir)
    server.start_blocking()
    yield server
    server.kill()


@pytest.fixture
async def nc(nats_server: EmbeddedServer) -> AsyncIterator[Client]:
    """A client of `nats_server`."""
    client = await connected(nats_server.url)
    yield client
    await client.close()


@pytest.fixture
def js(nc: Client) -> JetStreamContext:
    """JetStream on `nc`."""
    return nc.jetstream(timeout=30)


@pytest.fixture(scope="session")
def session_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServer]:
    """One server for all tests that are content with stream names of their own (`unique`)."""
    server = EmbeddedServer(tmp_path_factory.mktemp("nats"))
    server.start_blocking()
    yield server
    server.shut_down()


@pytest.fixture
async def session_nc(session_server: EmbeddedServer) -> AsyncIterator[Client]:
    """A client of `session_server`."""
    client = await connected(session_server.url)
    yield client
    await client.close()


_numbers = itertools.count(1)


@pytest.fixture
def unique() -> Callable[[str], str]:
    """`unique("ORDERS")` is a name no other test has; good as stream name, first subject token and route."""
    return lambda name: f"{name}-{next(_numbers)}"


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """Three nodes of the test's own; about three seconds to start."""
    yield from running_cluster(tmp_path / "cluster")


@pytest.fixture
async def cluster_nc(cluster: Cluster) -> AsyncIterator[Client]:
    """A client of the cluster that knows all its nodes."""
    client = await connected(cluster.urls)
    yield client
    await client.close()


@pytest.fixture
def gateway_process(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[StartGateway]:
    """Start gateways as processes: `await gateway_process({"routes": [...]})`.

    A dict is written to a file, with the test's `nats_server` (asked for on first use), a free HTTP port and JSON logs
    where it does not say otherwise; a Path is used as it is. With `wait=False` it is not started yet.
    """
    started: list[GatewayProcess] = []

    async def start(
        config: dict[str, Any] | Path,
        *,
        wait: bool = True,
        args: tuple[str, ...] = (),
        env: dict[str, str] | None = None,
    ) -> GatewayProcess:
        folder = tmp_path / f"gateway-{len(started)}"
        folder.mkdir()
        if isinstance(config, dict):
            file = folder / "gateway.yaml"
            file.write_text(yaml.safe_dump(_completed(config, request), sort_keys=False))
        else:
            file = config
        process = GatewayProcess(file, folder, args, env)
        started.append(process)
        if wait:
            await process.start()
        return process

    yield start
    for process in started:
        process.shut_down()
    assert {offence for process in started if process.started for offence in offences_in(process.logs)} == set()


def _completed(config: dict[str, Any], request: pytest.FixtureRequest) -> dict[str, Any]:
    whole = {"http": {"listen": f"127.0.0.1:{free_port()}"}, "log": {"format": "json"}, **config}
    if "nats" not in whole:
        server: EmbeddedServer = request.getfixturevalue("nats_server")
        whole["nats"] = {"servers": [server.url]}
    return whole
