"""`gateway config`: the config as it counts."""

from __future__ import annotations

import json
import sys

import click

from ..config.effective import effective, effective_yaml
from ..config.loader import examine
from ..routing.compile import compile_config
from .exits import FINDINGS
from .options import config_option, json_option, plugin_option


@click.command()
@config_option
@plugin_option
@json_option
def config(config: str, disable: tuple[str, ...], as_json: bool) -> None:
    """Show the config as it counts.

    With defaults merged into the routes and all names filled in; secrets are masked. Exit codes: 0 shown, 1 the config
    has problems, which are on stderr.
    """
    loaded = examine(config, disable=disable)
    _, more = compile_config(loaded.draft, loaded.registry)
    for problem in loaded.tidy(more):
        click.echo(f"warning: {problem}" if problem.is_warning else problem, err=True)
    if loaded.config is None or more:
        sys.exit(FINDINGS)
    click.echo(json.dumps(effective(loaded), indent=2) if as_json else effective_yaml(loaded), nl=as_json)
