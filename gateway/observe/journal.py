"""The journal of systemd behind stderr: a priority for each line, and one entry for what has several lines.

A stream is cut into entries at every line end, so that a traceback would be thirty of them, and within a line that is
very long, whose rest would be no JSON and have no priority. Such records go to the journal's own socket instead. Its
protocol: systemd.io, "Native Journal Protocol".
"""

from __future__ import annotations

import logging
import os
import socket
import struct
from typing import TextIO

SOCKET = "/run/systemd/journal/socket"
LONGEST = 12 << 10
"""Letters of a line that a stream is sure to keep whole: the journal cuts after 48 KiB, and a letter has 4 at most."""
_PRIORITIES = ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6))


def is_behind(stream: TextIO) -> bool:
    """Whether a stream ends in the journal, by the device and inode systemd tells."""
    try:
        stat = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{stat.st_dev}:{stat.st_ino}"


def with_priority(level: int, text: str) -> str:
    """Lines with the priority that the journal strips and stores."""
    return "\n".join(f"<{_priority(level)}>{line}" for line in text.split("\n"))


def wants_whole(text: str) -> bool:
    """Whether a stream would make several entries of a text."""
    return "\n" in text or len(text) > LONGEST


def send(level: int, text: str) -> bool:
    """Write one entry of several lines; False when the journal does not take it so, and a stream has to do."""
    data = text.encode("utf-8", "backslashreplace")
    fields = (
        b"PRIORITY=%d\n" % _priority(level),
        b"SYSLOG_IDENTIFIER=gateway\n",
        b"SYSLOG_PID=%d\n" % os.getpid(),
        # With line ends in it, a field is its name, its length as 64 bits, and its bytes.
        b"MESSAGE\n" + struct.pack("<Q", len(data)) + data + b"\n",
    )
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as journal:
            journal.sendto(b"".join(fields), SOCKET)
    except OSError:
        return False
    return True


def _priority(level: int) -> int:
    return next((number for bound, number in _PRIORITIES if level >= bound), 7)
