"""`gateway dlq list`: which letters there are."""

from __future__ import annotations

import json
from typing import Any

import click

from ..dlq.looking import Found, newest
from .asking import ended, notice, settings
from .dlq_options import LIMIT, Asked, compiled, looking, selecting
from .dlq_words import beside, document, rows
from .options import json_option
from .words import count


@click.command("list")
@selecting
@click.option("--limit", default=50, show_default=True, type=LIMIT, metavar="N", help="The newest N; 0 for all.")
@json_option
def list_(config: str, patience: float, limit: int, as_json: bool, **given: Any) -> None:
    """List dead letters, the newest last.

    Prints nothing of the events themselves; `gateway dlq show` does. With --json, one JSON object a line.

    Exit codes: 0 also when there are none, 1 there is no dead-letter stream, 2 wrong usage, 69 no connection within
    --timeout, 75 the connection was closed for good, 78 the config cannot be used.
    """
    asked = Asked(given)
    loaded, registry = settings(config)
    selection = asked.selection(loaded, compiled(loaded, registry) if asked.pattern else {})
    found = Found()
    letters = ended(
        looking(
            loaded,
            asked.stream,
            asked.routes,
            patience,
            lambda streams, link: newest(streams, selection, limit, found),
        )
    )
    if as_json:
        for letter in letters:
            click.echo(json.dumps(document(letter)))
    elif letters:
        click.echo("\n".join(rows(letters)))
    for line in [*beside(found.no_letters, found.of_others), *asked.strangers(loaded, registry)]:
        notice(line)
    if len(letters) < found.meant:
        notice(f"the newest {len(letters):,} of {count(found.meant)}; --limit 0 lists all")
    elif not letters:
        notice("no dead letters" if selection.everything else "no such dead letters")
