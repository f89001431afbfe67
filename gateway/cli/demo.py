"""`gateway demo`: watch real events being routed through a real nats-server."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import click

from ..demo.run import Options, run
from ..demo.screen import Lines, Live
from ..errors import ConfigError, ConfigProblem, GatewayError
from ..observe import logs
from ..values import Duration
from .exits import CONFIG_INVALID, UNREACHABLE


def _duration(_ctx: click.Context, _param: click.Parameter, value: str | None) -> Duration | None:
    """A duration as configs write it, or a usage error that says what would be one."""
    if value is None:
        return None
    try:
        return Duration.parse(value)
    except ConfigProblem as problem:
        raise click.BadParameter(f"{problem.text}; {problem.hint}") from problem


@click.command()
@click.option(
    "--for", "seconds", callback=_duration, metavar="TIME", help="End after this time, 10s or 5m. Without it: Ctrl-C."
)
@click.option("--rate", type=click.FloatRange(min=0, min_open=True), default=200, show_default=True, help="Orders/s.")
@click.option(
    "-c",
    "--config",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Routes other than config/examples/orders.yaml.",
)
@click.option("--data", type=click.Path(file_okay=False, path_type=Path), help="Keep the server's streams here.")
@click.option("--port", type=click.IntRange(1, 65535), help="Port of the nats-server; without it a free one.")
def demo(seconds: float | None, rate: float, config: Path | None, data: Path | None, port: int | None) -> None:
    """Run a shop, a nats-server and the gateway, and show what happens.

    On a terminal a table, elsewhere a line a second and one at the end, each word before its count.
    """
    live = sys.stdout.isatty()
    if not live:
        logs.setup("warning", "text")
    options = Options(seconds, rate, config, data, port or -1)
    try:
        asyncio.run(run(options, Live() if live else Lines()))
    except ConfigError as error:
        click.echo(error, err=True)
        sys.exit(CONFIG_INVALID)
    except GatewayError as error:
        click.echo(error, err=True)
        sys.exit(UNREACHABLE)
