"""Replicas: who else runs under the name, with which config; and that nothing depends on knowing it."""

from __future__ import annotations

import json

import pytest
from nats.aio.client import Client
from nats.js import JetStreamContext

from gateway.jetstream import replicas
from gateway.jetstream.server import EmbeddedServer
from tests.jetstream.conftest import Route, RunGateway
from tests.support.arrivals import arrived
from tests.support.eventually import eventually
from tests.support.logged import logged
from tests.support.running import RunningGateway
from tests.support.servers import gateway_url, permissions, restart_with
from tests.support.streams import api, consumer_state, count

pytestmark = pytest.mark.usefixtures("streams")

BUCKET = "KV_gateway-gateway"


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks every moment, and records that die soon."""
    monkeypatch.setattr(replicas, "EVERY", 0.2)
    monkeypatch.setattr(replicas, "TTL", 2.0)


def seen(gateway: RunningGateway) -> tuple[int, int]:
    """Replicas, and configs among them, as a gateway sees them."""
    return gateway.app.stats.replicas, gateway.app.stats.replica_configs


@pytest.mark.fault("replicas-differ")
@pytest.mark.usefixtures("quick")
async def test_replicas_that_run_different_configs_are_told_of_once_on_each_side(
    run_gateway: RunGateway, route: Route, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "gateway")
    one = await run_gateway({"routes": [route()]})
    await eventually(lambda: seen(one) == (1, 1))
    two = await run_gateway({"routes": [route()]})
    await eventually(lambda: seen(one) == seen(two) == (2, 1))
    assert not logged(caplog, "replicas.config-differs")

    three = await run_gateway({"routes": [route(rate="500/s")]})
    await eventually(lambda: seen(one) == seen(two) == seen(three) == (3, 2))
    found = logged(caplog, "replicas.config-differs")
    assert len(found) == 3, "one line each, however often they look"
    digests = {one.app.config.digest: 2, three.app.config.digest: 1}
    assert [record.configs for record in found] == [digests] * 3

    await three.stop()
    await eventually(lambda: seen(one) == seen(two) == (2, 1), what="its record goes with it")
    assert len(logged(caplog, "replicas.config-agrees")) == 2


@pytest.mark.usefixtures("quick")
async def test_the_record_of_a_replica_that_died_dies_after_it(run_gateway: RunGateway, route: Route) -> None:
    one, two = await run_gateway({"routes": [route()]}), await run_gateway({"routes": [route()]})
    await eventually(lambda: seen(one) == (2, 1))
    await two.crash()
    await eventually(lambda: seen(one) == (1, 1))


async def test_a_record_under_no_legal_key_is_none_of_ours(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    """Anybody who may write to the bucket could otherwise keep a route from starting."""
    await (await run_gateway({"routes": [route()]})).stop()
    await js.publish("$KV.gateway-gateway.replica.a!b", b"{}")
    gateway = await run_gateway({"routes": [route(source={"max-ack-pending": 7, "manage": "update"})]})
    assert (await consumer_state(nc, "IN", "gateway-r"))["config"]["max_ack_pending"] == 7
    assert seen(gateway) == (1, 1)


@pytest.mark.usefixtures("quick")
async def test_a_reload_is_seen_by_the_others(run_gateway: RunGateway, route: Route) -> None:
    one, two = await run_gateway({"routes": [route()]}), await run_gateway({"routes": [route()]})
    await eventually(lambda: seen(one) == (2, 1))
    other = {"routes": [route(rate="5/s")]}
    await two.reload(other)
    await eventually(lambda: seen(one) == seen(two) == (2, 2))
    await one.reload(other)
    await eventually(lambda: seen(one) == seen(two) == (2, 1))


async def test_the_bucket_is_small_and_as_safe_as_the_source(nc: Client, run_gateway: RunGateway, route: Route) -> None:
    gateway = await run_gateway({"routes": [route()]})
    await eventually(lambda: seen(gateway) == (1, 1))
    config = (await api(nc, f"STREAM.INFO.{BUCKET}"))["config"]
    assert (config["max_msgs_per_subject"], config["num_replicas"], config["max_bytes"]) == (1, 1, 1 << 20)
    assert config["max_age"] == 90_000_000_000
    bucket = await nc.jetstream().key_value("gateway-gateway")
    entry = await bucket.get(f"replica.{gateway.app.instance}")
    assert json.loads(entry.value or b"")["config"] == gateway.app.config.digest


@pytest.mark.usefixtures("quick")
async def test_a_bucket_that_goes_away_is_made_again(nc: Client, run_gateway: RunGateway, route: Route) -> None:
    gateway = await run_gateway({"routes": [route()]})
    await eventually(lambda: seen(gateway) == (1, 1))
    await api(nc, f"STREAM.DELETE.{BUCKET}")

    async def there() -> bool:
        return await count(nc, BUCKET) == 1

    await eventually(there)


@pytest.mark.fault("replicas-unknown")
@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("rule", ['"$JS.API.STREAM.*.KV_gateway-gateway"', '"$KV.>"'])
async def test_without_the_right_to_a_bucket_the_gateway_works_and_says_so_once(
    nats_server: EmbeddedServer,
    nc: Client,
    js: JetStreamContext,
    run_gateway: RunGateway,
    route: Route,
    rule: str,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await restart_with(nats_server, nc, permissions(f"publish: {{ deny: [{rule}] }}, subscribe: '>'"))
    monkeypatch.setattr("gateway.jetstream.api.TIMEOUT", 0.5)
    monkeypatch.setattr("gateway.jetstream.bucket.PATIENCE", 0.5)
    gateway = await run_gateway({"nats": {"servers": [gateway_url(nats_server)]}, "routes": [route()]})
    await eventually(lambda: logged(caplog, "replicas.unknown"))
    await js.publish("in.a", b"1")
    await arrived(nc, "OUT", 1)
    assert seen(gateway) == (0, 0)
    looks = gateway.app.edge.replicas
    await eventually(lambda: looks._again > 1, what="it looked again")
    assert len(logged(caplog, "replicas.unknown")) == 1
    assert gateway.stats().up


async def test_a_reload_while_the_record_is_written_writes_another(
    run_gateway: RunGateway, route: Route, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer is about the config that runs when it comes."""
    gateway = await run_gateway({"routes": [route()]})
    await eventually(lambda: seen(gateway) == (1, 1))
    own = gateway.app.edge.replicas
    put = own.bucket.put

    async def slowly(key: str, data: bytes) -> None:
        await put(key, data)
        own.digest = "another"

    monkeypatch.setattr(own.bucket, "put", slowly)
    assert await own.newer() == []
    assert own._shown == "another"
