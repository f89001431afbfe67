"""Events, and as much of a context and a bucket as the filters ask for."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import pytest

from gateway import Event
from gateway.testing import make_event


class FakeBucket:
    """A bucket in memory; its watch says nothing before `tell` is set, as one whose messages are on their way."""

    def __init__(self) -> None:
        self.values: dict[str, bytes] = {}
        self.gets: list[str] = []
        self.tell = asyncio.Event()
        self.fails: Exception | None = None
        self.answer: asyncio.Event | None = None
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
        if not re.fullmatch(r"[-/_=a-zA-Z0-9]+(\.[-/_=a-zA-Z0-9]+)*", key):
            raise ValueError("not a key")
        self.gets.append(key)
        if self.fails is not None:
            raise self.fails
        value = self.values.get(key)
        if self.answer is not None:
            await self.answer.wait()
        return value

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
def event() -> Callable[..., Event]:
    """`event(body, kind=...)`: the type is in a header, so that the body can be anything."""

    def make(body: Any, kind: str | None = "order") -> Event:
        headers = {} if kind is None else {"X-Type": kind}
        return make_event({}, codec={"json": {"type": "$headers.X-Type"}}, headers=headers).replace(body=body)

    return make


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
