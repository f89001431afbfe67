"""Who else runs under this gateway's name, and with which config; told by records in a key-value bucket.

Every replica keeps one record there, written again every EVERY seconds and gone TTL seconds after it has died. No
event depends on it: without the bucket the gateway works as before, and only cannot say whether its replicas agree, nor
change durables. docs/decisions/0011 has the reasons.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections import Counter
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any

import msgspec

from ..errors import Retry
from .api import STREAM_NOT_FOUND, ApiError, ApiUnavailable, JetStreamApi
from .bucket import Bucket
from .replica_records import Replica, bucket_of, fingerprint, holder_of, key_of, records

log = logging.getLogger("gateway")

EVERY = 30.0
"""Seconds between two writings of the own record, and two looks at the others."""
TTL = 90.0
"""Seconds a record lives, so that two writings may fail."""
LONGEST = 600.0
"""Seconds between two tries to use a bucket that cannot be used, at most."""
SOON = 1.0
"""Seconds after somebody became active in an ordered route until the records are written and read: others follow.
Pauses begin with it, and double, while the bucket cannot be used, or does not say who has a pin: most often somebody
was only slow.
"""
MOST_PINS = 250
"""Pins one record can name: its size is bounded."""
PARTING = 1.0
"""Seconds for taking the record away at the end."""
STREAM_EXISTS = 10058


class Replicas:
    """The replicas of one gateway, this one among them."""

    def __init__(
        self,
        api: JetStreamApi,
        gateway: str,
        instance: str,
        digest: str,
        streams: Callable[[], Iterable[str]],
        told: Callable[[int, int], None] = lambda replicas, configs: None,
        pins: Callable[[], Iterable[tuple[str, bool]]] = tuple,
    ) -> None:
        """`streams` are those the routes read: the bucket is as safe as they are. `told` hears how many are seen, and
        `pins` are those that somebody has now, and whether that is this one.
        """
        self._api = api
        self._connection = api.connection
        self._name = bucket_of(gateway)
        self._streams = streams
        self._tell = told
        self._pins = pins
        self._known: list[Replica] = []
        """As read last, this one included; none while nobody can tell."""
        self._soon: asyncio.TimerHandle | None = None
        self.gateway = gateway
        self.instance = instance
        self.digest = digest
        self.bucket = Bucket(api, self._name, self._name)
        self._key = key_of("replica", instance)
        self._born = 0
        self._shown = ""
        """The digest of the own record, once it is stored."""
        self._lock = asyncio.Lock()
        self._news = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._fault = ""
        self._failed = False
        self._again = 0
        """How often, one after the other, it was not used, or did not tell all."""
        self._differing: tuple[str, ...] = ()
        self._may = False
        self.turns = 0
        """How often this config became one that may change durables: who had to wait may try again."""

    def start(self) -> None:
        """Begin to look, whenever there is a connection."""
        self._connection.changed.append(self._connection_changed)
        self._task = asyncio.get_running_loop().create_task(self._keep())

    @property
    def seen(self) -> dict[str, str]:
        """The instances there are, this one included, and their configs; none while nobody can tell."""
        return {replica.instance: replica.config for replica in sorted(self._known, key=lambda one: one.instance)}

    def holder(self, pin: str) -> str:
        """The instance that has a pin, "" when that is not known, or not yet."""
        return holder_of(pin, self._known)

    def turn_changed(self) -> None:
        """Another replica is active in some ordered route: say so, and hear it from others, soon."""
        if self._soon is None and self._task is not None:
            self._soon = asyncio.get_running_loop().call_later(SOON, self._look_now)

    def _look_now(self) -> None:
        self._soon = None
        if not self._failed:  # else when it can be used again
            self._news.set()

    def use(self, digest: str) -> None:
        """Another config runs here from now on."""
        self.digest = digest
        self._news.set()

    async def leave(self) -> None:
        """Take the own record away, so that nobody waits for it to die."""
        if self._task is not None:
            self._task.cancel()
        if self._soon is not None:
            self._soon.cancel()
        if self._shown and self._connection.connected:
            try:
                await asyncio.wait_for(self.bucket.delete(self._key), PARTING)
            except (Retry, TimeoutError) as error:
                log.debug("the replica's record stays until it dies: %s", error, extra={"event": "replicas.not-left"})

    async def newer(self) -> list[str]:
        """The configs of live replicas that are newer than this one's: theirs is the word on durables.

        The own record is stored before; so of two that ask, the second sees the first. Raises Retry.
        """
        return await self._newer()

    def doubted(self) -> None:
        """Something could not be done with the bucket: the next good look counts as a new turn."""
        self._may = False

    # ------------------------------------------------------------------ the record

    async def _keep(self) -> None:
        while True:
            self._news.clear()
            well, most = True, EVERY
            if self._connection.connected and any(True for _ in self._streams()):
                try:
                    await self._newer(again=True)
                    well = all(self.holder(pin) for pin, ours in self._pins() if not ours)
                except Retry:
                    well, most = False, LONGEST
                except Exception:
                    log.exception("looking at replicas failed", extra={"event": "replicas.failed"})
            self._again = 0 if well else self._again + 1
            pause = most if well else min(SOON * 2 ** min(self._again, 20), most)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), pause * (0.9 + 0.2 * random.random()))
                self._again = 0

    async def _newer(self, *, again: bool = False) -> list[str]:
        born: dict[str, int] = {}
        while self.digest not in born:  # else a reload came while the record was written
            born = _born(await self._register(again=again))
        mine = (born[self.digest], self.digest)
        # Two configs that came at the same moment have an order too: everybody must see the same one.
        newer = sorted(config for config, number in born.items() if (number, config) > mine)
        if not newer and not self._may:
            self.turns += 1
        self._may = not newer
        return newer

    def _connection_changed(self, connected: bool) -> None:
        if connected:
            self._failed = False
            self._news.set()

    def _cannot(self, why: str) -> None:
        """Say it once; nothing else depends on it."""
        self._failed = True
        self._known = []
        self.doubted()
        self._tell(0, 0)
        if self._fault != why:
            self._fault = why
            log.warning(
                "cannot tell whether replicas run the same config: %s",
                why,
                extra={
                    "event": "replicas.unknown",
                    "hint": f"events go on; it needs the bucket {self._name}, and the right to use it",
                },
            )

    async def _register(self, *, again: bool) -> list[Replica]:
        """Write the own record and read all of them; raises Retry, at once after a failure unless `again`."""
        async with self._lock:
            if self._failed and not again:
                raise Retry(self._fault)
            try:
                found = await self._write()
            except Retry as error:
                self._cannot(error.message)
                raise
            except (ApiError, ApiUnavailable) as error:
                self._cannot(f"bucket {self._name}: {error}")
                raise Retry(self._fault) from error
            self._failed = False
            self._fault = ""
            self._compare(found)
            return found

    async def _write(self) -> list[Replica]:
        found, last = await self._records()
        digest = self.digest
        if self._shown != digest:
            # A config is as old as the oldest record of it, be it of a replica that has just died.
            known = [replica.born for replica in found if replica.config == digest]
            self._born = min(known) if known else max([last, *(replica.born for replica in found)]) + 1
        pins = (fingerprint(pin) for pin, ours in self._pins() if ours)
        mine = Replica(self.instance, digest, self._born, tuple(islice(pins, MOST_PINS)))
        await self.bucket.put(self._key, msgspec.json.encode(mine))
        self._shown = digest
        return [mine, *(replica for replica in found if replica.instance != self.instance)]

    async def _records(self) -> tuple[list[Replica], int]:
        """All records, and the bucket's last revision; makes the bucket. Raises ApiError, ApiUnavailable and Retry."""
        try:
            return await records(self._api, self.bucket, self._name)
        except ApiError as error:
            if error.err_code != STREAM_NOT_FOUND:
                raise
        await self._make()
        return await records(self._api, self.bucket, self._name)

    async def _make(self) -> None:
        copies = 1
        for stream in self._streams():
            with contextlib.suppress(ApiError):  # its route says so
                copies = max(copies, int((await self._api.stream_info(stream))["config"].get("num_replicas", 1)))
        try:
            await self._api.request(f"STREAM.CREATE.KV_{self._name}", self._config(copies))
        except ApiError as error:
            if error.err_code != STREAM_EXISTS:  # a replica was faster, with other copies
                raise
            return
        log.info("bucket made: %s", self._name, extra={"event": "replicas.bucket-made", "copies": copies})

    def _config(self, copies: int) -> dict[str, Any]:
        return {
            "name": f"KV_{self._name}",
            "description": f"Replicas of the event gateway {self.gateway}, and their leases on durables",
            "subjects": [f"$KV.{self._name}.>"],
            "max_msgs_per_subject": 1,
            "max_age": int(TTL * 1e9),
            "max_bytes": 1 << 20,
            "max_msg_size": 4096,
            "duplicate_window": int(1e9),
            "storage": "file",
            "num_replicas": copies,
            "discard": "new",
            "allow_rollup_hdrs": True,
            "deny_delete": True,
            "allow_direct": True,
        }

    def _compare(self, replicas: list[Replica]) -> None:
        """Say once per change whether the replicas agree."""
        self._known = replicas
        counts = Counter(replica.config for replica in replicas)
        self._tell(len(replicas), len(counts))
        differing = tuple(sorted(counts)) if len(counts) > 1 else ()
        if differing == self._differing:
            return
        self._differing = differing
        if not differing:
            log.info("replicas run the same config", extra={"event": "replicas.config-agrees", "config": self.digest})
            return
        named = ", ".join(
            f"{config} ({count}{', this one among them' if config == self.digest else ''})"
            for config, count in sorted(counts.items())
        )
        log.warning(
            "replicas of %s run different configs: %s",
            self.gateway,
            named,
            extra={"event": "replicas.config-differs", "config": self.digest, "configs": dict(counts)},
        )


def _born(replicas: list[Replica]) -> dict[str, int]:
    """Each config, and when it was first seen."""
    born: dict[str, int] = {}
    for replica in replicas:
        born[replica.config] = min(born.get(replica.config, replica.born), replica.born)
    return born
