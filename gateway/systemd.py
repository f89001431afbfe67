"""Talking to systemd: readiness, reloads, the watchdog, one line of status. Source: sd_notify(3).

Without NOTIFY_SOCKET everything here does nothing, and a message that cannot be sent is not worth dying for.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping

from .runtime.stats import GatewayStats, RouteState

_SEND_TIMEOUT = 0.5
"""Seconds a full queue of systemd's may hold us up."""
_SHOWN = 5
"""Routes named in the status line."""


class Notifier:
    """The line to systemd. Every method tells whether the message was sent."""

    def __init__(self, env: Mapping[str, str] = os.environ) -> None:
        address = env.get("NOTIFY_SOCKET", "")
        self._address = f"\0{address[1:]}" if address.startswith("@") else address

    def ready(self, status: str = "") -> bool:
        """The start, or a reload, is done."""
        return self._send("READY=1", *_status(status))

    def reloading(self) -> bool:
        """A reload begins; `ready` ends it. The time is what Type=notify-reload tells reloads apart by."""
        return self._send("RELOADING=1", f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    def stopping(self, status: str = "") -> bool:
        """The drain begins."""
        return self._send("STOPPING=1", *_status(status))

    def status(self, text: str) -> bool:
        """What `systemctl status` shows."""
        return self._send(*_status(text))

    def watchdog(self) -> bool:
        """We are alive; at least once per WATCHDOG_USEC."""
        return self._send("WATCHDOG=1")

    def extend_timeout(self, usec: int) -> bool:
        """Starting or stopping takes at least so many more microseconds."""
        return self._send(f"EXTEND_TIMEOUT_USEC={usec}")

    def _send(self, *lines: str) -> bool:
        if not self._address or not lines:
            return False
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
                sender.settimeout(_SEND_TIMEOUT)
                sender.connect(self._address)
                sender.sendall("\n".join(lines).encode())
        except OSError:
            return False
        return True


def watchdog_interval(env: Mapping[str, str] = os.environ) -> float | None:
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
