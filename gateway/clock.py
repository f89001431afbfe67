"""The real clock."""

from __future__ import annotations

import time


class SystemClock:
    """Time as the machine has it."""

    # The functions themselves: each event asks several times.
    monotonic = staticmethod(time.monotonic)
    time = staticmethod(time.time)
