"""As much of an event, a context and a bucket as the filters ask for."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from gateway import MISSING, Path


@dataclass
class FakeEvent:
    """An event with a body and a type."""

    body: Any
    type: str | None = "order"

    def top(self, key: str) -> Any:
        return self.body.get(key, MISSING) if isinstance(self.body, dict) else MISSING

    def get(self, path: Path, default: Any = None) -> Any:
        value = path.read(self)  # type: ignore[arg-type]
        return default if value is MISSING else value


class FakeBucket:
    """A bucket in memory; its watch says nothing before `tell` is set, as one whose messages are on their way."""

    def __init__(self) -> None:
        self.values: dict[str, bytes] = {}
        self.gets: list[str] = []
        self.tell = asyncio.Event()
        self.fails: Exception | None = None
        self._changes: asyncio.Queue[tuple[str, bytes | None] | Exception] = asyncio.Queue()

    def change(self, key: str, value: bytes | None) -> None:
        """Store or delete, and let the watch know."""
        if value is None:
            del self.values[key]
        else:
            self.values[key] = value
        self._changes.put_nowait((key, value))

    def end_watch(self, error: Exception) -> None:
        """Let the watch fail."""
        self._changes.put_nowait(error)

    async def get(self, key: str) -> bytes | None:
        self.gets.append(key)
        if self.fails is not None:
            raise self.fails
        return self.values.get(key)

    async def watch(self, key: str = ">") -> AsyncIterator[tuple[str, bytes | None]]:
        await self.tell.wait()
        while True:
            change = await self._changes.get()
            if isinstance(change, Exception):
                raise change
            yield change


class FakeContext:
    """Lends a bucket, a logger and a counter."""

    def __init__(self, bucket: FakeBucket | None = None) -> None:
        self.bucket = bucket
        self.log = logging.getLogger("test.json-schema")
        self.metrics = self
        self.counted: dict[str, float] = {}

    async def kv(self, bucket: str) -> Any:
        return self.bucket

    def counter(self, name: str, labels: Mapping[str, str] | None = None) -> Any:
        context = self

        class Counter:
            def inc(self, amount: float = 1) -> None:
                context.counted[name] = context.counted.get(name, 0) + amount

        return Counter()


@pytest.fixture
def event() -> Callable[..., FakeEvent]:
    """`event(body, type=...)`."""
    return FakeEvent


@pytest.fixture
def context() -> FakeContext:
    """A context without a bucket."""
    return FakeContext()


@pytest.fixture
def with_bucket() -> Callable[[], tuple[FakeBucket, FakeContext]]:
    """Makes a bucket and the context that lends it; to be called where a loop runs."""

    def make() -> tuple[FakeBucket, FakeContext]:
        bucket = FakeBucket()
        return bucket, FakeContext(bucket)

    return make
