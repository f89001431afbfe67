"""`gateway routes prune`: deletes durables that no route has any more, which a reload never does."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence

import click
import msgspec

from ..config import model
from ..errors import Retry
from ..jetstream.api import ApiError
from ..jetstream.durables import Seen, all_streams, delete, look, of_gateway
from ..jetstream.oneshot import OneShot
from ..jetstream.replica_records import live
from .asking import ask, read_config
from .exits import FINDINGS
from .options import config_option, json_option, timeout_option


class Leftover(msgspec.Struct):
    """A durable of this gateway that no route of the config has."""

    durable: Seen
    kept: str = ""
    """Why it is not deleted; empty when nothing speaks against it."""
    deleted: bool = False


@click.command()
@config_option
@json_option
@timeout_option
@click.option("--yes", is_flag=True, help="Delete them; without, they are only shown.")
@click.option("--force", is_flag=True, help="Delete also what somebody seems to use.")
@click.option("--all-streams", is_flag=True, help="Look at every stream, not only those that a route reads.")
def prune(config: str, as_json: bool, patience: float, yes: bool, force: bool, all_streams: bool) -> None:
    """Delete durables that no route has any more.

    A route that was renamed or removed leaves its durable behind, with its place in the stream, and on a work-queue or
    interest stream it keeps events from being removed. Only durables whose metadata names this gateway are looked at;
    those of disabled routes stay. What is deleted cannot be had back: a route of that name would start over.

    One that is being read is kept unless --force is given, and so is every one while replicas run another config or
    nobody can see whether they do.

    Exit codes: 0 none is left, 1 some are, or the server refuses, 2 wrong usage, 69 no connection within --timeout,
    75 the connection was closed for good, 78 the config cannot be used.
    """
    settings = read_config(config)
    found = ask(settings, "routes prune", patience, lambda link: _prune(link, settings, yes, force, all_streams))
    if as_json:
        document = {"gateway": settings.name, "durables": [_document(one) for one in found]}
        click.echo(json.dumps(document, indent=2))
    else:
        click.echo("\n".join(_lines(found, yes)))
    if not all(one.deleted for one in found):
        sys.exit(FINDINGS)


async def _prune(link: OneShot, config: model.Config, yes: bool, force: bool, everywhere: bool) -> list[Leftover]:
    used = {(route.source.stream, route.source.durable) for route in config.routes}
    streams: Iterable[str] = sorted({stream for stream, _ in used})
    if everywhere:
        streams = await all_streams(link.api)
    found = [one for stream in streams for one in await of_gateway(link.api, stream, config.name)]
    leftovers = [Leftover(one) for one in found if (one.stream, one.durable) not in used]
    if not leftovers:
        return []
    elsewhere = await _used_elsewhere(link, config)
    for leftover in leftovers:
        await _decide(link, leftover, elsewhere, yes=yes, force=force)
    return leftovers


async def _used_elsewhere(link: OneShot, config: model.Config) -> str:
    """Whether the durable may be a route's in the config of replicas that run, in words; empty when it is not."""
    try:
        others = sorted({replica.config for replica in await live(link.api, config.name)} - {config.digest})
    except Retry as error:
        return f"it cannot be seen whether replicas run another config: {error.message}"
    return f"replicas run another config, {', '.join(others)}" if others else ""


async def _decide(link: OneShot, leftover: Leftover, elsewhere: str, *, yes: bool, force: bool) -> None:
    """Delete one, or say why not. It is looked at again: a gateway may have begun to read it."""
    now = await look(link.api, leftover.durable.stream, leftover.durable.durable)
    if not isinstance(now, Seen):
        leftover.deleted = True
        return
    leftover.durable = now
    if now.pulls and not force:
        leftover.kept = f"it is being read, {now.pulls:,} requests wait for events"
    elif elsewhere and not force:
        leftover.kept = elsewhere
    elif yes:
        try:
            await delete(link.api, now)
        except ApiError as error:
            leftover.kept = f"the server refuses: {error}"
        else:
            leftover.deleted = True


def _document(one: Leftover) -> dict[str, object]:
    shown = {name: value for name, value in msgspec.to_builtins(one.durable).items() if name not in ("pinned", "pin")}
    return {**shown, "deleted": one.deleted, "kept": one.kept or None}


def _lines(found: Sequence[Leftover], yes: bool) -> list[str]:
    if not found:
        return ["no durable without a route"]
    lines = [_line(one) for one in found]
    deleted = sum(one.deleted for one in found)
    kept = sum(bool(one.kept) for one in found)
    if deleted:
        lines.append(f"{deleted} deleted")
    if kept:
        lines.append(f"{kept} kept: --force deletes also what somebody seems to use")
    if not yes and kept < len(found):
        lines.append(f"{len(found) - kept} would be deleted: --yes does it")
    return lines


def _line(one: Leftover) -> str:
    durable = one.durable
    words = "deleted" if one.deleted else f"kept: {one.kept}" if one.kept else "would be deleted"
    return (
        f"{durable.stream}/{durable.durable}  made by config {durable.config or 'unknown'}, "
        f"settled up to sequence {durable.position:,}, {durable.pending:,} events wait, "
        f"{durable.ack_pending:,} in flight: {words}"
    )
