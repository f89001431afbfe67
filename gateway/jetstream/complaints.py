"""Why there is no connection, said once for each kind of failure and then seldom."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence

from .failures import Failure, Failures

log = logging.getLogger("gateway.nats")

PAUSE = 30.0
"""Seconds between two log lines about a server that cannot be reached."""


class Complaints:
    """The log lines about servers that cannot be reached, while there is no connection, or not the one asked for."""

    def __init__(self, failures: Failures) -> None:
        """`failures` learns of each failure, said or not."""
        self._failures = failures
        self._said: dict[str, float] = {}
        """When which kind of failure was logged last."""

    def about(self, error: BaseException, servers: Sequence[str], server: str = "", *, connected: bool) -> Failure:
        """Say why, perhaps: it was tried with `server`, or with all of them; `connected` as an older config asks.

        Returns what is known of it now.
        """
        now = time.monotonic()
        failure = self._failures.note(error, server)
        if now - self._said.get(failure.code, -PAUSE) < PAUSE:
            log.debug("nats: %s", error, extra={"event": "nats.error"})
            return failure
        self._said[failure.code] = now
        told = {"event": "nats.unreachable", "reason": failure.code, "servers": shown(servers)}
        if failure.hint:
            told["hint"] = failure.hint
        if server and failure.code in ("refused", "tls"):
            told["server"] = server
        text = "cannot connect"
        if connected:
            text = "cannot connect as the config says now, the connection from before goes on"
        log.error("%s: %s", text, failure.text, extra={**told, "code": f"nats-{failure.code}"})
        return failure

    def over(self) -> None:
        """There is a connection, or there are other servers to try: what fails from now on is news."""
        self._said.clear()
        self._failures.of.clear()


def shown(servers: Sequence[str]) -> str:
    """The servers without what may be a password before the @."""
    return ", ".join(server.rpartition("@")[2] for server in servers)
