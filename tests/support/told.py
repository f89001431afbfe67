"""What the processes of a failed test wrote: without it, a failure on another machine is a riddle."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from gateway.jetstream.server import EmbeddedServer

from .cluster import Cluster

LINES = 40
"""Of each file, the last ones."""
_FILES = ("gateway.err", "nats-server.log", "boot.log", "prometheus.log")


def told(values: Iterable[object]) -> Iterator[tuple[str, str]]:
    """The ends of the logs that belong to these fixtures: servers, clusters, and whatever runs in their folders."""
    # Gateways first.
    for file in sorted({file for file in _logs(values) if file.exists()}, key=lambda file: (file.name, file)):
        lines = [line for line in file.read_text(errors="replace").splitlines() if _tells(line)]
        if lines:
            yield f"the end of {file.parent.name}/{file.name}", "\n".join(line[:1000] for line in lines[-LINES:])


def _tells(line: str) -> bool:
    """A server says at each start who it is, in twenty lines."""
    return "[INF]" not in line or any(word in line for word in ("Starting nats-server", "ready", "leader", "Exiting"))


def _logs(values: Iterable[object]) -> Iterator[Path]:
    for value in values:
        if isinstance(value, Path) and value.is_dir():
            yield from (file for name in _FILES for file in value.rglob(name))
        elif isinstance(value, EmbeddedServer):
            yield value.log_file
        elif isinstance(value, Cluster):
            yield from (node.log_file for node in value.nodes.values())
