"""The table, and how it becomes what this version needs: forward only, one process at a time, all or nothing.

A migration that was released is never edited; what has to change becomes the next one. Later versions may only add
what earlier ones can live with for the minutes of a rolling upgrade.
"""

from __future__ import annotations

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from gateway import Retry

TABLE = "gateway_audit"
VERSIONS = "gateway_audit_schema"
LOCK = 0x6E_61_74_73_61_75_64_74
"""Whom replicas wait for while one of them migrates; held until its transaction ends."""

MIGRATIONS: tuple[str, ...] = (
    f"""
    CREATE TABLE {TABLE} (
        id             text PRIMARY KEY,
        time           timestamptz NOT NULL,
        gateway        text NOT NULL,
        instance       text NOT NULL,
        route          text NOT NULL,
        outcome        text NOT NULL,
        step           text NOT NULL,
        code           text NOT NULL,
        reason         text NOT NULL,
        event_id       text NOT NULL,
        event_type     text NOT NULL,
        event_source   text NOT NULL,
        subject        text NOT NULL,
        stream         text NOT NULL,
        sequence       bigint NOT NULL,
        targets        jsonb NOT NULL,
        attempts       bigint NOT NULL,
        deliveries     bigint NOT NULL,
        seconds        double precision NOT NULL,
        correlation_id text NOT NULL,
        causation_id   text NOT NULL,
        trace_id       text NOT NULL,
        span_id        text NOT NULL,
        parent_span_id text NOT NULL,
        config         text NOT NULL,
        plugins        jsonb NOT NULL
    );
    CREATE INDEX {TABLE}_event_id ON {TABLE} (event_id);
    CREATE INDEX {TABLE}_correlation_id ON {TABLE} (correlation_id);
    CREATE INDEX {TABLE}_source ON {TABLE} (stream, sequence);
    CREATE INDEX {TABLE}_dead ON {TABLE} (route, time) WHERE outcome = 'dead_lettered';
    CREATE INDEX {TABLE}_time ON {TABLE} USING brin (time);
    """,
)
"""Entry N-1 leads to version N."""


class NewerSchema(Retry):
    """The table was made by a later version of this plugin, which may mean columns we would leave empty.

    A Retry, because the gateway shows the text of those where a route is down.
    """

    def __init__(self, found: int, known: int) -> None:
        super().__init__(f"the table has schema version {found}, this plugin knows {known}: upgrade the plugin")


async def migrate(connection: asyncpg.Connection | PoolConnectionProxy) -> None:
    """Make the table what this version needs; raises NewerSchema when it is beyond."""
    known = len(MIGRATIONS)
    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock($1)", LOCK)
        found = 0
        if await connection.fetchval("SELECT to_regclass($1)", VERSIONS) is not None:
            found = await connection.fetchval(f"SELECT coalesce(max(version), 0) FROM {VERSIONS}")  # noqa: S608
        if found > known:
            raise NewerSchema(found, known)
        if found == known:
            return
        if found == 0:
            await connection.execute(
                f"CREATE TABLE IF NOT EXISTS {VERSIONS} (version bigint PRIMARY KEY, applied timestamptz NOT NULL)"
            )
        for version in range(found + 1, known + 1):
            await connection.execute(MIGRATIONS[version - 1])
            await connection.execute(f"INSERT INTO {VERSIONS} VALUES ($1, now())", version)  # noqa: S608
