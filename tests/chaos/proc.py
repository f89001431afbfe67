"""What the system says of a process, on Linux, and what a gateway's log says."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.process import GatewayProcess


@dataclass(frozen=True)
class Usage:
    """What a process holds now."""

    rss: int
    """Resident bytes."""
    fds: int
    threads: int


def usage(pid: int) -> Usage | None:
    """What a process holds; None when there is no such process any more."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        fields = dict(line.split(":", 1) for line in lines if ":" in line)
        return Usage(
            int(fields["VmRSS"].split()[0]) << 10, len(list(Path(f"/proc/{pid}/fd").iterdir())), int(fields["Threads"])
        )
    except (OSError, KeyError):
        return None


def logs(gateway: GatewayProcess) -> list[dict[str, Any]]:
    """What a gateway has logged; a process that was killed may have left half a line."""
    found = []
    for text in gateway.err.splitlines():
        try:
            found.append(json.loads(text))
        except ValueError:
            continue
    return found
