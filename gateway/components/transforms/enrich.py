"""The transform `enrich`."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable
from typing import Any, ClassVar, Literal

import msgspec

from ...errors import ConfigProblem, Reject, Retry
from ...event import Event
from ...lent import Changes, KeyValueBucket
from ...missing import MISSING
from ...paths import Path
from ...plugin import Settings, Transform
from ...subjects import key_is_legal
from ...templates import Template
from ...values import Duration, Size
from .._config import body_path
from ._body import keys_read, keys_through
from ._kv_cache import KvCache

_BUCKET = re.compile(r"[A-Za-z0-9_-]{1,255}")
_PAUSES = (0.25, 0.5, 1.0, 2.0, 5.0)
"""Seconds before the 1st, 2nd, ... try to watch a bucket again."""

_decode = msgspec.json.Decoder().decode


class Enrich(Transform, name="enrich"):
    """Add what a JetStream key-value bucket knows of the event.

    `key` is a template; the JSON value it leads to is set at `into`. Values are remembered up to `cache` bytes, the
    least recently used ones forgotten first, and a watch on the bucket keeps them current: an event asks the server
    only for a key nobody has asked for lately. So a bucket may be of any size; one with more in use than `cache` holds
    costs requests, not memory. A change in the bucket is seen as soon as the server tells it, a deletion too; what it
    does not tell, a value that expires by itself, after `refresh` at the latest. While the bucket cannot be watched,
    every event asks; while nobody answers, events are tried again.

    `on-missing` is for a key that is not in the bucket, one the event has no value for, and one that no bucket can
    have (keys are letters, digits and `-/_=`, in tokens joined by dots): `skip` lets the event go on as it is, `reject`
    dead-letters it as `key-missing`, `retry` tries it again in case the key comes; a key that cannot come is rejected
    then as well. A value that is not JSON is rejected as `value-not-json`. The route is down until the bucket is there.
    """

    class Config(Settings, frozen=True):
        """The look-up."""

        bucket: str
        key: Template
        into: Path
        on_missing: Literal["skip", "reject", "retry"] = "skip"
        cache: Size = Size(64 << 20)
        """Bytes of keys and values to remember, at most."""
        refresh: Duration = Duration(300)
        """How long a remembered value is trusted without being asked for again."""

    config: Config
    codes: ClassVar[tuple[str, ...]] = ("key-missing", "value-not-json")
    shared: ClassVar[bool] = True
    may_wait: ClassVar[bool] = True
    example: ClassVar[Any] = {
        "bucket": "customers",
        "key": "{detail.data.customerId}",
        "into": "detail.data.customer",
        "on-missing": "reject",
    }

    def prepare(self) -> None:
        """Check bucket, key and destination; raises ConfigProblem."""
        config = self.config
        if not _BUCKET.fullmatch(config.bucket):
            raise ConfigProblem(("bucket",), f"{config.bucket!r} is no name of a bucket", "letters, digits, _ and -")
        if config.key.constant is not None and not key_is_legal(config.key.constant):
            raise ConfigProblem(
                ("key",), f"{config.key.constant!r} is no key", "letters, digits and -/_= in tokens joined by dots"
            )
        self._into = body_path(config.into, "into")
        self._cache = KvCache(int(config.cache), float(config.refresh))
        self._asking: dict[str, asyncio.Task[bytes | None]] = {}
        self._bucket: KeyValueBucket | None = None
        self._watch: asyncio.Task[None] | None = None

    def reads(self) -> frozenset[str]:
        """What the key reads, and the key of the body that the destination leads through."""
        read = [placeholder.path for placeholder in self.config.key.placeholders()]
        return keys_read(read) | keys_through([self._into])

    async def open(self) -> None:
        """Find the bucket and watch it; raises Retry when that cannot be done now."""
        changes = await self._begin()
        self._watch = asyncio.get_running_loop().create_task(self._keep_watching(changes))

    async def close(self) -> None:
        """Watch no longer."""
        tasks: list[asyncio.Task[Any]] = [*self._asking.values()]
        if self._watch is not None:
            tasks.append(self._watch)
            self._watch = None
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def apply(self, event: Event) -> Event | Awaitable[Event]:
        """The event with the value set; an awaitable of it when the bucket has to be asked."""
        key = self.config.key.render(event)
        if key is MISSING or not key_is_legal(key):
            return self._without(event, may_come=False)
        value = self._cache.get(key)
        return self._ask(event, key) if value is MISSING else self._with(event, value)

    def _with(self, event: Event, value: Any) -> Event:
        if value is None:
            return self._without(event, may_come=True)
        try:
            found = _decode(value)
        except (ValueError, RecursionError):
            raise Reject("value-not-json", f"a value in bucket {self.config.bucket} is not JSON") from None
        return event.set(self._into, found)

    def _without(self, event: Event, *, may_come: bool) -> Event:
        wanted = self.config.on_missing
        if wanted == "skip":
            return event
        if wanted == "retry" and may_come:
            raise Retry(f"the key is not in bucket {self.config.bucket}")
        why = "the key is not in" if may_come else "the event has no legal key for"
        raise Reject("key-missing", f"{why} bucket {self.config.bucket}")

    # ------------------------------------------------------------------ asking

    async def _ask(self, event: Event, key: str) -> Event:
        """Events that need one key at the same time share one request; a time-out of one is not the others'."""
        task = self._asking.get(key)
        if task is None:
            task = self._asking[key] = asyncio.get_running_loop().create_task(self._look_up(key))
            task.add_done_callback(lambda done: self._asked(key, done))
        return self._with(event, await asyncio.shield(task))

    async def _look_up(self, key: str) -> bytes | None:
        if self._bucket is None:
            raise Retry(f"bucket {self.config.bucket} is not open")
        question = self._cache.ask(key)
        try:
            value = await self._bucket.get(key)
            self._cache.answer(question, value)
        finally:
            self._cache.done(question)
        return value

    def _asked(self, key: str, task: asyncio.Task[bytes | None]) -> None:
        del self._asking[key]
        if not task.cancelled():
            task.exception()  # Whoever waits for it has it; if nobody does any more, nobody needs it.

    # ------------------------------------------------------------------ watching

    async def _begin(self) -> Changes:
        """Find the bucket, which may have been made anew, and watch it; raises Retry."""
        self._bucket = await self.context.kv(self.config.bucket)
        changes = await self._bucket.changes()
        self._cache.watched()
        return changes

    async def _keep_watching(self, changes: Changes) -> None:
        while True:
            try:
                async for key, value in changes:
                    self._cache.changed(key, value)
            except Retry as fault:
                self._say("is not watched: %s", fault.message)
            except Exception:
                self.context.log.exception("the watch failed", extra={"event": "enrich.failed"})
            finally:
                self._cache.forget()
                await changes.aclose()
            changes = await self._again()

    async def _again(self) -> Changes:
        """Watch again, however long that takes."""
        tries = 0
        while True:
            await asyncio.sleep(_PAUSES[min(tries, len(_PAUSES) - 1)])
            tries += 1
            try:
                changes = await self._begin()
            except Retry as fault:
                if tries == 1:
                    self._say("cannot be watched: %s", fault.message)
            except Exception:
                self.context.log.exception("the watch failed", extra={"event": "enrich.failed"})
            else:
                self._say("is watched again%s", "")
                return changes

    def _say(self, text: str, more: str) -> None:
        bucket = self.config.bucket
        self.context.log.warning(f"bucket %s {text}", bucket, more, extra={"event": "enrich.watch", "bucket": bucket})
