"""`gateway routes`: the routes of a config and their durables on the server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import click

from ..config import model
from ..errors import Retry
from ..facts import kind_of
from ..jetstream.durables import Seen, look
from ..jetstream.oneshot import OneShot
from ..jetstream.replica_records import Replica, holder_of, live
from .asking import ask, read_config
from .options import config_option, json_option, timeout_option
from .routes_prune import prune
from .words import table


@click.group(invoke_without_command=True)
@config_option
@json_option
@timeout_option
@click.pass_context
def routes(context: click.Context, config: str, as_json: bool, patience: float) -> None:
    """Show routes and how far their durables are; delete what no route has.

    STATE is ok, disabled, no-stream, no-durable (made when the route starts), foreign (another gateway's), or paused:
    somebody had the server deliver nothing for a time. WAITING events were not delivered yet, IN FLIGHT ones not
    settled; READERS are requests that wait for events. ACTIVE is the replica that works on an ordered route: its
    instance as in logs and the API, nobody (no event has come yet, or no replica runs), or unknown.

    Exit codes: 0 looked, 1 the server refuses, 2 wrong usage, 69 no connection within --timeout, 75 the connection
    was closed for good, 78 the config cannot be used.
    """
    if context.invoked_subcommand is not None:
        return
    settings = read_config(config)
    found, active = ask(settings, "routes", patience, lambda link: _look(link, settings))
    rows = [_row(settings, route, one, active) for route, one in zip(settings.routes, found, strict=True)]
    click.echo(json.dumps({"gateway": settings.name, "routes": rows}, indent=2) if as_json else _table(rows))


async def _look(link: OneShot, config: model.Config) -> tuple[list[Seen | str], Sequence[Replica]]:
    """The durables, and the replicas, of which only those with an ordered route need to be known."""
    sources = [route.source for route in config.routes]
    found = await asyncio.gather(*(look(link.api, source.stream, source.durable) for source in sources))
    if not any(isinstance(one, Seen) and one.pin for one in found):
        return found, ()
    try:
        return found, await live(link.api, config.name)
    except Retry as error:
        click.echo(f"the active replicas cannot be named: {error.message}", err=True)
        return found, ()


def _row(config: model.Config, route: model.Route, found: Seen | str, replicas: Sequence[Replica]) -> dict[str, Any]:
    there = isinstance(found, Seen)
    state = found if isinstance(found, str) else "paused" if found.paused else "ok"
    if isinstance(found, Seen) and found.owner not in (None, config.name):
        state = "foreign"
    return {
        "name": route.name,
        "state": state if route.enabled else "disabled",
        "stream": route.source.stream,
        "durable": route.source.durable,
        "ordering": kind_of(route.ordering),
        "held": found.pin is not None if isinstance(found, Seen) and found.pinned else None,
        "active": (holder_of(found.pin, replicas) or None) if isinstance(found, Seen) and found.pin else None,
        **{field: getattr(found, field) if there else None for field in _FIELDS},
    }


_FIELDS = ("owner", "config", "pending", "ack_pending", "redelivered", "pulls", "position")
_COLUMNS = {
    "ROUTE": "name",
    "STATE": "state",
    "STREAM": "stream",
    "DURABLE": "durable",
    "ACTIVE": "active",
    "WAITING": "pending",
    "IN FLIGHT": "ack_pending",
    "READERS": "pulls",
}


def _table(rows: Sequence[dict[str, Any]]) -> str:
    return "\n".join(
        table([[_cell(row, field) for field in _COLUMNS.values()] for row in rows], [*_COLUMNS], numbers=3)
    )


def _cell(row: dict[str, Any], field: str) -> str:
    value = row[field]
    if field == "active" and value is None and row["held"] is not None:
        return "unknown" if row["held"] else "nobody"
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int) else str(value)


routes.add_command(prune)
