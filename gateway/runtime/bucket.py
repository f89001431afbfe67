"""A token bucket: how many events may start now, at a rate per second."""

from __future__ import annotations

from ..ports import Clock


class TokenBucket:
    """Fills at `rate` tokens a second up to `burst`, a quarter second's worth and at least one."""

    __slots__ = ("_at", "_now", "_rate", "_tokens", "burst")

    def __init__(self, rate: float, clock: Clock) -> None:
        self._rate = rate
        self._now = clock.monotonic
        self._at = clock.monotonic()
        self.burst = max(1, int(rate / 4))
        self._tokens = float(self.burst)

    def take(self) -> bool:
        """Take one token, if there is one."""
        now = self._now()
        self._tokens = min(float(self.burst), self._tokens + (now - self._at) * self._rate)
        self._at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True
