"""The command `gateway`. Commands are imported when they are called, so that `gateway --help` is quick."""

from __future__ import annotations

import gc
import importlib
import os
import sys
import traceback
from collections.abc import Sequence

import click

from .exits import INTERNAL, INTERRUPTED

COMMANDS = {
    "run": "Run the gateway until it is told to stop.",
    "demo": "Run a shop, a nats-server and the gateway, and show what happens.",
    "check": "Find what is wrong in configs.",
    "config": "Show the config as it counts.",
    "permissions": "Print the least that NATS must allow.",
    "plugins": "Show plugins and components, or begin a plugin.",
    "routes": "Show routes and how far their durables are; delete what no route has.",
    "dlq": "Look at dead letters, send them again, or remove them.",
    "audit": "Prove audit chains whole.",
    "schema": "Print the JSON Schema of configs, for editors.",
}
"""Each command and its first line of help; the module `gateway.cli.NAME` holds it."""


class Commands(click.Group):
    """A group that imports a command when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command."""
        if cmd_name not in COMMANDS:
            return None
        command = getattr(importlib.import_module(f"{__name__}.{cmd_name}"), cmd_name)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="nats-event-gateway", prog_name="gateway")
def gateway() -> None:
    """Route events on NATS JetStream.

    `gateway COMMAND --help` tells more of a command.
    """


def main(args: Sequence[str] | None = None) -> None:
    """Run a command and exit with its code; a fault of ours is one line, and a traceback with GATEWAY_DEBUG=1."""
    # Modules and configs are objects that stay: the collector would go through them 190 times until `run` is ready, and
    # find a few hundred to free. What the daemon wants afterwards it says itself.
    gc.set_threshold(50_000, 20, 20)
    try:
        code = gateway.main(args=args, prog_name="gateway", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except (click.Abort, KeyboardInterrupt):
        code = INTERRUPTED
    except Exception as error:  # noqa: BLE001 - the last guard
        if os.environ.get("GATEWAY_DEBUG") == "1":
            traceback.print_exc()
        text = f"gateway: internal error: {type(error).__name__}: {error}"
        click.echo(f"{text}\n  hint: set GATEWAY_DEBUG=1 for the traceback, and please report it", err=True)
        code = INTERNAL
    sys.exit(code if isinstance(code, int) else 0)
