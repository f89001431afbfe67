"""What we ship, as installed: wheels in a fresh environment, a route through two plugins, new plugins of all kinds."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from nats.aio.client import Client

from gateway.jetstream.server import EmbeddedServer, free_port
from tests.plugins.installation import Installation, installed
from tests.support.arrivals import arrived
from tests.support.process import ROOT, GatewayProcess
from tests.support.witness import all_settled

KINDS = ("filter", "transform", "audit", "codec")

SCHEMA = {"type": "object", "required": ["customer"], "properties": {"customer": {"type": "string"}}}


@pytest.fixture(scope="session")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """The gateway, cel and jsonschema; made once."""
    return installed(tmp_path_factory.mktemp("installed"))


@pytest.fixture
def config(tmp_path: Path, nats_server: EmbeddedServer) -> Path:
    """A route through two plugins, and one that needs none."""
    schemas = tmp_path / "schemas"
    schemas.mkdir()
    (schemas / "OrderPaid.json").write_text(json.dumps(SCHEMA))
    source = {"stream": "IN", "subjects": ["in.>"]}
    filters: list[dict[str, Any]] = [{"cel": "total > 100"}, {"json-schema": {"folder": str(schemas)}}]
    document = {
        "nats": {"servers": [nats_server.url]},
        "http": {"listen": f"127.0.0.1:{free_port()}"},
        "log": {"format": "json"},
        "routes": [
            {"name": "checked", "source": source, "filters": filters, "targets": [{"subject": "out.checked"}]},
            {"name": "plain", "source": source, "targets": [{"subject": "out.plain"}]},
        ],
    }
    file = tmp_path / "gateway.yaml"
    file.write_text(yaml.safe_dump(document, sort_keys=False))
    return file


class Run:
    """Starts `gateway run` of the environment."""

    def __init__(self, installation: Installation, config: Path) -> None:
        self._installation = installation
        self._config = config
        self.started: list[GatewayProcess] = []

    async def __call__(self, *args: str) -> GatewayProcess:
        env = {"PYTHONPATH": "", "VIRTUAL_ENV": ""}
        process = GatewayProcess(self._config, self._config.parent, args, env, [self._installation.gateway])
        self.started.append(process)
        await process.start()
        return process


@pytest.fixture
def run(installation: Installation, config: Path) -> Iterator[Run]:
    """Call it to start one; they end with the test."""
    starter = Run(installation, config)
    yield starter
    for process in starter.started:
        process.shut_down()


ORDERS = [
    {"id": "1", "type": "OrderPaid", "total": 150, "customer": "ada"},
    {"id": "2", "type": "OrderPaid", "total": 50, "customer": "bob"},
    {"id": "3", "type": "OrderPaid", "total": 300},
]


async def test_a_route_goes_through_two_installed_plugins(streams: Client, run: Run) -> None:
    """One order passes, one is filtered by cel, one breaks its schema."""
    gateway = await run()
    for order in ORDERS:
        await streams.jetstream().publish("in.orders", json.dumps(order).encode())
    messages = await arrived(streams, "OUT", 4)
    assert [message.json["id"] for message in messages if message.subject == "out.checked"] == ["1"]
    (letter,) = await arrived(streams, "DLQ", 1)
    assert (letter.json["id"], letter.headers["Gateway-Error-Code"]) == ("3", "schema-violation")
    await all_settled(streams, "IN", ["gateway-checked", "gateway-plain"])
    assert await gateway.metric('events_total{route="checked",outcome="filtered"}') == 1
    gateway.term()
    assert await gateway.wait(20) == 0


async def test_a_route_whose_plugin_is_left_out_stays_down_and_says_why(
    streams: Client, run: Run, installation: Installation, config: Path
) -> None:
    said = installation.run("gateway", "check", "-c", str(config), "-P", "no:cel")
    assert (said.returncode, said.stderr) == (1, "")
    assert "routes[0].filters[0]" in said.stdout
    assert "disabled by plugins.disable or -P no:cel" in said.stdout
    assert "routes[1]" not in said.stdout
    gateway = await run("-P", "no:cel")
    await streams.jetstream().publish("in.orders", json.dumps(ORDERS[0]).encode())
    assert [message.subject for message in await arrived(streams, "OUT", 1)] == ["out.plain"]
    state = (await gateway.routes())["checked"]
    assert (state["state"], state["code"]) == ("down", "plugin-missing")
    assert "cel" in state["reason"]


def test_it_runs_from_the_wheels_and_lists_both(installation: Installation, config: Path) -> None:
    where = installation.run(
        "python", "-c", "import gateway, gateway_cel; print(gateway.__file__, gateway_cel.__file__)"
    )
    assert str(ROOT) not in where.stdout
    assert where.stdout.count(str(installation.folder)) == 2, where.stderr
    said = installation.run("gateway", "plugins", "list", "-c", str(config))
    assert said.returncode == 0, said.stdout
    for plugin, package in (("cel", "gateway-cel"), ("jsonschema", "gateway-jsonschema")):
        assert f"{plugin}  ok  ({package} " in said.stdout
    assert said.stdout.count("  used by: checked\n") == 2
    assert installation.run("gateway", "check", "-c", str(config)).returncode == 0


@pytest.fixture(scope="session")
def scaffolds(installation: Installation) -> dict[str, Path]:
    """A new plugin of every kind, installed as its README says, but for the wheels being built here."""
    folders = {}
    for kind in KINDS:
        said = installation.run("gateway", "plugins", "new", f"my-{kind}", "--kind", kind)
        assert said.returncode == 0, said.stderr
        folders[kind] = installation.folder / f"gateway-my-{kind}"
    installation.install([installation.build(folder) for folder in folders.values()], extra="[test]")
    return folders


@pytest.mark.parametrize("kind", KINDS)
def test_a_new_plugin_passes_its_own_tests_as_it_is(
    installation: Installation, scaffolds: dict[str, Path], kind: str
) -> None:
    """With plain pytest: no plugin of it but the gateway's own."""
    assert installation.run("python", "-c", "import pytest_asyncio").returncode != 0
    said = installation.run("python", "-m", "pytest", "-q", "-p", "no:cacheprovider", cwd=scaffolds[kind])
    assert said.returncode == 0, said.stdout + said.stderr
    assert "skipped" not in said.stdout
    listed = installation.run("gateway", "plugins", "info", f"my-{kind}")
    assert f"plugin my-{kind}" in listed.stdout, listed.stderr
