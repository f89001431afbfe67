"""Servers that do not take who we are: each is asked again after pauses that grow, or when we sign in as somebody else.

Four refused tries a second fill a server's log, and may look like an attack. A server that is only away is still looked
for as often as ever, those beside it included: nobody sleeps through a pause here.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable

import nats.errors

FIRST = 0.25
"""Seconds until the second try, about."""
LONGEST = 30.0
"""Seconds between two tries, at most."""


class TooSoonError(nats.errors.Error):
    """A server is not to be asked yet; nats-py goes on to the next one, and comes back."""


class Refusals:
    """What one client was refused by which server, given by host and port."""

    def __init__(self) -> None:
        self.fingerprint: Callable[[], str] = str
        """Gives what stands for how we sign in now, files as they are."""
        self._tried: dict[str, str] = {}
        """The fingerprint each server was tried with last."""
        self._times: dict[str, int] = {}
        self._until: dict[str, float] = {}

    def admit(self, server: str) -> None:
        """Call before each try; raises TooSoonError when it would only be the last one again."""
        signed = self.fingerprint()
        if signed != self._tried.get(server):
            self._times.pop(server, None)
        elif time.monotonic() < self._until.get(server, 0.0):
            raise TooSoonError
        self._tried[server] = signed

    def note(self, server: str) -> None:
        """It has refused us."""
        self._times[server] = times = self._times.get(server, 0) + 1
        self._until[server] = time.monotonic() + pause_after(times)

    def forget(self) -> None:
        """We are connected."""
        self._times.clear()
        self._until.clear()


def pause_after(failures: int) -> float:
    """Seconds to wait after so many failures in a row; a little less by chance, so that not all come at once."""
    return min(LONGEST, FIRST * 2.0 ** min(failures - 1, 10)) * random.uniform(0.7, 1)
