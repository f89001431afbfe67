"""`gateway permissions`: the least that NATS must allow."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Sequence

import click

from ..config import model
from ..config.loader import examine
from ..jetstream.permissions import Kind, Need, needs, unknown
from ..routing.compile import compile_config
from .exits import FINDINGS
from .options import config_option, json_option, plugin_option

_ALL = ">"


@click.command()
@config_option
@plugin_option
@json_option
@click.option("--nsc", "user", metavar="USER", help="Print the nsc command that gives them to USER instead.")
def permissions(config: str, disable: tuple[str, ...], as_json: bool, user: str | None) -> None:
    """Print the least that NATS must allow.

    What `gateway run` publishes and subscribes to under this config, each subject with its reason, in the language of
    nats-server's config. A placeholder in a subject becomes a wildcard. No server is asked. What plugins need of
    themselves nobody here knows: their steps are named in a comment.

    Exit codes: 0 printed, 1 the config has problems, which are on stderr, 2 wrong usage.
    """
    if as_json and user is not None:
        raise click.UsageError("--json and --nsc exclude each other")
    loaded = examine(config, disable=disable)
    routes, more = compile_config(loaded.draft, loaded.registry)
    for problem in loaded.tidy(more):
        click.echo(f"warning: {problem}" if problem.is_warning else problem, err=True)
    if loaded.config is None or more:
        sys.exit(FINDINGS)
    found, notes = needs(loaded.config, routes), unknown(loaded.config, routes)
    if as_json:
        click.echo(json.dumps(_document(found, notes), indent=2))
    elif user is not None:
        click.echo(_nsc(found, user))
        for note in notes:
            click.echo(note, err=True)
    else:
        click.echo(server_config(loaded.config, found, notes))


def server_config(config: model.Config, found: Sequence[Need], notes: Sequence[str]) -> str:
    """The permissions as nats-server's config has them, for the user the gateway signs in as."""
    lines = [f"# What the gateway {config.name} needs of NATS, and nothing more."]
    lines += [f"# {_one_line(note)}" for note in notes]
    lines.append("permissions {")
    for kind in Kind:
        mine = [need for need in found if need.kind is kind]
        lines.append(f"  {kind} {{ allow: [" if mine else f"  {kind} {{ deny: [{_quoted(_ALL)}")
        for need in mine:
            condition = f" (only {need.only})" if need.only else ""
            lines += [f"    # {_one_line(need.why)}{condition}", f"    {_quoted(need.subject)}"]
        lines.append("  ] }")
    return "\n".join([*lines, "}"])


def _document(found: Sequence[Need], notes: Sequence[str]) -> dict[str, object]:
    listed = [
        {"kind": str(need.kind), "subject": need.subject, "why": need.why, "only": need.only and str(need.only)}
        for need in found
    ]
    return {**{str(kind): _rules(found, kind) for kind in Kind}, "needs": listed, "notes": list(notes)}


def _rules(found: Sequence[Need], kind: Kind) -> dict[str, list[str]]:
    """As the server takes them, for which an empty list means everything."""
    subjects = [need.subject for need in found if need.kind is kind]
    return {"allow": subjects} if subjects else {"deny": [_ALL]}


def _nsc(found: Sequence[Need], user: str) -> str:
    words = ["nsc", "edit", "user", "--name", user]
    for need in found:
        words += ["--allow-pub" if need.kind is Kind.PUBLISH else "--allow-sub", need.subject]
    for kind, option in ((Kind.PUBLISH, "--deny-pub"), (Kind.SUBSCRIBE, "--deny-sub")):
        if not any(need.kind is kind for need in found):
            words += [option, _ALL]
    return shlex.join(words)


def _quoted(subject: str) -> str:
    """A text of nats-server's config: what JSON escapes, it reads alike."""
    return json.dumps(subject, ensure_ascii=False)


def _one_line(text: str) -> str:
    return " ".join(text.split())
