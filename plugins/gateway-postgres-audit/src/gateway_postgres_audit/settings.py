"""What the file says: `plugins.settings.postgres-audit` for all routes, `- postgres: {...}` for one."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlsplit

from msgspec import Meta

from gateway import ConfigProblem, Duration, Secret, Settings

Identifier = Annotated[str, Meta(pattern=r"^[a-z_][a-z0-9_]{0,47}$")]
"""A name that needs no quotes in SQL."""

_HINT = "write postgresql://USER:PASSWORD@HOST:PORT/DATABASE?sslmode=verify-full, best from ${file:...}"


class PostgresSettings(Settings, frozen=True):
    """Where records go unless a route says otherwise."""

    dsn: Secret | None = None
    """`postgresql://...`, TLS options included; in the settings or in the route."""
    schema: Identifier | None = None
    """The schema of the table; it must exist. Without it the first of the search path, mostly `public`."""
    timeout: Duration = Duration(5)
    """Longest that connecting may take, and storing one batch."""


class PostgresConfig(Settings, frozen=True):
    """What one route has otherwise."""

    dsn: Secret | None = None
    schema: Identifier | None = None


def usable_dsn(own: Secret | None, common: Secret | None) -> str:
    """The DSN that counts; raises ConfigProblem, which never shows it."""
    secret = common if own is None else own
    path = () if own is None else ("dsn",)
    if secret is None:
        raise ConfigProblem((), "no database: dsn is set neither here nor in plugins.settings.postgres-audit", _HINT)
    dsn = secret.reveal()
    try:
        parts = urlsplit(dsn)
        port_is_good = parts.port is None or parts.port > 0
    except ValueError:
        # Two hosts are fine for asyncpg, not for urlsplit, whose text would show a piece of the DSN.
        port_is_good = "," in dsn
    if not dsn.startswith(("postgresql://", "postgres://")) or not port_is_good:
        raise ConfigProblem(path, "the dsn is no PostgreSQL URL", _HINT)
    return dsn
