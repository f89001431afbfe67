"""The faults of a route, and its state made of them: it is up when it has none."""

from __future__ import annotations

import logging

from .stats import RouteState, RouteStats

log = logging.getLogger("gateway.route")


class Faults:
    """Faults by what they concern; the oldest one is the reason shown. Every change is logged once."""

    def __init__(self, stats: RouteStats) -> None:
        self._stats = stats
        self._faults: dict[str, tuple[str, str]] = {}
        self._held: dict[str, tuple[str, str]] = {}
        self.running = False
        """Whether the source is open; without it the route is not up, fault or none."""

    def set(self, key: str, code: str, text: str) -> None:
        """Note a fault, or its new reason."""
        if self._faults.get(key) == (code, text):
            return
        self._faults[key] = (code, text)
        log.log(
            # The connection has said so itself, once for all routes.
            logging.DEBUG if code == "disconnected" else logging.ERROR,
            "route down: %s",
            text,
            extra={"event": "route.down", "route": self._stats.route, "code": code, "concerns": key},
        )
        self._show()

    def clear(self, key: str) -> None:
        """A fault is no more."""
        if self._faults.pop(key, None) is not None:
            self._show()
            if self._stats.up:
                self._log_up()

    def hold(self, target: str, code: str, text: str, *, first: bool) -> None:
        """A target cannot take anything now: no fault of the route, but what its status says. The `first` is logged."""
        self._held[target] = (code, f"{target} cannot take events now, they are held: {text}")
        if first:
            told = {"event": "target.held", "route": self._stats.route, "code": code, "target": target}
            log.warning("%s cannot take events now, they are held: %s", target, text, extra=told)
        self._show()

    def release(self, target: str, *, healed: bool) -> None:
        """Nothing is held for a target any more; when it `healed`, that is logged."""
        if healed:
            told = {"event": "target.healed", "route": self._stats.route, "target": target}
            log.info("%s takes events again", target, extra=told)
        if self._held.pop(target, None) is not None:
            self._show()

    def started(self) -> None:
        """The source is open."""
        if not self.running:
            self.running = True
            self._show()
            if self._stats.up:
                self._log_up()

    def stopped(self, state: RouteState) -> None:
        """The route has ended, or is ending."""
        self.running = False
        self._stats.state = state
        self._stats.code = ""
        self._stats.reason = ""

    def _log_up(self) -> None:
        log.info("route up", extra={"event": "route.up", "route": self._stats.route})

    def _show(self) -> None:
        stats = self._stats
        if stats.state in (RouteState.DRAINING, RouteState.STOPPED):
            return
        if self._faults:
            stats.state = RouteState.DOWN
            stats.code, stats.reason = next(iter(self._faults.values()))
        else:
            stats.state = RouteState.UP if self.running else RouteState.STARTING
            stats.code, stats.reason = next(iter(self._held.values()), ("", ""))
