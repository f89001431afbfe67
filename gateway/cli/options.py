"""Options that several commands share."""

from __future__ import annotations

import click

DEFAULT_CONFIG = "/etc/gateway/gateway.yaml"

config_option = click.option(
    "-c",
    "--config",
    "config",
    metavar="FILE",
    envvar="GATEWAY_CONFIG",
    default=DEFAULT_CONFIG,
    show_default=True,
    show_envvar=True,
    help="The config file.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
