"""Plugins that cannot be loaded, one for each way: listed with who, where and what now; only their routes stay down."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from nats.aio.client import Client

from gateway.jetstream.server import EmbeddedServer
from tests.conftest import StartGateway
from tests.daemon.hostile_routes import account, route_of
from tests.support.distribution import install, uninstall
from tests.support.process import ROOT
from tests.support.witness import all_settled

EVENTS = 20

GOOD = '''\
from gateway import Event, Filter, hookimpl

class Fine(Filter, name="{name}-fine"):
    """Takes every event."""

    def accepts(self, event: Event) -> bool:
        return True

@hookimpl
def gateway_filters():
    return [Fine]
'''


class Broken(NamedTuple):
    """A module that is no good plugin, and what is said of it."""

    source: str
    reason: str
    """What the listing says, `FILE` for the module's."""


def hook(name: str, body: str, before: str = "def") -> str:
    """A module with one hook, at line 4."""
    return f"from gateway import Codec, Filter, Transform, hookimpl\n\n@hookimpl\n{before} {name}():\n    {body}\n"


def component(body: str) -> str:
    """A module with one filter that has something wrong."""
    return GOOD.format(name="x").replace("    def accepts", f"    {body}\n\n    def accepts")


BROKEN = {
    "import-raises": Broken("raise RuntimeError('no database')\n", "RuntimeError: no database (FILE:1)"),
    "import-exits": Broken("import sys\nsys.exit(3)\n", "SystemExit: 3 (FILE:2)"),
    "import-base": Broken("class Odd(BaseException): pass\nraise Odd\n", "Odd (FILE:2)"),
    "import-syntax": Broken("def broken(:\n    pass\n", "SyntaxError: invalid syntax (FILE:1)"),
    "import-missing": Broken("import acme_sdk\n", "ModuleNotFoundError: No module named 'acme_sdk' (FILE:1)"),
    "import-mute": Broken("class Mute(Exception):\n    def __str__(self): return None\nraise Mute\n", "Mute (FILE:3)"),
    "codecs-raise": Broken(hook("gateway_codecs", "raise KeyError('url')"), "KeyError: 'url' (FILE:5)"),
    "filters-raise": Broken(hook("gateway_filters", "raise SystemExit"), "SystemExit (FILE:5)"),
    "transforms-raise": Broken(hook("gateway_transforms", "raise GeneratorExit"), "GeneratorExit (FILE:5)"),
    "audits-raise": Broken(hook("gateway_audits", "1 / 0"), "ZeroDivisionError: division by zero (FILE:5)"),
    "hook-none": Broken(hook("gateway_filters", "pass"), "gateway_filters() returned NoneType, not a list of classes"),
    "hook-text": Broken(hook("gateway_filters", "return 'x'"), "gateway_filters() returned str, not a list of classes"),
    "hook-other": Broken(
        hook("gateway_filters", "return [Codec]"), "returned Codec, which is no subclass of gateway.Filter"
    ),
    "hook-async": Broken(
        hook("gateway_filters", "return []", "async def"),
        "the hook gateway_filters is async; hooks are called without waiting (FILE:3)",
    ),
    "hook-misspelt": Broken(
        hook("gateway_filter", "return []"),
        'nobody calls the hook "gateway_filter"; did you mean "gateway_filters"? (FILE:3)',
    ),
    "settings-raise": Broken(hook("gateway_settings", "raise OSError"), "OSError (FILE:5)"),
    "settings-odd": Broken(hook("gateway_settings", "return 5"), "gateway_settings() returned a int, not a type"),
    "codes-odd": Broken(component("codes = 5"), "Fine.codes is 5; it is a tuple of texts"),
    "async-prepare": Broken(
        component("async def prepare(self): pass"),
        "Fine.prepare() is async; it is called without waiting: make it plain",
    ),
    "async-settled": Broken(component("async def settled(self, event, outcome): pass"), "Fine.settled() is async"),
}
TWICE = "twice"
"""The name two distributions claim."""


def install_broken(site: Path, *, mended: bool = False) -> None:
    """A distribution for each; and two that claim one name, of which the mended world has one."""
    for name, broken in BROKEN.items():
        module = name.replace("-", "_")
        source = GOOD.format(name=name) if mended else broken.source
        install(site, f"evil-{name}", "2.0" if mended else "1.0", {module: source})
    install(site, "evil-twin-a", "1.0", {TWICE: GOOD.format(name=TWICE)})
    install(site, "evil-twin-b", "1.0", {"twin_b": GOOD.format(name="twin")}, {TWICE: "twin_b"})
    if mended:
        uninstall(site, "evil-twin-b")


NEEDY = {name: route_of(name, {"filters": [f"{name}/{name}-fine"]}) for name in (*BROKEN, TWICE)}
ROUTES = [route_of("plain", {}), *NEEDY.values()]


def command(site: Path, *args: str) -> subprocess.CompletedProcess[str]:
    """A command of the gateway, with the plugins of `site`."""
    env = {**os.environ, "PYTHONPATH": f"{site}:{ROOT}"}
    return subprocess.run(
        [sys.executable, "-m", "gateway", *args], env=env, cwd=site, capture_output=True, text=True, timeout=60
    )


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """The folder they are installed in."""
    install_broken(tmp_path / "site")
    return tmp_path / "site"


def test_each_is_listed_with_who_where_and_what_now(site: Path) -> None:
    said = command(site, "plugins", "list")
    assert said.returncode == 1, said.stderr
    assert "Traceback" not in said.stderr
    for name, broken in BROKEN.items():
        head, reason, now = block(said.stdout, name)
        assert head == f"{name}  failed  (evil-{name} 1.0)"
        assert broken.reason.replace("FILE", str(site / f"{name.replace('-', '_')}.py")) in reason
        assert (
            now == "  what now: upgrade or uninstall it; until then the routes that need it stay down, the others run"
        )
    head, reason, _ = block(said.stdout, TWICE)
    assert head == f"{TWICE}  clash  (evil-twin-a 1.0)"
    assert reason == f'  the name "{TWICE}" is claimed by evil-twin-a 1.0 and evil-twin-b 1.0; uninstall all but one'


def block(text: str, name: str) -> list[str]:
    """The three lines about one plugin."""
    lines = text.splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith(f"{name}  "))
    return lines[start : start + 3]


async def test_only_the_routes_that_need_one_stay_down_until_it_is_mended(
    streams: Client, nats_server: EmbeddedServer, gateway_process: StartGateway, site: Path
) -> None:
    """`check` reports every one, `run` starts all the same, and events wait in the source stream."""
    env = {"PYTHONPATH": f"{site}:{ROOT}"}
    gateway = await gateway_process({"routes": ROUTES}, env=env)
    said = command(site, "check", "-c", str(gateway.config), "--json")
    assert said.returncode == 1, said.stderr
    findings: list[dict[str, Any]] = json.loads(said.stdout)["problems"]
    assert {finding["code"] for finding in findings} == {"plugin"}
    assert {finding["path"] for finding in findings} == {f"routes[{n}].filters[0]" for n in range(1, len(ROUTES))}

    for number in range(EVENTS):
        await streams.jetstream().publish("in.ev", b'{"n": %d}' % number)
    await all_settled(streams, "IN", ["gateway-plain"])
    states = await gateway.routes()
    downs = {line["route"]: line for line in gateway.logs if line["event"] == "route.down"}
    _, page = await gateway.get("/metrics")
    for name in NEEDY:
        assert (states[name]["state"], states[name]["code"]) == ("down", "plugin-missing")
        who = f"the plugin {name} (evil-{'twin-a' if name == TWICE else name} 1.0) "
        assert states[name]["reason"].startswith(who)
        assert downs[name]["code"] == "plugin-missing"
        assert who in downs[name]["message"]
        assert f'event_gateway_route_up{{route="{name}"}} 0\n' in page
        status = "clash" if name == TWICE else "failed"
        assert f'event_gateway_plugin_info{{plugin="{name}",version="1.0",status="{status}"}} 1\n' in page
    found = await account(nats_server.url)
    assert found.published == {"plain": dict.fromkeys(range(EVENTS), 1)}
    gateway.term()
    assert await gateway.wait(20) == 0

    install_broken(site, mended=True)
    await gateway.start()
    await all_settled(streams, "IN", [f"gateway-{name}" for name in NEEDY])
    found = await account(nats_server.url)
    assert found.published == dict.fromkeys(("plain", *NEEDY), dict.fromkeys(range(EVENTS), 1))
    assert not found.letters
    assert command(site, "plugins", "list").returncode == 0
