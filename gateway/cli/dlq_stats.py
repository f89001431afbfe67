"""`gateway dlq stats`: how many letters, of what."""

from __future__ import annotations

import json
import shlex
from typing import Any

import click

from ..dlq.looking import WORST, Found, Stats, sift
from ..dlq.store import DeadLetters
from ..jetstream.oneshot import OneShot
from .asking import ended, notice, settings
from .dlq_options import Asked, compiled, looking, selecting
from .dlq_words import beside, instant, printable
from .options import given_config, json_option
from .words import count, table


@click.command()
@selecting
@json_option
def stats(config: str, patience: float, as_json: bool, **given: Any) -> None:
    """Count dead letters by route, code and failed target.

    Exit codes: 0 also when there are none, 1 there is no dead-letter stream, 2 wrong usage, 69 no connection within
    --timeout, 75 the connection was closed for good, 78 the config cannot be used.
    """
    asked = Asked(given)
    loaded, registry = settings(config)
    selection = asked.selection(loaded, compiled(loaded, registry) if asked.pattern else {})
    found, counts = Found(), Stats()
    names: list[str] = []

    async def add_all(streams: list[DeadLetters], link: OneShot) -> None:
        names.extend(letters.name for letters in streams)
        async for letter in sift(streams, selection, found):
            counts.add(letter)

    ended(looking(loaded, asked.stream, asked.routes, patience, add_all))
    for line in asked.strangers(loaded, registry):
        notice(line)
    if as_json:
        click.echo(json.dumps(_document(names, counts, found), indent=2))
        return
    click.echo("\n".join(_lines(names, counts, _Commands(click.get_current_context(), asked))))
    for line in beside(found.no_letters, found.of_others):
        notice(line)


class _Commands:
    """What to do next, to copy: with the config, the stream and the gateway that this was called with."""

    def __init__(self, ctx: click.Context, asked: Asked) -> None:
        self._config = given_config(ctx)
        self._asked = asked

    def show(self, stream: str | None, sequence: int) -> str:
        """Look at one letter; several streams may have its sequence, unless one is named."""
        stream = self._asked.stream or stream
        return self._line("show", *(("--stream", stream) if stream else ()), str(sequence))

    def redrive(self, route: str, code: str) -> str:
        """See what sending some again would do."""
        asked = (("--stream", self._asked.stream), ("--gateway", self._asked.gateway))
        words = [word for option, value in asked if value for word in (option, value)]
        return self._line("redrive", *words, "--route", route, "--code", code, "--dry-run")

    def _line(self, name: str, *words: str) -> str:
        return printable(shlex.join(["gateway", "dlq", name, *self._config, *words]))


def _document(names: list[str], counts: Stats, found: Found) -> dict[str, Any]:
    return {
        "streams": names,
        "letters": counts.letters,
        "bytes": counts.bytes,
        "routes": {route: dict(codes) for route, codes in sorted(counts.routes.items())},
        "failed_targets": dict(counts.targets.most_common()),
        "redriven_before": counts.redriven,
        "omitted_headers": counts.omitted,
        "oldest": None if counts.oldest is None else instant(counts.oldest.stored_ns),
        "newest": None if counts.newest is None else instant(counts.newest.stored_ns),
        "no_letters": found.no_letters,
        "of_other_gateways": dict(found.of_others),
    }


def _lines(names: list[str], counts: Stats, commands: _Commands) -> list[str]:
    where = ", ".join(names)
    if counts.oldest is None or counts.newest is None:
        return [f"no dead letters in {where}"]
    span = f"from {instant(counts.oldest.stored_ns)} to {instant(counts.newest.stored_ns)}"
    lines = [f"{count(counts.letters)} in {where}, {counts.bytes:,} bytes, {span}", ""]
    by = [(route, code, number) for route, codes in counts.routes.items() for code, number in codes.items()]
    by.sort(key=lambda row: (-row[2], row))
    shown = [(f"{number:,}", printable(route), printable(code)) for route, code, number in by[:WORST]]
    lines += table(shown, ("LETTERS", "ROUTE", "CODE"))
    if len(by) > WORST:
        lines.append(f"... and {len(by) - WORST:,} more; --json has all")
    if counts.targets:
        worst = [(f"{number:,}", printable(name)) for name, number in counts.targets.most_common(WORST)]
        lines += ["", *table(worst, ("LETTERS", "FAILED TARGET"))]
    lines.append("")
    if counts.redriven:
        lines.append(f"{count(counts.redriven)} of events that were redriven before and failed again")
    if counts.omitted:
        lines.append(f"{count(counts.omitted)} without the original headers")
    route, code, _ = by[0]
    stream, sequence = counts.examples[route, code]
    lines.append(f"look at one:  {commands.show(stream if len(names) > 1 else None, sequence)}")
    lines.append(f"send again:   {commands.redrive(route, code)}")
    return lines
