"""The page of commands says what they say of themselves."""

from __future__ import annotations

import click
import pytest

from .cli_page import PAGE, commands

COMMANDS = dict(commands())


def _words(text: str) -> str:
    return " ".join(text.replace("\b", " ").split())


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_option_is_on_the_page(name: str) -> None:
    """Word by word, but not line by line: versions of click break lines differently.

    When this fails: python -m tests.docs.cli_page
    """
    _, _, rest = PAGE.read_text(encoding="utf-8").partition(f"\n## `{name}`\n")
    section = _words(rest.partition("\n## ")[0])
    command = COMMANDS[name]
    assert _words(command.help or "") in section
    options = [parameter for parameter in command.params if isinstance(parameter, click.Option)]
    for option in options:
        assert option.opts[-1] in section
        assert _words(option.help or "") in section


def test_the_page_has_no_command_that_is_gone() -> None:
    """A heading per command, and none besides."""
    headings = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("## ")]
    assert headings == [f"## `{name}`" for name in COMMANDS]
