"""`gateway schema`: the JSON Schema of configs."""

from __future__ import annotations

import json

import click

from ..config.schema import config_schema
from ..registry import load_plugins


@click.command()
def schema() -> None:
    """Print the JSON Schema of configs, for editors.

    The configs of all installed components are in it. An editor finds it by a comment at the top of a config:

    \b
        # yaml-language-server: $schema=gateway.schema.json
    """
    click.echo(json.dumps(config_schema(load_plugins()), indent=2))
