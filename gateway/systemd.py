"""Talking to systemd: readiness, reloads, the watchdog, one line of status. Source: sd_notify(3).

Without NOTIFY_SOCKET everything here does nothing, and a message that cannot be sent is not worth dying for, nor worth
waiting for: nothing here blocks.
"""

from __future__ import annotations

import os
import socket
import time
from collections import deque
from collections.abc import Mapping, MutableMapping

from .runtime.stats import GatewayStats, RouteState

_OURS = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")
_KEPT = 32
"""Messages kept while systemd's queue is full; of more than that, the last ones say what is the case."""
_SHOWN = 5
"""Routes named in the status line."""


def told_by_systemd(environ: MutableMapping[str, str]) -> dict[str, str]:
    """What systemd told this process by its environment, taken out of it: no child is to speak for us."""
    return {name: environ.pop(name) for name in _OURS if name in environ}


class Notifier:
    """The line to systemd. Every method tells whether the message was sent."""

    def __init__(self, env: Mapping[str, str]) -> None:
        address = env.get("NOTIFY_SOCKET", "")
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self._unsent: deque[bytes] = deque(maxlen=_KEPT)

    def __bool__(self) -> bool:
        """Whether there is somebody to tell."""
        return bool(self._address)

    def ready(self, status: str = "") -> bool:
        """The start, or a reload, is done."""
        return self._tell("READY=1", *_status(status))

    def reloading(self) -> bool:
        """A reload begins; `ready` ends it. The time is what Type=notify-reload tells reloads apart by."""
        return self._tell("RELOADING=1", f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    def stopping(self, seconds: float, status: str = "") -> bool:
        """The drain begins, and the end may be so many seconds away, whatever TimeoutStopSec says."""
        return self._tell("STOPPING=1", _extend(seconds), *_status(status))

    def status(self, text: str) -> bool:
        """What `systemctl status` shows."""
        return self.flush() and self._send("\n".join(_status(text)).encode())

    def watchdog(self) -> bool:
        """We are alive; at least once per WATCHDOG_USEC."""
        return self.flush() and self._send(b"WATCHDOG=1")

    def busy(self, seconds: float) -> bool:
        """The start, or a reload, goes on: it has not timed out for so many seconds more."""
        return self.flush() and self._send(_extend(seconds).encode())

    def flush(self) -> bool:
        """Send what systemd had no room for before; returns whether nothing of it is left."""
        while self._unsent and self._send(self._unsent[0]):
            self._unsent.popleft()
        return not self._unsent

    def _tell(self, *lines: str) -> bool:
        """Send what must not be missed, after what was told before; `flush` tries again what found no room."""
        if self._address:
            self._unsent.append("\n".join(lines).encode())
        return self.flush() and bool(self._address)

    def _send(self, message: bytes) -> bool:
        if not self._address or not message:
            return False
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
                sender.setblocking(False)
                sender.sendto(message, self._address)
        except OSError:
            return False
        return True


def _extend(seconds: float) -> str:
    return f"EXTEND_TIMEOUT_USEC={int(seconds * 1_000_000)}"


def watchdog_interval(env: Mapping[str, str]) -> float | None:
    """Seconds between two `watchdog()` calls: half of what systemd allows. None when it does not watch us."""
    if env.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    allowed = env.get("WATCHDOG_USEC", "")
    return int(allowed) / 2e6 if allowed.isdecimal() and int(allowed) else None


class Throughput:
    """Settled events a second, from one call to the next."""

    def __init__(self, stats: GatewayStats) -> None:
        self._stats = stats
        self._seen = (time.monotonic(), self._settled())

    def rate(self) -> float:
        """Since the call before; 0 when no time has passed."""
        (then, before), self._seen = self._seen, (time.monotonic(), self._settled())
        now, after = self._seen
        # A route that a reload took away takes its count with it.
        return max(0, after - before) / (now - then) if now > then else 0.0

    def _settled(self) -> int:
        return sum(sum(route.outcomes.values()) for route in self._stats.routes.values())


def status_line(stats: GatewayStats, rate: float) -> str:
    """`3 of 4 routes up, 1,240 events/s; down: eu-orders (no-stream)`."""
    routes = [route for route in stats.routes.values() if route.state is not RouteState.DISABLED]
    not_up = [f"{route.route} ({route.code or route.state})" for route in routes if not route.up]
    parts = [f"{len(routes) - len(not_up)} of {len(routes)} routes up, {rate:,.0f} events/s"]
    if not stats.connected:
        parts.insert(0, "not connected to NATS")
    if not_up:
        more = f" and {len(not_up) - _SHOWN} more" if len(not_up) > _SHOWN else ""
        parts.append(f"down: {', '.join(not_up[:_SHOWN])}{more}")
    if not stats.last_reload_successful:
        parts.append("the last reload failed")
    if stats.replica_configs > 1:
        parts.append(f"{stats.replicas} replicas run {stats.replica_configs} different configs")
    return "; ".join(parts)


def _status(text: str) -> list[str]:
    """One line: a line break would begin another message."""
    return [f"STATUS={' '.join(text.split())}"] if text else []
