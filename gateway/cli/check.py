"""`gateway check`: all problems of configs, each with its place."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace

import click

from ..config.loader import Loaded, examine
from ..errors import ServerUnreachable
from ..problems import Code, Problem
from ..routing.compile import compile_config
from .exits import FINDINGS, UNREACHABLE
from .options import config_option, json_option, plugin_option, timeout

SUFFIXES = (".yaml", ".yml")


@dataclass(frozen=True, slots=True)
class Checked:
    """One file and what was found in it."""

    file: str
    routes: int
    problems: Sequence[Problem]
    loaded: Loaded | None = None
    """None where there was no file to read."""


@click.command()
@config_option
@plugin_option
@json_option
@click.option("--strict", is_flag=True, help="Warnings count as findings.")
@click.option("--live", is_flag=True, help="Ask the servers of the config, too, whether they hold what it needs.")
@click.option(
    "--no-credentials", is_flag=True, help="Take each ${credential:...} as given, for a check that may not read them."
)
@timeout("How long --live waits for a server.")
@click.argument("paths", nargs=-1, metavar="[FILE|FOLDER]...")
@click.pass_context
def check(
    ctx: click.Context,
    config: str,
    disable: tuple[str, ...],
    as_json: bool,
    strict: bool,
    live: bool,
    no_credentials: bool,
    patience: float,
    paths: tuple[str, ...],
) -> None:
    """Find what is wrong in configs.

    Checks FILEs, and of FOLDERs each *.yaml and *.yml but those that end in _test; without any, the config of -c.
    Nothing is connected to, unless --live says so: then the servers are asked whether streams, durables and buckets are
    there and fit, and nothing is changed there. Findings go to stdout, warnings to stderr.

    systemd lets only the service itself see its credentials, and no ExecReload. With --no-credentials they are not
    read, nor are files of `nats` in their folder looked for. A notice names the values that could not be checked; all
    else is checked as always.

    Exit codes: 0 clean, 1 findings, 2 wrong usage, 69 no connection within --timeout.
    """
    if live and no_credentials:
        raise click.UsageError("--live needs the credentials that --no-credentials leaves out", ctx)
    named = ctx.get_parameter_source("config") is click.core.ParameterSource.COMMANDLINE
    files = [config, *paths] if named or not paths else list(paths)
    checked = list(check_all(files, disable, credentials=not no_credentials))
    for one in checked:
        if one.loaded is not None and one.loaded.unread:
            text = f"notice: {one.file}: not checked, for credentials are not read: {', '.join(one.loaded.unread)}"
            click.echo(text, err=True)
    if live:
        checked = [_with_servers(one, patience) for one in checked]
    problems = [problem for one in checked for problem in one.problems]
    findings = [problem for problem in problems if strict or not problem.is_warning]
    if as_json:
        document = {
            "files": [one.file for one in checked],
            "problems": [asdict(problem) for problem in problems],
            "ok": not findings,
        }
        click.echo(json.dumps(document, indent=2))
    else:
        _print(checked, strict=strict)
    if findings:
        sys.exit(FINDINGS)


def check_all(paths: Sequence[str], disable: Sequence[str] = (), *, credentials: bool = True) -> Iterator[Checked]:
    """Check files and the configs in folders, each file once."""
    seen: set[str] = set()
    for path in paths:
        if not os.path.isdir(path):
            files = [path]
        else:
            files = configs_in(path)
            if not files:
                text = f"no {' or '.join(f'*{suffix}' for suffix in SUFFIXES)} in this folder"
                yield Checked(path, 0, [Problem(path, 1, 1, Code.UNREADABLE, text)])
        for file in files:
            real = os.path.realpath(file)
            if real not in seen:
                seen.add(real)
                yield check_file(file, disable, credentials=credentials)


def check_file(file: str, disable: Sequence[str] = (), *, credentials: bool = True) -> Checked:
    """Read a config and compile its routes, as far as that goes without a server."""
    loaded = examine(file, disable=disable, credentials=credentials)
    _, more = compile_config(loaded.draft, loaded.registry)
    return Checked(file, len(loaded.draft.routes), loaded.tidy(more), loaded)


def _with_servers(checked: Checked, patience: float) -> Checked:
    """What a check found, and what the servers of the config have to do with it; a config with faults is not asked."""
    loaded = checked.loaded
    if loaded is None or loaded.config is None or any(not problem.is_warning for problem in checked.problems):
        return checked
    from .check_live import ask  # only --live needs a client

    try:
        more = ask(loaded, patience)
    except ServerUnreachable as error:
        click.echo(str(error), err=True)
        sys.exit(UNREACHABLE)
    return replace(checked, problems=loaded.tidy([*checked.problems, *more]))


def configs_in(folder: str) -> list[str]:
    """The configs of a folder; what ends in _test are the tests of one."""
    names = sorted(name for name in os.listdir(folder) if name.endswith(SUFFIXES))
    return [os.path.join(folder, name) for name in names if not os.path.splitext(name)[0].endswith("_test")]


def _print(checked: Sequence[Checked], *, strict: bool) -> None:
    for one in checked:
        findings = [problem for problem in one.problems if strict or not problem.is_warning]
        for problem in one.problems:
            if problem in findings:
                click.echo(problem)
            else:
                click.echo(f"warning: {problem}", err=True)
        if not findings:
            click.echo(f"{one.file}: ok ({one.routes} {'route' if one.routes == 1 else 'routes'})")
