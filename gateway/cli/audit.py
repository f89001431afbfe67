"""`gateway audit`: what is done with audit records."""

from __future__ import annotations

import click

from .audit_verify import verify


@click.group()
def audit() -> None:
    """Prove audit chains whole."""


audit.add_command(verify)
