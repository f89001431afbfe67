"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable

import click
from click.core import ParameterSource

from ..errors import ConfigProblem
from ..values import Duration

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


def given_config(ctx: click.Context) -> list[str]:
    """The option `-c` as a command was called with it, for others like it; nothing when it was not."""
    given = ctx.get_parameter_source("config") is ParameterSource.COMMANDLINE
    return ["-c", str(ctx.params["config"])] if given else []


def _switched_off(ctx: click.Context, parameter: click.Parameter, given: tuple[str, ...]) -> tuple[str, ...]:
    """The names behind `no:`."""
    for text in given:
        if not text.removeprefix("no:") or not text.startswith("no:"):
            raise click.BadParameter(f"{text!r} is not no:NAME, which leaves the plugin NAME out", ctx, parameter)
    return tuple(text.removeprefix("no:") for text in given)


plugin_option = click.option(
    "-P",
    "disable",
    metavar="no:NAME",
    multiple=True,
    callback=_switched_off,
    help="Leave the plugin NAME out, as plugins.disable does. May be given several times.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def duration(ctx: click.Context, parameter: click.Parameter, text: str) -> float:
    """The seconds of an option."""
    try:
        return float(Duration.parse(text))
    except ConfigProblem as problem:
        raise click.BadParameter(f"{problem.text}; {problem.hint}", ctx, parameter) from problem


def timeout(help: str) -> Callable[[click.decorators.FC], click.decorators.FC]:
    """The option that says how long a command waits."""
    return click.option(
        "--timeout", "patience", default="5s", show_default=True, metavar="TIME", callback=duration, help=help
    )


timeout_option = timeout("How long a server is waited for.")
