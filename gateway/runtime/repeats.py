"""Lines that would come for every event are written at once the first time, then as a count now and then."""

from __future__ import annotations

import logging
from collections.abc import Callable

QUIET = 30.0
"""Seconds between two lines about the same thing."""


class Repeats:
    """Rate-limits one kind of warning, by what it is about."""

    def __init__(self, log: logging.Logger, now: Callable[[], float]) -> None:
        self._log = log
        self._now = now
        self._last: dict[str, float] = {}
        self._kept_back: dict[str, int] = {}

    def warn(self, about: str, text: str, extra: dict[str, object], level: int = logging.WARNING) -> None:
        """Write the line, unless one about the same was written lately: then count it, and say so in the next one."""
        now = self._now()
        if now - self._last.get(about, -QUIET) < QUIET:
            self._kept_back[about] = self._kept_back.get(about, 0) + 1
            return
        if len(self._last) > 1000:
            self._last.clear()
        self._last[about] = now
        more = self._kept_back.pop(about, 0)
        text = f"{text} ({more:,} more since the last such line)" if more else text
        self._log.log(level, "%s", text, extra={**extra, "repeated": more})
