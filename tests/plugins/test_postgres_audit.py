"""A running gateway that keeps its audit in PostgreSQL: nothing lost, nothing twice, whoever is killed."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import asyncpg
import pytest
from nats.aio.client import Client
from nats.js import JetStreamContext

from tests.conftest import StartGateway
from tests.support.arrivals import arrived, in_flight, settled
from tests.support.eventually import LONG, eventually
from tests.support.postgres import PostgresServer
from tests.support.process import GatewayProcess
from tests.support.streams import count

pytestmark = pytest.mark.usefixtures("streams")

EVENTS = 3000
STORED = "SELECT route, sequence, count(*) AS times FROM gateway_audit GROUP BY 1, 2"


def config(dsn: str, **fields: Any) -> dict[str, Any]:
    route = {
        "name": "r",
        "source": {"stream": "IN", "subjects": ["in.>"], "ack-wait": "2s"},
        "retry": {"initial": "50ms", "max": "200ms"},
        "targets": [{"name": "out", "subject": "out.it"}],
        "audits": ["postgres"],
        **fields,
    }
    return {"plugins": {"settings": {"postgres-audit": {"dsn": dsn, "timeout": "5s"}}}, "routes": [route]}


async def publish(js: JetStreamContext, first: int, events: int) -> None:
    for start in range(first, first + events, 500):
        numbers = range(start, min(start + 500, first + events))
        await asyncio.gather(*(js.publish("in.a", json.dumps({"id": f"e-{n}"}).encode()) for n in numbers))


async def rows(postgres: PostgresServer, at_least: int) -> bool:
    try:
        (row,) = await postgres.run("SELECT count(*) FROM gateway_audit")
    except asyncpg.UndefinedTableError:
        raise AssertionError("no table yet") from None
    assert row["count"] >= at_least, row["count"]
    return True


async def state(gateway: GatewayProcess, name: str, code: str = "") -> bool:
    routes = await gateway.routes()
    assert routes, gateway.err
    route = routes["r"]
    assert (route["state"], route["code"]) == (name, code), route
    return True


async def all_there_once(nc: Client, postgres: PostgresServer, events: int) -> None:
    """Every event of IN has one row and one copy."""
    await settled(nc, timeout=LONG)
    found = await postgres.run(STORED)
    assert sorted(row["sequence"] for row in found) == list(range(1, events + 1))
    assert {row["times"] for row in found} == {1}
    assert await count(nc, "OUT") == events
    assert await count(nc, "DLQ") == 0


async def test_every_outcome_is_a_row(
    nc: Client, js: JetStreamContext, session_postgres: PostgresServer, database: str, gateway_process: StartGateway
) -> None:
    filters = [{"pattern": {"n": [{"numeric": [">", 0]}]}}]
    await gateway_process(config(session_postgres.dsn(database), filters=filters))
    trace, sender = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
    await js.publish("in.a", b'{"n": 1, "id": "one"}', headers={"traceparent": f"00-{trace}-{sender}-01"})
    await js.publish("in.a", b'{"n": 0}')
    await js.publish("in.a", b"broken")
    await settled(nc, timeout=LONG)
    found = await session_postgres.run("SELECT * FROM gateway_audit ORDER BY sequence", database)
    published, filtered, dead = [dict(row) for row in found]
    assert [row["outcome"] for row in (published, filtered, dead)] == ["published", "filtered", "dead_lettered"]
    (copy,) = await arrived(nc, "OUT", 1)
    (target,) = json.loads(published["targets"])
    assert target["message_id"] == copy.headers["Nats-Msg-Id"]
    assert copy.headers["traceparent"] == f"00-{trace}-{target['span_id']}-01"
    assert published["span_id"] not in ("", sender, target["span_id"])
    assert (published["event_id"], published["trace_id"], published["parent_span_id"]) == ("one", trace, sender)
    assert (filtered["step"], dead["step"], dead["code"]) == ("filter-0-pattern", "decode", "decode-error")


async def test_a_killed_database_loses_no_record_and_doubles_none(
    nc: Client, js: JetStreamContext, postgres: PostgresServer, gateway_process: StartGateway
) -> None:
    """While it is away nothing is settled; when it is back the route goes on by itself."""
    gateway = await gateway_process(config(postgres.dsn()))
    for third in range(3):
        publishing = asyncio.create_task(publish(js, third * EVENTS // 3, EVENTS // 3))
        await eventually(lambda third=third: rows(postgres, third * EVENTS // 3 + 100))  # type: ignore[misc]
        postgres.kill9()
        await publishing
        await js.publish("in.a", b'{"id": "while it is away"}')
        await eventually(lambda: state(gateway, "down", "audit-failed"))
        assert await in_flight(nc) > 0
        await postgres.start()
        await eventually(lambda: state(gateway, "up"))
    await all_there_once(nc, postgres, EVENTS + 3)


async def test_a_killed_gateway_tells_again_and_nothing_is_stored_twice(
    nc: Client, js: JetStreamContext, postgres: PostgresServer, gateway_process: StartGateway
) -> None:
    """Killed between the commit and the ack, and between the copies and the commit."""
    gateway = await gateway_process(config(postgres.dsn()))
    for third in range(3):
        publishing = asyncio.create_task(publish(js, third * EVENTS // 3, EVENTS // 3))
        await eventually(lambda third=third: rows(postgres, third * EVENTS // 3 + 100))  # type: ignore[misc]
        gateway.kill9()
        await publishing
        await gateway.start()
    await all_there_once(nc, postgres, EVENTS)


async def test_a_best_effort_audit_holds_nothing_and_is_counted(
    nc: Client, js: JetStreamContext, postgres: PostgresServer, gateway_process: StartGateway
) -> None:
    """The route starts without its database, too."""
    postgres.kill9()
    gateway = await gateway_process(config(postgres.dsn(), **{"audit-mode": "best-effort"}))
    await publish(js, 0, 10)
    await settled(nc, timeout=LONG)
    await state(gateway, "up")
    sample = 'audit_records_total{route="r",sink="audit-0-postgres",outcome="failed"}'

    async def counted() -> bool:
        return await gateway.metric(sample) == 10

    await eventually(counted)
    await postgres.start()

    async def stored() -> bool:
        await js.publish("in.a", b"{}")
        return await rows(postgres, 1)

    await eventually(stored, interval=0.2)


async def test_a_required_audit_waits_for_a_database_that_comes_later(
    nc: Client, js: JetStreamContext, postgres: PostgresServer, gateway_process: StartGateway
) -> None:
    postgres.kill9()
    gateway = await gateway_process(config(postgres.dsn()))
    await publish(js, 0, 10)
    await arrived(nc, "OUT", 10)
    await eventually(lambda: state(gateway, "down", "audit-failed"))
    assert await in_flight(nc) == 10
    await postgres.start()
    await all_there_once(nc, postgres, 10)


async def test_a_newer_table_keeps_its_routes_down_and_says_why(
    nc: Client, js: JetStreamContext, session_postgres: PostgresServer, database: str, gateway_process: StartGateway
) -> None:
    await session_postgres.run("CREATE TABLE gateway_audit_schema (version bigint)", database)
    await session_postgres.run("INSERT INTO gateway_audit_schema VALUES (99)", database)
    gateway = await gateway_process(config(session_postgres.dsn(database)), wait=False)
    gateway.launch()
    await eventually(lambda: state(gateway, "down", "open-failed"))
    (told, *_) = [line for line in gateway.logs if line["event"] == "component.open-failed"]
    assert told["error"] == "the table has schema version 99, this plugin knows 1: upgrade the plugin"


async def test_no_password_is_ever_shown(
    nc: Client, js: JetStreamContext, gateway_process: StartGateway, session_postgres: PostgresServer
) -> None:
    dsn = session_postgres.dsn("nobody_made_it").replace("gateway@", "gateway:hunter2@")
    gateway = await gateway_process(config(dsn), wait=False)
    gateway.launch()
    await eventually(lambda: state(gateway, "down", "open-failed"))
    pages = [(await gateway.get(page))[1] for page in ("/metrics", "/readyz")]
    assert "nobody_made_it" in gateway.err
    assert "hunter2" not in "".join([gateway.out, gateway.err, *pages])
