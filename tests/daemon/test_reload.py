"""SIGHUP: a running gateway goes over to another config, or says why not."""

from __future__ import annotations

import signal
from collections import Counter

import pytest
from nats.aio.client import Client

from tests.conftest import StartGateway
from tests.support.eventually import eventually
from tests.support.small_routes import ONE, STUCK, held, make_room, publish, rewrite, route, seen, state_of
from tests.support.streams import consumer_state, count, read_stream
from tests.support.witness import all_settled


async def test_sighup_goes_over_to_a_changed_route_and_leaves_the_others(
    streams: Client, gateway_process: StartGateway
) -> None:
    """One route is replaced, one taken away, one added, one untouched; no event is lost or doubled meanwhile."""
    before = [ONE, route("two", "in.two", "out.two"), route("gone", "in.gone", "out.gone")]
    gateway = await gateway_process({"routes": before})
    for name in ("one", "two", "gone"):
        await publish(streams, f"in.{name}", 300)
    after = [ONE, route("two", "in.two", "out.changed"), route("new", "in.new", "out.new")]
    rewrite(gateway, routes=after)
    gateway.signal(signal.SIGHUP)
    await eventually(lambda: seen(gateway)["config.reloaded"] == 1)
    for name in ("one", "two", "gone", "new"):
        await publish(streams, f"in.{name}", 300)
    await all_settled(streams, "IN", ["gateway-one", "gateway-two", "gateway-new"])

    said = next(line for line in gateway.logs if line["event"] == "config.reloaded")
    assert (said["stopped"], said["replaced"], said["started"]) == (["gone"], ["two"], ["new"])
    assert set(await gateway.routes()) == {"one", "two", "new"}
    starts = Counter(line["route"] for line in gateway.logs if line["event"] == "route.up")
    assert starts == {"one": 1, "two": 2, "gone": 1, "new": 1}
    subjects = Counter(message.subject for message in await read_stream(streams, "OUT"))
    assert subjects["out.one"] == subjects["out.two"] + subjects["out.changed"] == 600
    assert subjects["out.changed"] >= 300
    assert subjects["out.new"] == 300
    assert (await consumer_state(streams, "IN", "gateway-gone"))["num_pending"] >= 300, "a reload deletes no durable"
    assert await gateway.metric('config_reloads_total{outcome="success"}') == 1
    assert await gateway.metric("config_last_reload_successful") == 1


@pytest.mark.fault("invalid-reload")
async def test_sighup_with_an_invalid_file_changes_nothing_and_says_so(
    streams: Client, gateway_process: StartGateway
) -> None:
    gateway = await gateway_process({"routes": [ONE]})
    good = gateway.config.read_text()
    address = gateway.http_url
    rewrite(gateway, routes=[{**ONE, "nmae": "x"}, route("two", "in.two", "out.two")])
    gateway.signal(signal.SIGHUP)
    await eventually(lambda: seen(gateway)["config.reload-failed"] == 1)
    problem = next(line for line in gateway.logs if line["event"] == "config.reload-failed")
    assert "nmae" in problem["message"]
    assert problem["code"] == "unknown-field"
    assert "hint" not in problem["message"]
    assert problem["hint"].startswith("fields: name, ")
    await publish(streams, "in.one", 10)
    await all_settled(streams, "IN", ["gateway-one"])
    assert set(await gateway.routes()) == {"one"}
    assert await gateway.metric('config_reloads_total{outcome="failure"}') == 1
    assert await gateway.metric("config_last_reload_successful") == 0

    gateway.config.write_text(good)
    assert gateway.http_url == address
    gateway.signal(signal.SIGHUP)
    await eventually(lambda: seen(gateway)["config.reloaded"] == 1)
    assert seen(gateway)["route.up"] == 1, "an unchanged route is not touched"


async def test_a_replaced_route_hands_over_what_its_target_refuses(full: Client, gateway_process: StartGateway) -> None:
    """The new config may be what mends it: it does not wait until `drain` is over, and every copy is stored once."""
    gateway = await gateway_process({"drain": "60s", "routes": [STUCK]})
    await held(gateway, full, 5)
    rewrite(gateway, routes=[{**STUCK, "max-in-flight": 10}])
    gateway.signal(signal.SIGHUP)
    await eventually(lambda: seen(gateway)["config.reloaded"] == 1)
    await make_room(full)
    await all_settled(full, "IN", ["gateway-stuck"], 20)
    assert await count(full, "FULL") == 6


async def test_a_signal_to_end_during_a_reload_is_obeyed(full: Client, gateway_process: StartGateway) -> None:
    """The reload waits for what a route that goes holds; the drain then goes on with that."""
    gateway = await gateway_process({"drain": "20s", "routes": [STUCK, ONE]})
    await held(gateway, full, 5)
    rewrite(gateway, routes=[ONE])
    gateway.signal(signal.SIGHUP)
    await eventually(lambda: state_of(gateway, "stuck", "draining"))
    gateway.term()
    await make_room(full)
    assert await gateway.wait() == 0
    assert "Traceback" not in gateway.err
    assert (await consumer_state(full, "IN", "gateway-stuck"))["num_ack_pending"] == 0
    assert await count(full, "FULL") == 6


async def test_a_storm_of_signals_is_few_reloads_and_the_last_config_is_the_one_that_runs(
    full: Client, gateway_process: StartGateway
) -> None:
    """While one reload waits for a route to drain, ten signals come: one more follows, with what is there then."""
    gateway = await gateway_process({"drain": "20s", "routes": [STUCK, ONE]})
    await held(gateway, full, 5)
    rewrite(gateway, routes=[ONE])
    gateway.signal(signal.SIGHUP)
    await eventually(lambda: state_of(gateway, "stuck", "draining"))
    for number in range(10):
        rewrite(gateway, routes=[ONE, route(f"r{number}", "in.one", f"out.r{number}")])
        gateway.signal(signal.SIGHUP)
    await make_room(full)
    await eventually(lambda: seen(gateway)["config.reloaded"] == 2)
    await publish(full, "in.one", 1)
    await all_settled(full, "IN", ["gateway-one", "gateway-r9"])
    assert set(await gateway.routes()) == {"one", "r9"}
    assert seen(gateway)["config.reloaded"] == 2
    assert Counter(message.subject for message in await read_stream(full, "OUT")) == {"out.one": 1, "out.r9": 1}
    rewrite(gateway, routes=[ONE, STUCK])
    gateway.signal(signal.SIGHUP)
    await eventually(lambda: seen(gateway)["config.reloaded"] == 3)
    await all_settled(full, "IN", ["gateway-stuck"])
    assert await count(full, "FULL") == 6
