"""Audit records in PostgreSQL: `audits: [postgres]` in a route, `plugins.settings.postgres-audit.dsn` for the database.

A batch of records is one INSERT in one transaction, and a record whose id is there already is left as it is: what is
told again after a crash is stored once. The plugin makes its table and migrates it. The README is the manual.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import asyncpg

from gateway import Audit, AuditRecord, Retry, hookimpl

from .rows import INSERT, arguments
from .schema import migrate
from .settings import PostgresConfig, PostgresSettings, usable_dsn

_PASSING = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.TooManyConnectionsError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.TargetServerAttributeNotMatched,
)
"""What a server that is away, restarting, full or a standby says: the route starts, and its records are held."""


class UnusableDsn(Retry):
    """asyncpg cannot make sense of the DSN. Its own words are left out."""


class Postgres(Audit, name="postgres"):
    """Store a row for every settled event in PostgreSQL, each once."""

    Config: ClassVar[Any] = PostgresConfig
    example: ClassVar[Any] = {"dsn": "postgresql://gateway@db.example/audit?sslmode=verify-full"}
    shared: ClassVar[bool] = True
    config: PostgresConfig

    _pool: asyncpg.Pool | None = None
    _migrated = False

    def prepare(self) -> None:
        """Find the DSN; nothing is connected yet."""
        settings: PostgresSettings = self.context.settings
        self._dsn = usable_dsn(self.config.dsn, settings.dsn)
        self._schema = self.config.schema or settings.schema
        self._limit = float(settings.timeout)

    async def open(self) -> None:
        """Connect and migrate. A server that is away is no reason to keep the route down: whether records must be safe
        is for `audit-mode` to say. A wrong password, a missing database or a newer table is one.
        """
        options = {"search_path": self._schema} if self._schema else {}
        self._pool = await asyncpg.create_pool(
            self._dsn,
            min_size=0,
            max_size=2,
            timeout=self._limit,
            # It bounds the end of a cancelled call too. Without it a server that hangs would keep a call that the
            # gateway has cancelled from ever ending, and the route from going on.
            command_timeout=self._limit,
            server_settings={"application_name": f"gateway {self.context.gateway}", **options},
        )
        try:
            await self._connect()
        except _PASSING as error:
            self.context.log.warning(
                "the audit database is away: %s", type(error).__name__, extra={"event": "postgres.away"}
            )
        except BaseException:
            await self.close()
            raise

    async def record(self, records: Sequence[AuditRecord]) -> None:
        """Store records in one transaction. It is committed when this returns, as safe as the server makes a commit."""
        try:
            await self._connect()
            assert self._pool is not None
            async with self._pool.acquire(timeout=self._limit) as connection:
                await connection.execute(INSERT, *arguments(records))
        except asyncpg.ReadOnlySQLTransactionError:
            # The server became a standby. Its connections live on, so they are let go by hand.
            if self._pool is not None:
                await self._pool.expire_connections()
            raise

    async def close(self) -> None:
        """Give the connections back; one that hangs is cut."""
        pool, self._pool, self._migrated = self._pool, None, False
        if pool is not None:
            pool.terminate()

    async def _connect(self) -> None:
        """Have a pool whose database has the table."""
        if self._migrated or self._pool is None:
            return
        try:
            async with self._pool.acquire(timeout=self._limit) as connection:
                await migrate(connection)
        except ValueError as error:
            # asyncpg read the DSN only now, and says in its text what it stumbled over: that may be the password.
            raise UnusableDsn(f"the dsn is not usable ({type(error).__name__})") from None
        self._migrated = True


@hookimpl
def gateway_audits() -> list[type[Audit]]:
    """What this package offers."""
    return [Postgres]


@hookimpl
def gateway_settings() -> type[PostgresSettings]:
    """The type of `plugins.settings.postgres-audit`."""
    return PostgresSettings
