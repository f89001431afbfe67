"""What the system says of a process: CPU seconds, peak memory, and what the rest of the machine does. Linux only."""

from __future__ import annotations

import os
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int) -> float:
    """User and system time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def wake_ups(pid: int) -> int:
    """How often its threads have waited for something and were woken, so far."""
    states = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/status")]
    lines = [line for state in states for line in state.splitlines() if line.startswith("voluntary_ctxt_switches")]
    return sum(int(line.split()[1]) for line in lines)


def peak_mib(pid: int) -> float:
    """The most memory a process has held."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return 0.0


def machine_seconds() -> float:
    """CPU seconds everything on the machine has used so far."""
    fields = [int(field) for field in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]]
    idle = fields[3] + fields[4]
    return (sum(fields[:8]) - idle) / _TICKS


def machine() -> dict[str, object]:
    """The machine in a few words, for the head of a report."""
    names = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return {
        "cpu": names[0].partition(":")[2].strip() if names else "unknown",
        "cores": os.cpu_count(),
        "load": [round(load, 2) for load in os.getloadavg()],
    }
