"""Best-effort audits that fail: when they take records again, that is told once, with how many were lost."""

from __future__ import annotations

import asyncio
import logging

log = logging.getLogger("gateway.audit")

CALM = 1.0
"""Seconds without a failure after which a sink counts as healed: one that takes every other batch is not."""


class Losses:
    """Those of one route, by the label of the audit."""

    def __init__(self, route: str) -> None:
        self._route = route
        self._lost: dict[str, int] = {}
        """Records lost since a sink began to fail; one that does not fail is not here."""
        self._calm: dict[str, asyncio.TimerHandle] = {}
        """Sinks that have taken records since."""

    def failed(self, label: str, records: int) -> None:
        """A sink did not take these, or takes too long (0: they may yet be taken)."""
        self._lost[label] = self._lost.get(label, 0) + records
        if calm := self._calm.pop(label, None):
            calm.cancel()

    def stored(self, label: str) -> None:
        """A sink took records."""
        if label in self._lost and label not in self._calm:
            self._calm[label] = asyncio.get_running_loop().call_later(CALM, self._healed, label)

    def close(self) -> None:
        """The end; what had healed by then is told."""
        for label, calm in list(self._calm.items()):
            calm.cancel()
            self._healed(label)

    def _healed(self, label: str) -> None:
        del self._calm[label]
        lost = self._lost.pop(label)
        told = {"event": "audit.healed", "route": self._route, "step": label, "lost": lost}
        log.info("%s takes records again; lost meanwhile: %s", label, f"{lost:,}", extra=told)
