"""Writes docs/cli.md from the commands themselves: `python -m tests.docs.cli_page`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from gateway.cli import gateway

PAGE = Path(__file__).parents[2] / "docs" / "cli.md"
HEADER = """# The command line

Made from the commands themselves: `python -m tests.docs.cli_page` writes this page, and a test compares it.

Results go to stdout, notices and warnings to stderr. Options stand after the command's name. Shared exit codes:

| code | meaning |
|---|---|
| 0 | good |
| 1 | findings: a config with problems, a plugin that is broken, a file that cannot be read |
| 2 | wrong usage: an option or argument that does not exist |
| 69 | no connection to a server in time; never from `run`, which waits for one |
| 70 | a fault of the gateway itself; `GATEWAY_DEBUG=1` prints the traceback |
| 75 | not now: the HTTP port of `run` is taken, or a one-shot command lost its connection |
| 78 | the config is invalid or unreadable; `check`, `config` and `permissions` end with 1 |
| 128 + n | ended by signal n: Ctrl-C, the second signal during a drain, or a redrive that was told to stop |
"""


def page() -> str:
    """The whole page."""
    parts = [HEADER]
    for name, command in commands():
        context = click.Context(command, info_name=name, max_content_width=100, terminal_width=100)
        context.help_option_names = ["-h", "--help"]
        parts.append(f"## `{name}`\n\n```text\n{command.get_help(context).rstrip()}\n```\n")
    return "\n".join(parts)


def commands(command: click.Command = gateway, name: str = "gateway") -> Iterator[tuple[str, click.Command]]:
    """Every command with its full name."""
    yield name, command
    if isinstance(command, click.Group):
        context = click.Context(command, info_name=name)
        for inner in command.list_commands(context):
            below = command.get_command(context, inner)
            assert below is not None
            yield from commands(below, f"{name} {inner}")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
