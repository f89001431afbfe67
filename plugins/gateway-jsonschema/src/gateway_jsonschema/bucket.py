"""The filter `json-schema-kv`: schemas from a key-value bucket, watched."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Awaitable
from typing import Any, ClassVar

from gateway import ConfigProblem, Event, Retry

from .gate import Gate, GateSettings

_PAUSE = 1.0
"""Seconds before a watch that failed is tried again."""
_MOST_ABSENT = 10_000
"""Types remembered as having no schema; events make them up, so their number is bounded."""
_LONGEST = 256
"""Characters of a type that is remembered."""


class BucketSettings(GateSettings, kw_only=True, frozen=True):
    """The settings of `json-schema-kv`."""

    bucket: str
    """The bucket; it has to exist. A key is an event type, its value the schema."""


class BucketSchemas(Gate, name="json-schema-kv"):
    """Refuse events that break the JSON Schema of their type, with schemas from a key-value bucket.

    The key is the type, or what `types` says. The bucket is watched: a new or changed schema takes effect at once. One
    that is broken is logged and counted, and the former one stays.
    """

    Config = BucketSettings
    config: BucketSettings
    shared = True
    may_wait = True
    example: ClassVar[Any] = {"bucket": "SCHEMAS", "path": "data"}

    def prepare(self) -> None:
        """Check the settings."""
        super().prepare()
        if not re.fullmatch(r"[-\w]+", self.config.bucket, re.ASCII):
            raise ConfigProblem(("bucket",), "that is no name of a bucket", "letters, digits, - and _")

    async def open(self) -> None:
        """Open the bucket, which has to exist, and begin to watch it."""
        self._bucket = await self.context.kv(self.config.bucket)
        self._absent: set[str] = set()
        self._asked: set[str] = set()
        self._told: dict[str, str] = {}
        self._faults = self.context.metrics.counter("broken_schemas_total", {"bucket": self.config.bucket})
        self._watcher = asyncio.get_running_loop().create_task(self._watch())

    async def close(self) -> None:
        """Stop watching."""
        self._watcher.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._watcher

    def accepts(self, event: Event) -> bool | Awaitable[bool]:
        """Whether the event keeps its schema; raises Reject when it does not. Waits only for a type not seen yet."""
        name = self.schema_name(event)
        if name is None:
            return self.unknown()
        validator = self.library.validators.get(name)
        return self._fetched(event, name) if validator is None else self.check(event, validator)

    async def _fetched(self, event: Event, name: str) -> bool:
        """With the schema of a type the watch has not told: at the start it may only be on its way."""
        library = self.library
        if name not in library.broken and name not in self._absent:
            self._asked.add(name)
            text = await self._get(name)
            if text is not None and name in self._asked:
                self._take(name, text)
            self._asked.discard(name)
        if name in library.validators:
            return self.check(event, library.validators[name])
        if name in library.broken:
            raise Retry("the schema of the event's type is broken", code="schema-broken")
        if len(name) <= _LONGEST:
            if len(self._absent) >= _MOST_ABSENT:
                self._absent.clear()
            self._absent.add(name)
        return self.unknown()

    async def _get(self, name: str) -> bytes | None:
        try:
            return await self._bucket.get(name)
        except ValueError:
            return None  # no bucket can have such a key

    async def _watch(self) -> None:
        """Follow the bucket for as long as the route lives."""
        while True:
            try:
                async for name, text in self._bucket.watch():
                    # It is newer than any answer still on its way.
                    self._asked.discard(name)
                    self._take(name, text)
            except Exception as error:  # noqa: BLE001 - whatever is raised, the schemas so far stay in use
                told = {"event": "schema.watch-failed", "bucket": self.config.bucket}
                self.context.log.warning("bucket %s: watching again: %r", self.config.bucket, error, extra=told)
            # What came meanwhile is told again by the next watch, but for types that were found to be absent.
            self._absent.clear()
            await asyncio.sleep(_PAUSE)

    def _take(self, name: str, text: bytes | None) -> None:
        """Put a schema in use, or say why not."""
        if text is None:
            self.library.remove(name)
        else:
            self.library.put(name, text)
        for broken, reason in self.library.broken.items():
            if self._told.get(broken) != reason:
                former = "the former one stays" if broken in self.library.validators else "there is no former one"
                told = {"event": "schema.broken", "bucket": self.config.bucket, "place": broken}
                self.context.log.error("bucket %s: %s: %s; %s", self.config.bucket, broken, reason, former, extra=told)
                self._faults.inc()
        for healed in self._told.keys() - self.library.broken.keys():
            self.context.log.info("bucket %s: %s is in use again", self.config.bucket, healed)
        self._told = dict(self.library.broken)
