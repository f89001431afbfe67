"""What a durable will not deliver once its filter is another one.

The server goes on from where the consumer stands: what was stored before and only now matches is never delivered, and
what waits and matches no more is not either. What was delivered and not settled comes again, whatever the filter says.
"""

from __future__ import annotations

import logging
from typing import Any

from ..subjects import covers
from .api import ApiError, ApiUnavailable, JetStreamApi

log = logging.getLogger("gateway.nats")

IDLE = 1.0
"""Seconds after which the server forgets a consumer that only counts."""


def filters_of(config: dict[str, Any]) -> list[str]:
    """The subjects a consumer takes; none said is all of them."""
    subjects = list(config.get("filter_subjects") or [])
    return subjects or [config.get("filter_subject") or ">"]


def added(before: list[str], after: list[str]) -> list[str]:
    """The wildcards of `after` that take more than those of `before`."""
    return [new for new in after if not any(covers(old, new) for old in before)]


class Count:
    """Numbers before a change; `tell` says what it has left out."""

    def __init__(self, before: list[str], after: list[str], last: int) -> None:
        self.more = added(before, after)
        self.less = added(after, before)
        self.known = False
        self.matching = 0
        """Messages stored that match now, and did not before."""
        self.unread = 0
        """Messages that wait, and match no more."""
        self.pending = 0
        """Messages that waited before the change."""
        self._last = last

    def tell(self, durable: str, route: str, changed: dict[str, Any]) -> None:
        """Warn of events that the durable passes over; `changed` is its info after the change."""
        told = {"event": "durable.skips", "route": route}
        # Where it stands is not in its info: it may have looked further than what it delivered last.
        to_come = max(0, int(changed.get("num_pending", 0)) - (self.pending - self.unread))
        skipped = max(0, self.matching - to_come)
        if self.more and (skipped or not self.known):
            log.warning(
                "durable %s takes %s from now on, but goes on where it stands: %s stored before, up to sequence %d,"
                " will not be delivered by it",
                durable,
                ", ".join(self.more),
                f"{skipped:,} matching events" if self.known else "matching events",
                self._last,
                extra={
                    **told,
                    "skipped": skipped if self.known else None,
                    "sequence": self._last,
                    "hint": "a route of its own for these subjects would begin where its source.start says",
                },
            )
        if self.less and (self.unread or not self.known):
            log.warning(
                "durable %s takes %s no more: %s will not be delivered by it",
                durable,
                ", ".join(self.less),
                f"{self.unread:,} events that wait" if self.known else "what of that waits",
                extra={**told, "unread": self.unread if self.known else None},
            )


class Counting:
    """Counts messages of a stream by consumers that are never asked for one."""

    def __init__(self, api: JetStreamApi, stream: str) -> None:
        self._api = api
        self._stream = stream

    async def before(self, stream: dict[str, Any], info: dict[str, Any], after: list[str]) -> Count:
        """Look at a durable that will be changed to these subjects; numbers are left out where they cannot be had."""
        before = filters_of(info["config"])
        delivered = int(info["delivered"]["stream_seq"])
        count = Count(before, after, int(stream["state"]["last_seq"]))
        # A second consumer of a work queue would be refused, and on an interest stream it would have a say.
        if not (count.more or count.less) or stream["config"].get("retention", "limits") != "limits":
            return count
        either = [*after, *added(after, before)]
        either = [one for one in either if not any(covers(two, one) for two in either if two != one)]
        try:
            if count.more:
                count.matching = await self._number(either, 1) - await self._number(before, 1)
            if count.less:
                beyond = delivered + 1
                count.unread = await self._number(either, beyond) - await self._number(after, beyond)
        except (ApiError, ApiUnavailable) as error:
            log.debug("not counted: %s", error, extra={"event": "durable.not-counted"})
            return count
        count.pending = int(info.get("num_pending", 0))
        count.known = True
        return count

    async def _number(self, subjects: list[str], first: int) -> int:
        """How many messages from a sequence on match; raises ApiError and ApiUnavailable."""
        config = {
            "deliver_policy": "by_start_sequence",
            "opt_start_seq": first,
            "ack_policy": "none",
            "filter_subjects": subjects,
            "mem_storage": True,
            "num_replicas": 1,
            "inactive_threshold": int(IDLE * 1e9),
        }
        # Not deleted: the right to that would be one to delete every consumer of the stream.
        body = {"stream_name": self._stream, "config": config}
        info = await self._api.request(f"CONSUMER.CREATE.{self._stream}", body, limit=1.0)
        return int(info.get("num_pending", 0))
