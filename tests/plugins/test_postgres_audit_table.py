"""The audit `postgres` on a real PostgreSQL: its table, its migrations, and what servers do to it."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import asyncpg
import pytest

from gateway import AuditRecord, Duration, Outcome, Secret
from gateway.event import TargetRecord
from gateway_postgres_audit import Postgres, UnusableDsn, schema
from gateway_postgres_audit.settings import PostgresConfig, PostgresSettings
from tests.support.eventually import eventually
from tests.support.postgres import PostgresServer

LIMIT = 1.0
"""Seconds a call may take, where that is what is shown."""


class Lent:
    """What the gateway lends a component, as far as this one takes it."""

    gateway = "g"
    route = "r"
    log = logging.getLogger("tests.postgres")

    def __init__(self, dsn: str, name: str | None, limit: float) -> None:
        self.settings = PostgresSettings(dsn=Secret(dsn), schema=name, timeout=Duration(limit))


Opened = Callable[..., Awaitable[Postgres]]


@pytest.fixture
async def opened() -> AsyncIterator[Opened]:
    """`await opened(dsn)` is an audit after its `open`; closed at the end."""
    made: list[Postgres] = []

    async def make(dsn: str, name: str | None = None, limit: float = 30.0) -> Postgres:
        audit = Postgres(PostgresConfig(), Lent(dsn, name, limit))  # type: ignore[arg-type]
        audit.prepare()
        made.append(audit)
        await audit.open()
        return audit

    yield make
    for audit in made:
        await audit.close()


def record(number: int = 1, **fields: Any) -> AuditRecord:
    """A record of a published event."""
    known = {
        "id": f"g/ORDERS/2026-01-01T00:00:00Z/{number}/r",
        "time": datetime(2026, 1, 1, 12, 0, 0, 123_456, tzinfo=UTC),
        "gateway": "g",
        "instance": "host-1",
        "route": "r",
        "outcome": Outcome.PUBLISHED,
        "event_id": f"e-{number}",
        "stream": "ORDERS",
        "sequence": number,
    }
    return AuditRecord(**{**known, **fields})


async def test_a_record_is_a_typed_row(session_postgres: PostgresServer, database: str, opened: Opened) -> None:
    target = TargetRecord(name="out", subject="out.it", stream="OUT", sequence=9, duplicate=True, message_id="m.1.0")
    whole = record(
        2**63 - 1, outcome=Outcome.DEAD_LETTERED, step="decode", code="decode-error", reason="no JSON",
        event_type="T", event_source="S", subject="orders.created", targets=(target,), attempts=2, deliveries=3,
        seconds=0.25, correlation_id="c", causation_id="e", trace_id="0" * 31 + "1", span_id="0" * 15 + "2",
        parent_span_id="0" * 15 + "3", config="abc", plugins={"cel": "1.0"},
    )  # fmt: skip
    await (await opened(session_postgres.dsn(database))).record([whole])
    (row,) = await session_postgres.run("SELECT * FROM gateway_audit", database)
    found = dict(row)
    assert json.loads(found.pop("targets")) == [
        {"name": "out", "subject": "out.it", "stream": "OUT", "sequence": 9, "duplicate": True, "message_id": "m.1.0"}
    ]
    assert json.loads(found.pop("plugins")) == {"cel": "1.0"}
    assert found == {name: getattr(whole, name) for name in found}
    (named,) = await session_postgres.run(
        "SELECT targets->0->>'stream' AS stream, plugins->>'cel' AS cel FROM gateway_audit", database
    )
    assert (named["stream"], named["cel"]) == ("OUT", "1.0")


async def test_what_is_told_again_is_stored_once_and_left_as_it_was(
    session_postgres: PostgresServer, database: str, opened: Opened
) -> None:
    audit = await opened(session_postgres.dsn(database))
    await audit.record([record(1), record(2), record(1, instance="twice in a batch")])
    await audit.record([record(2, instance="again"), record(3)])
    rows = await session_postgres.run("SELECT sequence, instance FROM gateway_audit ORDER BY 1", database)
    assert [tuple(row) for row in rows] == [(1, "host-1"), (2, "host-1"), (3, "host-1")]


async def test_no_text_of_an_event_can_hold_a_batch(
    session_postgres: PostgresServer, database: str, opened: Opened
) -> None:
    """What PostgreSQL refuses would be told again for ever, and the route with it."""
    texts = ["\0", "a\\u0000b", "\ud800", "\udcff", "x" * 1_000_000, "\U0001f600" * 10_000, "'; DROP TABLE x; --"]
    names = ("event_id", "event_type", "event_source", "subject", "reason", "correlation_id", "causation_id")
    records = [
        record(
            n,
            **dict.fromkeys(names, text),
            targets=(TargetRecord(name="out", subject=text, message_id=text),),
            plugins={text: text},
        )
        for n, text in enumerate(texts)
    ]
    await (await opened(session_postgres.dsn(database))).record(records)
    (row,) = await session_postgres.run("SELECT count(*) FROM gateway_audit", database)
    assert row["count"] == len(texts)


@pytest.mark.parametrize(
    "where",
    ["event_id = $1", "correlation_id = $1", "stream = $1 AND sequence = 7", "id = $1",
     "route = $1 AND outcome = 'dead_lettered' AND time > now()"],
)  # fmt: skip
async def test_what_happened_to_an_event_is_found_through_an_index(
    session_postgres: PostgresServer, database: str, opened: Opened, where: str
) -> None:
    """In a prepared statement too, whose plan does not know the value."""
    await (await opened(session_postgres.dsn(database))).record([record()])
    connection = await asyncpg.connect(session_postgres.dsn(database))
    try:
        await connection.execute("SET enable_seqscan = off; SET plan_cache_mode = force_generic_plan")
        await connection.execute(f"PREPARE look (text) AS SELECT * FROM gateway_audit WHERE {where}")
        plan = "\n".join(row[0] for row in await connection.fetch("EXPLAIN EXECUTE look('x')"))
    finally:
        await connection.close()
    assert "Index" in plan
    assert "Seq Scan" not in plan


async def test_replicas_that_start_together_make_one_table(
    session_postgres: PostgresServer, database: str, opened: Opened
) -> None:
    audits = await asyncio.gather(*(opened(session_postgres.dsn(database)) for _ in range(8)))
    await asyncio.gather(*(audit.record([record(n)]) for n, audit in enumerate(audits)))
    versions = await session_postgres.run("SELECT version FROM gateway_audit_schema", database)
    assert [row["version"] for row in versions] == [len(schema.MIGRATIONS)]
    assert len(await session_postgres.run("SELECT 1 FROM gateway_audit", database)) == 8


async def test_an_older_table_is_brought_forward_with_its_rows(
    session_postgres: PostgresServer, database: str, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    await (await opened(session_postgres.dsn(database))).record([record(1)])
    more = "ALTER TABLE gateway_audit ADD COLUMN more text NOT NULL DEFAULT 'none'"
    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, more))
    audits = await asyncio.gather(*(opened(session_postgres.dsn(database)) for _ in range(4)))
    await audits[0].record([record(2)])
    rows = await session_postgres.run("SELECT sequence, more FROM gateway_audit ORDER BY 1", database)
    assert [tuple(row) for row in rows] == [(1, "none"), (2, "none")]
    versions = await session_postgres.run("SELECT version FROM gateway_audit_schema ORDER BY 1", database)
    assert [row["version"] for row in versions] == [1, 2]


async def test_a_migration_that_fails_leaves_everything_as_it_was(
    session_postgres: PostgresServer, database: str, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = schema.MIGRATIONS
    monkeypatch.setattr(schema, "MIGRATIONS", (*good, "CREATE TABLE half (); SELECT 1/0"))
    with pytest.raises(asyncpg.DivisionByZeroError):
        await opened(session_postgres.dsn(database))
    tables = await session_postgres.run("SELECT * FROM pg_tables WHERE schemaname = 'public'", database)
    assert tables == []
    monkeypatch.setattr(schema, "MIGRATIONS", good)
    await (await opened(session_postgres.dsn(database))).record([record()])


async def test_a_table_of_a_later_version_is_refused_and_left_alone(
    session_postgres: PostgresServer, database: str, opened: Opened
) -> None:
    """It may have columns that mean something and that we would leave empty."""
    await (await opened(session_postgres.dsn(database))).close()
    await session_postgres.run("INSERT INTO gateway_audit_schema VALUES (99, now())", database)
    with pytest.raises(schema.NewerSchema, match=r"version 99, this plugin knows 1: upgrade"):
        await opened(session_postgres.dsn(database))
    versions = await session_postgres.run("SELECT version FROM gateway_audit_schema ORDER BY 1", database)
    assert [row["version"] for row in versions] == [1, 99]


async def test_the_table_lives_in_the_schema_that_is_asked_for(
    session_postgres: PostgresServer, database: str, opened: Opened
) -> None:
    with pytest.raises(asyncpg.InvalidSchemaNameError):
        await opened(session_postgres.dsn(database), "books")
    await session_postgres.run("CREATE SCHEMA books", database)
    await (await opened(session_postgres.dsn(database), "books")).record([record()])
    assert len(await session_postgres.run("SELECT 1 FROM books.gateway_audit", database)) == 1


async def test_what_will_not_pass_by_itself_keeps_the_route_down(
    session_postgres: PostgresServer, opened: Opened
) -> None:
    with pytest.raises(asyncpg.InvalidCatalogNameError):
        await opened(session_postgres.dsn("nobody_made_it"))
    with pytest.raises(asyncpg.InvalidAuthorizationSpecificationError):
        await opened(session_postgres.dsn(user="nobody_made_it"))
    with pytest.raises(UnusableDsn) as caught:
        await opened("postgresql://u:hunter2@127.0.0.1:1/d?sslmode=hunter2")
    assert "hunter2" not in repr(caught.value)
    assert caught.value.__cause__ is None


async def test_a_server_that_is_away_is_waited_for_and_connected_to_when_it_comes(
    postgres: PostgresServer, opened: Opened
) -> None:
    postgres.kill9()
    audit = await opened(postgres.dsn())
    with pytest.raises(OSError):  # noqa: PT011 - which one is the system's to say
        await audit.record([record(1)])
    await postgres.start()
    await audit.record([record(1)])
    postgres.kill9()
    with pytest.raises((OSError, asyncpg.PostgresError, asyncpg.InterfaceError)):
        await audit.record([record(2)])
    await postgres.start()
    await audit.record([record(2)])
    assert len(await postgres.run("SELECT 1 FROM gateway_audit")) == 2


async def test_a_server_that_hangs_is_given_up_in_time_and_used_again_when_it_answers(
    postgres: PostgresServer, opened: Opened
) -> None:
    """The gateway calls a sink again only after the last call has ended: one that hangs while it ends holds a route."""
    audit = await opened(postgres.dsn(), limit=LIMIT)
    await audit.record([record(1)])
    postgres.freeze()
    try:
        begun = time.monotonic()
        call = asyncio.create_task(audit.record([record(2)]))
        await asyncio.wait({call}, timeout=LIMIT / 4)
        call.cancel()
        await asyncio.wait({call}, timeout=30 * LIMIT)
        assert call.done(), "as the gateway does when a route's time is up"
        assert time.monotonic() - begun < 10 * LIMIT
        for _ in range(3):
            begun = time.monotonic()
            with pytest.raises((TimeoutError, OSError, asyncpg.PostgresError, asyncpg.InterfaceError)):
                await audit.record([record(2)])
            assert time.monotonic() - begun < 10 * LIMIT
    finally:
        postgres.thaw()

    async def stored() -> bool:
        try:
            await audit.record([record(2)])
        except (TimeoutError, OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise AssertionError(repr(error)) from None
        return True

    await eventually(stored)
    assert len(await postgres.run("SELECT 1 FROM gateway_audit")) == 2


async def test_a_server_that_became_a_standby_is_left_for_the_one_that_writes(
    session_postgres: PostgresServer, database: str, opened: Opened
) -> None:
    """A failover leaves the connections to the old server alive, and useless."""
    audit = await opened(session_postgres.dsn(database))
    assert audit._pool is not None
    async with audit._pool.acquire() as connection:
        await connection.execute("ALTER DATABASE " + database + " SET default_transaction_read_only = on")
    await audit._pool.expire_connections()
    with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
        await audit.record([record()])
    await session_postgres.run(f"ALTER DATABASE {database} SET default_transaction_read_only = off")
    await audit.record([record()])
