"""The name of this process among those with one gateway name, the same again after a restart.

With a state folder (systemd's `StateDirectory=`) a process takes the first free slot, `instance-<gateway>-0`, `-1` and
so on, and keeps it locked while it lives: two processes on one host never share a name, and a restart takes its own
back. Audit chains are tied to each other by it. Without a state folder every start makes a new name.
"""

from __future__ import annotations

import fcntl
import logging
import os
import secrets
import socket

log = logging.getLogger("gateway")

MAX_SLOTS = 1000


class Slot:
    """A name for this process, held until `give_back`."""

    def __init__(self, gateway: str, folders: str) -> None:
        """`folders` is $STATE_DIRECTORY: none, one, or several parted by colons, of which the first counts."""
        self._fd = -1
        self.instance = _new()
        folder = folders.partition(":")[0]
        if not folder:
            return
        try:
            self.instance = self._take(gateway, folder)
        except OSError as error:
            log.warning(
                "no name is kept over restarts: %s: %s",
                folder,
                error.strerror,
                extra={"event": "gateway.no-state", "hint": "audit chains of this start will follow none before"},
            )

    def give_back(self) -> None:
        """Let another process have the name."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _take(self, gateway: str, folder: str) -> str:
        for number in range(MAX_SLOTS):
            fd = os.open(
                os.path.join(folder, f"instance-{gateway}-{number}"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640
            )
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(fd)
                continue
            self._fd = fd
            kept = os.read(fd, 256).decode("ascii", "replace").strip()
            # A copy of the folder on another host is another instance.
            if kept.rpartition("-")[0] == socket.gethostname():
                return kept
            os.ftruncate(fd, 0)
            os.pwrite(fd, f"{self.instance}\n".encode(), 0)
            os.fsync(fd)
            return self.instance
        raise OSError(0, f"all {MAX_SLOTS} names are taken")


def _new() -> str:
    return f"{socket.gethostname()}-{secrets.token_hex(4)}"
