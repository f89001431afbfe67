"""A circuit per target: open while it cannot take anything, probed with one copy at a time, closed by a PubAck."""

from __future__ import annotations

from ..config.model import Retry
from ..routing.outputs import Copy
from ..routing.verdict import backoff
from .window import NEVER, Entry

PROBE_WITHIN = 5.0
"""Seconds between two probes, at most, whatever the policy's longest pause: one message costs nobody anything, and what
waits should go as soon as the target takes it.
"""


class Circuit:
    """The state of one target. `held` are the copies that wait for it, oldest first."""

    __slots__ = (
        "code", "failures", "held", "name", "open", "policy", "probe_at", "probing", "route_fault", "text", "title",
    )  # fmt: skip

    def __init__(self, name: str, title: str, policy: Retry) -> None:
        self.name = name
        self.title = title
        """What people read: `target billing`."""
        self.policy = policy
        self.open = False
        self.failures = 0
        self.probe_at = NEVER
        self.probing: Copy | None = None
        """The copy that is trying the target now."""
        self.code = ""
        self.text = ""
        self.route_fault = False
        """The fault is the route's own; waiting for it has no end."""
        self.held: dict[Copy, Entry] = {}

    def trip(self, copy: Copy, code: str, text: str, *, route_fault: bool, now: float, chance: float) -> bool:
        """Open, or stay open longer; copies that fail together count once. Whether it is the first since a PubAck."""
        first = not self.open
        if not self.open or copy is self.probing:
            self.failures += 1
            self.probe_at = now + backoff(self.policy, self.failures, chance, PROBE_WITHIN)
            self.probing = None
        self.open = True
        self.code = code
        self.text = text
        self.route_fault = route_fault
        return first and self.failures == 1

    def hold(self, copy: Copy, entry: Entry) -> None:
        """Let a copy wait for the target."""
        copy.deadline = NEVER
        self.held[copy] = entry

    def probe(self, now: float) -> tuple[Copy, Entry] | None:
        """The copy to try the target with now, if it is time; it goes to the end of the line should it come back."""
        if not self.open or self.probing is not None or now < self.probe_at:
            return None
        if not self.held:
            # Nothing waits any more: the next event will be the probe. The count of failures stays.
            self.open = False
            return None
        self.probing = next(iter(self.held))
        return self.probing, self.held.pop(self.probing)

    def release(self, copy: Copy, now: float) -> None:
        """A copy has its own fate, which says nothing of the target; if it was the probe, the next one goes at once."""
        if copy is self.probing:
            self.probing = None
            self.probe_at = now

    def hurry(self, now: float) -> None:
        """The connection is another one: what failed before may have been its fault."""
        if self.open and self.probing is None:
            self.probe_at = now

    def forget(self, now: float) -> None:
        """Every copy was given away, the probe too."""
        self.held.clear()
        self.probing = None
        self.probe_at = now

    def close(self) -> list[tuple[Copy, Entry]]:
        """A PubAck came: everything that waits may go."""
        self.open = False
        self.failures = 0
        self.probe_at = NEVER
        self.probing = None
        self.route_fault = False
        waiting = list(self.held.items())
        self.held.clear()
        return waiting
