"""Plugins that raise everywhere, hang, leak, answer nonsense and swallow cancellation, in a real daemon.

Their neighbours deliver everything once and in time, no event of theirs is lost, and everything says who it was. The
account is the streams' own.
"""

from __future__ import annotations

import asyncio
from datetime import datetime
from pathlib import Path

from nats.aio.client import Client

from gateway.jetstream.server import EmbeddedServer
from tests.conftest import StartGateway
from tests.daemon.hostile_routes import Account, Fate, account, fates, install_evil, route_of, unsettled
from tests.support.eventually import LONG, eventually
from tests.support.process import GatewayProcess
from tests.support.streams import make_stream, read_stream
from tests.support.witness import all_settled

EVENTS = 60
HEALTHY = {
    "plain": route_of("plain", {}),
    "changing": route_of("changing", {"filters": [{"pattern": {"n": [{"numeric": [">=", 0]}]}}], "codec": "json"}),
    "elsewhere": route_of("elsewhere", {}, "OTHER"),
}
BLOCKS = route_of("blocks", {"filters": [{"evil-filter": {"how": "blocks"}}]}, "BLOCKS")
IN_TIME = 20.0
"""Seconds from the source stream to the target stream, while a hundred other routes start, fail and block the loop."""


def reread(line: str) -> float:
    """A server's time in seconds; it writes nanoseconds."""
    return datetime.fromisoformat(line[:26].rstrip("Z") + "+00:00").timestamp()


async def publish_all(nc: Client) -> None:
    js = nc.jetstream(timeout=30)
    for number in range(EVENTS):
        await asyncio.gather(*(js.publish(f"{stream}.ev", b'{"n": %d}' % number) for stream in ("in", "other")))


async def has_its_fate(nc: Client, gateway: GatewayProcess, cases: dict[str, Fate]) -> bool:
    """Whether every route is where it must be while its plugin is broken."""
    states = await gateway.routes()
    assert states, "nobody answered"
    for name, fate in cases.items():
        seen = states[name]
        wanted = ("down", fate.down) if fate.down else ("up", "")
        assert (seen["state"], seen["code"]) == wanted, (name, seen)
        assert fate.reason in seen["reason"], (name, seen)
        if not fate.down:
            left = await unsettled(nc, name)
            assert left == 0, (name, f"{left} unsettled")
    return True


async def test_hostile_plugins_hurt_their_own_routes_only_and_lose_nothing(
    streams: Client, nats_server: EmbeddedServer, gateway_process: StartGateway, tmp_path: Path
) -> None:
    for stream in ("OTHER", "BLOCKS"):
        await make_stream(streams, stream, [f"{stream.lower()}.>"])
    site, cases = tmp_path / "site", fates()
    install_evil(site)
    routes = [*HEALTHY.values(), BLOCKS, *(route_of(name, fate.fields) for name, fate in cases.items())]
    env = {"PYTHONPATH": f"{site}:{Path.cwd()}"}
    gateway = await gateway_process({"routes": routes, "drain": "5s"}, env=env)
    await publish_all(streams)
    await eventually(lambda: has_its_fate(streams, gateway, cases), LONG, "every hostile route at its fate", 0.5)
    await all_settled(streams, "IN", ["gateway-plain", "gateway-changing"])
    await all_settled(streams, "OTHER", ["gateway-elsewhere"])
    found = await account(nats_server.url)
    for name in HEALTHY:
        assert found.published[name] == dict.fromkeys(range(EVENTS), 1), name
    await in_time(streams)
    await each_is_kept(streams, found, cases)
    await everything_says_who(gateway, cases)
    await streams.jetstream().publish("blocks.ev", b'{"n": 0}')
    await eventually(lambda: blocked_by(gateway) == ("evil-steps", "blocks"))
    gateway.term()
    assert await gateway.wait() == 0
    told = {(line["event"], line.get("hook")) for line in gateway.logs}
    for hook in ("started", "stopping", "route_started", "route_stopped"):
        assert ("plugin.hook-failed", f"gateway_{hook}") in told
    assert ("gateway.left-behind", None) in told

    install_evil(site, mended=True)
    await gateway.start()
    await all_settled(streams, "IN", [f"gateway-{name}" for name in (*cases, "plain", "changing")], LONG)
    after = await account(nats_server.url)
    for name, fate in cases.items():
        thirds = {number for number in range(EVENTS) if number % 3 == 0}
        assert set(after.letters[name]) == (thirds if fate.bad else set()), name
        whole = set(range(EVENTS)) - (thirds if fate.bad or fate.filtered else set())
        assert after.published[name] == dict.fromkeys(whole, 1), name
    gateway.term()
    assert await gateway.wait() == 0


async def in_time(nc: Client) -> None:
    """The neighbours' copies were stored soon after their events."""
    stored = {
        stream: {message.json["n"]: reread(message.time) for message in await read_stream(nc, stream)}
        for stream in ("IN", "OTHER")
    }
    late = [
        (message.subject, message.json["n"], delay)
        for message in await read_stream(nc, "OUT")
        if (name := message.subject.partition(".")[2]) in HEALTHY
        and (delay := reread(message.time) - stored[HEALTHY[name]["source"]["stream"]][message.json["n"]]) > IN_TIME
    ]
    assert not late


async def each_is_kept(nc: Client, found: Account, cases: dict[str, Fate]) -> None:
    """No event is settled that is not in a stream behind its route, and each dead letter says why."""
    for name, fate in cases.items():
        codes = {letter.headers["Gateway-Error-Code"] for letter in found.letters[name].values()}
        assert codes == ({fate.bad} if fate.bad else set()), name
        assert all(len(letter.headers["Gateway-Error-Message"]) <= 512 for letter in found.letters[name].values())
        assert not any("4111-1111" in letter.header_block.decode() for letter in found.letters[name].values())
        if fate.filtered:
            continue
        if fate.down in ("open-failed", "plugin-failed"):
            assert not found.kept(name), name
            continue
        settled = EVENTS - await unsettled(nc, name)
        assert settled <= len(found.kept(name)), name


async def everything_says_who(gateway: GatewayProcess, cases: dict[str, Fate]) -> None:
    """Metrics and log name the routes, the plugin and the codes."""
    _, page = await gateway.get("/metrics")
    samples = set(page.splitlines())
    assert 'event_gateway_plugin_info{plugin="evil-steps",version="1.0",status="ok"} 1' in samples
    downs = {(line["route"], line["code"]) for line in gateway.logs if line["event"] == "route.down"}
    for name, fate in cases.items():
        assert f'event_gateway_route_up{{route="{name}"}} {0 if fate.down else 1}' in samples, name
        if fate.down:
            assert (name, fate.down) in downs, name
        elif fate.bad:
            code = "other" if fate.bad.startswith("my code") else fate.bad
            assert f'event_gateway_dead_letters_total{{route="{name}",code="{code}"}} {EVENTS // 3}' in samples, name
    assert any(line["event"] == "plugin.tried-to-end" for line in gateway.logs)
    assert "4111-1111" not in gateway.err


def blocked_by(gateway: GatewayProcess) -> tuple[str, str]:
    """Plugin and route that blocked the event loop last, as the log says."""
    told = [line for line in gateway.logs if line["event"] == "loop.blocked" and "plugin" in line]
    return (told[-1]["plugin"], told[-1]["route"]) if told else ("", "")
