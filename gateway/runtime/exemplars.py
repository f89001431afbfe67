"""Exemplars: for each bucket of a histogram the trace of one event in it, so that a slow one can be looked at.

Each bucket asks for a trace now and then only. A busy one has a fresh exemplar at every scrape all the same, and the
buckets that matter, those of the rare and slow events, miss none.
"""

from __future__ import annotations

from ..trace import received
from .stats import Exemplar, TracedBuckets

LOOK = 0.1
"""Seconds in which a bucket asks one event at most: finding a trace among the headers takes longer than settling."""


def exemplify(header_block: bytes, now: float, time: float, *observed: tuple[TracedBuckets, int, float]) -> None:
    """Keep the trace of an event as the exemplar of the buckets that ask for one: `(histogram, place, amount)` each.

    Only of a trace that its sender recorded: nobody could look at another one. `now` is the monotonic clock's, `time`
    in seconds of the epoch.
    """
    parent = received(header_block)
    for buckets, place, amount in observed:
        if buckets.look_at[place] <= now:
            buckets.look_at[place] = now + LOOK
            if parent is not None and parent.sampled:
                buckets.exemplars[place] = Exemplar(parent.trace_id, amount, time)
