"""What the system says of a process, on Linux."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


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
