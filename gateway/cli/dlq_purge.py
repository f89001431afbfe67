"""`gateway dlq purge`: letters removed for good."""

from __future__ import annotations

import json
from typing import Any

import click

from ..dlq.looking import Found
from ..dlq.looking import purge as remove_all
from ..dlq.store import DeadLetters
from ..jetstream.oneshot import OneShot
from .asking import ended, notice, settings
from .dlq_options import LIMIT, Asked, compiled, looking, selecting
from .dlq_words import beside
from .options import json_option
from .words import count


@click.command()
@selecting
@click.option("--all", "everything", is_flag=True, help="Every letter of the gateway, where nothing else is asked.")
@click.option("--limit", default=0, type=LIMIT, metavar="N", help="The oldest N only; 0 for all.")
@click.option("--dry-run", is_flag=True, help="Count them and remove nothing.")
@click.option("--yes", is_flag=True, help="Do it: without, and without --dry-run, nothing is done.")
@json_option
def purge(
    config: str, patience: float, everything: bool, limit: int, dry_run: bool, yes: bool, as_json: bool, **given: Any
) -> None:
    """Remove dead letters for good. Their events are lost.

    They are removed one by one: what no gateway wrote, what others wrote, and what comes while it runs stays.

    Exit codes: 0 done, 1 there is no dead-letter stream or nothing can be removed from it, 2 wrong usage, 69 no
    connection within --timeout, 75 the connection was closed for good, 78 the config cannot be used.
    """
    asked = Asked(given)
    loaded, registry = settings(config)
    selection = asked.selection(loaded, compiled(loaded, registry) if asked.pattern else {})
    if selection.everything != everything:
        raise click.UsageError("say which letters, or --all" if selection.everything else "--all stands alone")
    if not (yes or dry_run):
        raise click.UsageError("the events in these letters would be lost: --dry-run counts them, --yes removes them")
    found = Found()

    async def work(streams: list[DeadLetters], link: OneShot) -> int:
        def told(removed: int) -> None:
            notice(f"{count(removed)} removed so far")

        return await remove_all(streams, selection, limit, found, patience, told, dry_run=dry_run)

    removed = ended(looking(loaded, asked.stream, asked.routes, patience, work))
    if as_json:
        click.echo(json.dumps({"dry_run": dry_run, "letters": found.meant, "removed": removed}))
    else:
        click.echo(f"{count(found.meant)} would be removed" if dry_run else f"{count(removed)} removed")
    for line in [*beside(found.no_letters, found.of_others), *asked.strangers(loaded, registry)]:
        notice(line)
