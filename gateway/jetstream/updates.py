"""`manage: update`: changes a durable to what the config says, once per start or reload of a route, under a lease.

Replicas with different configs would change it to and fro. So only the newest config among live replicas does, one
replica at a time, and never because a source was opened again after a loss. docs/decisions/0011 has the reasons.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

from ..config import model
from ..errors import Retry, RouteFault
from .api import ApiError, JetStreamApi
from .counting import Counting, filters_of
from .lease import HOLD, LEASE, Lease, held
from .replica_records import key_of
from .replicas import Replicas

log = logging.getLogger("gateway.nats")

PATIENCE = 2 * LEASE
"""Seconds a route waits for the lease before it starts with the durable as it is; enough for a holder that died."""

Config = dict[str, Any]


class Update:
    """The change of one durable that the start of its route may bring."""

    def __init__(
        self,
        api: JetStreamApi,
        replicas: Replicas,
        source: model.Source,
        route: str,
        differences: Callable[[Config], list[str]],
        merged: Callable[[Config], Config],
    ) -> None:
        """`differences` tells what a config found lacks, in words; `merged` is that config, changed as it may be."""
        self._api = api
        self._replicas = replicas
        self._source = source
        self._route = route
        self._differences = differences
        self._merged = merged
        self._counting = Counting(api, source.stream)
        self._key = key_of("lease", source.stream, source.durable)
        self._turns: int | None = None
        self._again_at = float("inf")
        self._told = ""
        self._lease: Lease | None = None
        """The one last held; it is still ours when nobody knows whether the server does what it was asked for."""
        self.due = source.manage == "update"
        """Until the durable was once seen to be as the config says: after that, others may have changed it rightly."""

    @property
    def overdue(self) -> bool:
        """Whether it was put off and may be tried again."""
        if not self.due or self._turns is None:
            return False
        return self._replicas.turns > self._turns or time.monotonic() > self._again_at

    def done(self) -> None:
        """The durable is as the config says."""
        self.due = False

    async def make(self, stream: dict[str, Any], info: dict[str, Any]) -> dict[str, Any]:
        """Change the durable, and give its info; or put it off, with a word, and give the info as it was.

        Raises RouteFault when the server does not want it, ApiError and ApiUnavailable.
        """
        source = self._source
        try:
            # Before the lease, so that the bucket is there, and after it, so that of two replicas the second one sees
            # the first.
            newer = await self._replicas.newer()
            if not newer:
                holder = self._replicas.instance
                async with held(self._replicas.bucket, self._key, holder, PATIENCE, self._lease) as lease:
                    if lease is None:
                        return self._put_off(info, "another replica changes it", LEASE)
                    self._lease = lease
                    newer = await self._replicas.newer()
                    if not newer:
                        found = await self._api.request(f"CONSUMER.INFO.{source.stream}.{source.durable}")
                        return await self._change(lease, stream, found)
        except Retry as error:
            self._replicas.doubted()
            return self._put_off(info, error.message)
        return self._put_off(info, f"replicas run a newer config, {', '.join(newer)}")

    def _put_off(self, info: dict[str, Any], why: str, pause: float = float("inf")) -> dict[str, Any]:
        """Use it as it is, for now. No event is lost by that, and the route need not wait."""
        self._turns, self._again_at = self._replicas.turns, time.monotonic() + pause
        if self._told != why:
            self._told = why
            log.warning(
                "durable %s is used as it is, and not updated now: %s",
                self._source.durable,
                why,
                extra={
                    "event": "durable.update-put-off",
                    "route": self._route,
                    "differences": self._differences(info["config"]),
                },
            )
        return info

    async def _change(self, lease: Lease, stream: dict[str, Any], info: dict[str, Any]) -> dict[str, Any]:
        source = self._source
        differences = self._differences(info["config"])
        if not differences:
            self.done()  # a replica was faster
            return info
        merged = self._merged(info["config"])
        count = await self._counting.before(stream, info, filters_of(merged))
        if lease.left <= 0:
            return self._put_off(info, f"it took longer than {HOLD:g} s", LEASE)
        body = {"stream_name": source.stream, "action": "update", "config": merged}
        request = f"CONSUMER.CREATE.{source.stream}.{source.durable}"
        # Without an answer it may be done late, and must not undo what another replica has done meanwhile.
        lease.kept = True
        try:
            changed = await self._api.request(request, body, limit=LEASE - HOLD)
        except ApiError as error:
            lease.kept = False
            raise RouteFault(
                "durable-not-updated",
                f"the server does not change the durable {source.durable} ({'; '.join(differences)}): {error}",
                "give the route a new durable, or set source.manage to create to use this one as it is",
            ) from error
        lease.kept = False
        self.done()
        log.info(
            "durable %s updated: %s",
            source.durable,
            "; ".join(differences),
            extra={"event": "durable.updated", "route": self._route},
        )
        count.tell(source.durable, self._route, changed)
        return changed
