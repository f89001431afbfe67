"""What the server does not let this user do, as far as it has said so on the present connection."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

log = logging.getLogger("gateway.nats")

MEMORY = 60.0
"""Seconds a permission violation is remembered; the server repeats it with every publish."""
MOST = 10_000
"""Subjects remembered; a target's subject may be made of the event."""
ACKS = "$JS.ACK."
"""How the subjects begin that settle a delivery."""


class Denials:
    """The permission violations of one connection. A server tells them aside, and never as the answer to a request."""

    def __init__(self, inbox_prefix: str) -> None:
        self._inbox_prefix = inbox_prefix
        self._denied: dict[str, float] = {}
        self.told: list[Callable[[str], None]] = []
        """Called with the subject the server has just said we may not publish to."""
        self.deaf = ""
        """A subject the server does not let us subscribe to, so that no answer can come; empty when there is none."""

    def of(self, subject: str) -> bool:
        """Whether the server has said lately that we may not publish to `subject`."""
        at = self._denied.get(subject)
        return at is not None and time.monotonic() - at < MEMORY

    def note(self, subject: str) -> None:
        """We may not publish to this subject."""
        if len(self._denied) > MOST:
            self._denied.clear()
        self._denied[consumer_of(subject) if subject.startswith(ACKS) else subject] = time.monotonic()
        for listener in self.told:
            listener(subject)

    def note_deafness(self, subject: str) -> None:
        """We may not subscribe to this subject, where answers come."""
        if not self.deaf:
            log.error(
                "no permission to subscribe to %s: no answer can reach us",
                subject,
                extra={"event": "nats.deaf", "hint": f"allow this user to subscribe to {self._inbox_prefix}.>"},
            )
        self.deaf = subject

    def clear(self) -> None:
        """There is another client, perhaps with another sign-in."""
        self._denied.clear()
        self.deaf = ""


def consumer_of(ack_subject: str) -> str:
    """The part of an ack subject that names the consumer: a denial of one is a denial of all of them."""
    tokens = ack_subject.split(".")
    return ".".join(tokens[: 4 if len(tokens) == 9 else 6])
