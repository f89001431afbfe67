"""The faults of a route, and its state made of them: it is up when it has none."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from ..ports import Remark
from .stats import RouteState, RouteStats

log = logging.getLogger("gateway.route")

PARKED = "parked events"
"""What the status says of them concerns this."""
TITLE = "target "
"""How what concerns a target is called, before the target's name."""


class Faults:
    """Faults by what they concern; all reasons are shown, with the oldest one's code. Every change is logged once."""

    def __init__(self, stats: RouteStats, now: Callable[[], float] = time.time) -> None:
        """`now` is the time that people read."""
        self._stats = stats
        self._now = now
        self._since: dict[str, float] = {}
        self._faults: dict[str, tuple[str, str]] = {}
        self._held: dict[str, tuple[str, str]] = {}
        self._remarks: tuple[Remark, ...] = ()
        self.running = False
        """Whether the source is open; without it the route is not up, fault or none."""

    def set(self, key: str, code: str, text: str) -> None:
        """Note a fault, or its new reason."""
        if self._faults.get(key) == (code, text):
            return
        self._faults[key] = (code, text)
        self._since.setdefault(key, self._now())
        log.log(
            # The connection has said so itself, once for all routes.
            logging.DEBUG if code == "disconnected" else logging.ERROR,
            "route down: %s",
            text,
            extra={"event": "route.down", "route": self._stats.route, "code": code, "concerns": key},
        )
        self._show()

    def __contains__(self, key: str) -> bool:
        """Whether there is a fault of this."""
        return key in self._faults

    def clear(self, key: str) -> None:
        """A fault is no more."""
        if self._faults.pop(key, None) is not None:
            self._no_more(key)
            self._show()
            if self._stats.up:
                self._log_up()

    def hold(self, target: str, code: str, text: str, *, first: bool) -> None:
        """A target cannot take anything now: no fault of the route, but what its status says. The `first` is logged."""
        self.note(target, code, f"{target} cannot take events now, they are held: {text}")
        if first:
            told = {
                "event": "target.held",
                "route": self._stats.route,
                "code": code,
                "target": target.removeprefix(TITLE),
            }
            log.warning("%s cannot take events now, they are held: %s", target, text, extra=told)

    def note(self, key: str, code: str, text: str) -> None:
        """What is no fault of the route, but what its status says until it is released."""
        self._held[key] = (code, text)
        self._since.setdefault(key, self._now())
        self._show()

    def release(self, target: str, *, healed: bool) -> None:
        """Nothing is held for a target any more; when it `healed`, that is logged."""
        if healed:
            told = {"event": "target.healed", "route": self._stats.route, "target": target.removeprefix(TITLE)}
            log.info("%s takes events again", target, extra=told)
        if self._held.pop(target, None) is not None:
            self._no_more(target)
            self._show()

    def heed(self, remarks: tuple[Remark, ...]) -> None:
        """Show what there is to say of the source, and log what is new of it, and what is over."""
        if remarks == self._remarks:
            return
        for remark in self._remarks:
            self.release(remark.code, healed=False)
            if not any(remark.code == other.code for other in remarks):
                over = {"event": "source.healed", "route": self._stats.route, "code": remark.code}
                log.info("no longer: %s", remark.text, extra=over)
        for remark in remarks:
            self.note(remark.code, remark.code, remark.text)
            if remark not in self._remarks:
                told = {"event": remark.code.replace("-", ".", 1), "route": self._stats.route, "code": remark.code}
                log.warning("%s", remark.text, extra=told)
        self._remarks = remarks

    def _no_more(self, key: str) -> None:
        """What a circuit says of its target may go over from one kind to the other; its time goes on."""
        if key not in self._faults and key not in self._held:
            del self._since[key]

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
        self._stats.since = 0.0

    def _log_up(self) -> None:
        log.info("route up", extra={"event": "route.up", "route": self._stats.route})

    def _show(self) -> None:
        stats = self._stats
        if stats.state in (RouteState.DRAINING, RouteState.STOPPED):
            return
        if self._faults:
            stats.state = RouteState.DOWN
        else:
            stats.state = RouteState.UP if self.running else RouteState.STARTING
        told = self._faults or self._held
        stats.code = next((code for code, _ in told.values()), "")
        stats.reason = "; ".join(dict.fromkeys(text for _, text in told.values()))
        stats.since = next((self._since[key] for key in told), 0.0)
