"""`gateway dlq`: what is done with dead letters."""

from __future__ import annotations

import click

from .dlq_list import list_
from .dlq_purge import purge
from .dlq_redrive import redrive
from .dlq_show import show
from .dlq_stats import stats


@click.group()
def dlq() -> None:
    """Look at dead letters, send them again, or remove them.

    Every command finds the streams of the config's dead-letter subjects by itself, and takes the same options to say
    which letters are meant: all of them must hold. Looking takes nothing away, whatever the stream's retention.
    """


for command in (list_, show, stats, redrive, purge):
    dlq.add_command(command)
