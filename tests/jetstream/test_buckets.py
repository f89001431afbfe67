"""Key-value buckets as components see them: values, changes, and an honest end when one may have been missed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from nats.aio.client import Client
from nats.js import JetStreamContext

from gateway.config.model import Nats
from gateway.errors import Retry
from gateway.jetstream.api import JetStreamApi
from gateway.jetstream.bucket import Bucket
from gateway.jetstream.connection import Connection
from gateway.jetstream.server import EmbeddedServer
from tests.support.eventually import eventually
from tests.support.streams import api


@pytest.fixture
async def edge(nats_server: EmbeddedServer) -> AsyncIterator[JetStreamApi]:
    connection = Connection(Nats(servers=[nats_server.url]), "test")
    connection.start()
    assert await connection.wait(30)
    yield JetStreamApi(connection)
    await connection.close()


async def test_values_are_read_and_written(edge: JetStreamApi, js: JetStreamContext) -> None:
    kv = await js.create_key_value(bucket="B")
    bucket = await Bucket.open(edge, "B")
    assert await bucket.get("a.b") is None
    assert await bucket.put("a.b", b"\x00\xff") == 1
    assert await bucket.get("a.b") == b"\x00\xff"
    assert (await kv.get("a.b")).value == b"\x00\xff"
    await kv.put("a.b", b"")
    assert await bucket.get("a.b") == b""
    for gone in (kv.delete, kv.purge):
        await kv.put("a.b", b"1")
        await gone("a.b")
        assert await bucket.get("a.b") is None


@pytest.mark.parametrize("answer", [b"", b"junk", b"[]", b"7", b"\xff", b"{}", b'{"stream": "KV_B"}', b'{"error": 5}'])
async def test_an_answer_that_is_none_says_of_nothing_that_it_is_stored(
    edge: JetStreamApi, nc: Client, answer: bytes
) -> None:
    """Anybody can subscribe to where a key is stored, and answer."""

    async def respond(message: Any) -> None:
        await message.respond(answer)

    await nc.subscribe("$KV.B.k", cb=respond)
    await nc.flush()
    with pytest.raises(Retry):
        await Bucket(edge, "B", "B").put("k", b"1")


async def test_a_swap_succeeds_only_while_nobody_else_has_written(edge: JetStreamApi, js: JetStreamContext) -> None:
    """What a lease stands on: of two that want the key, one gets it."""
    await js.create_key_value(bucket="B")
    bucket = await Bucket.open(edge, "B")
    assert await bucket.entry("k") == (0, None)
    assert await bucket.swap("k", b"mine", 0) == 1
    assert await bucket.swap("k", b"theirs", 0) is None
    assert await bucket.entry("k") == (1, b"mine")
    assert await bucket.swap("k", None, 1) == 2
    assert await bucket.entry("k") == (2, None), "deleted, and yet with a revision to begin from"
    assert await bucket.swap("k", b"theirs", 1) is None
    assert await bucket.swap("k", b"theirs", 2) == 3
    await bucket.delete("k")
    assert await bucket.get("k") is None


@pytest.mark.parametrize("key", ["", "a b", "*", ">", ".a", "a\r\nPUB x 0\r\n\r\n", "x" * 5000])
async def test_an_illegal_key_never_reaches_the_server(edge: JetStreamApi, js: JetStreamContext, key: str) -> None:
    await js.create_key_value(bucket="B")
    bucket = await Bucket.open(edge, "B")
    for call in (bucket.get(key), bucket.put(key, b"1")):
        with pytest.raises(ValueError, match="not a key"):
            await call
    assert edge.connection.reconnects == 0


async def test_a_bucket_that_is_not_there_asks_for_another_try(edge: JetStreamApi, js: JetStreamContext) -> None:
    with pytest.raises(Retry, match=r"^bucket B: stream not found"):
        await Bucket.open(edge, "B")
    with pytest.raises(ValueError, match="not the name of a bucket"):
        await Bucket.open(edge, "a.b")
    await js.create_key_value(bucket="B")
    bucket = await Bucket.open(edge, "B")
    await js.delete_key_value("B")
    for call in (bucket.get("a"), bucket.put("a", b"1"), bucket.changes()):
        with pytest.raises(Retry, match=r"^bucket B: "):
            await call
    assert len(edge.connection.changed) == 0, "a feed that failed to open listens no more"


async def test_a_mirror_is_read_by_the_keys_of_its_origin(nc: Client, edge: JetStreamApi, js: JetStreamContext) -> None:
    await (await js.create_key_value(bucket="B")).put("a", b"1")
    config = {"name": "KV_M", "mirror": {"name": "KV_B"}, "max_msgs_per_subject": 1, "mirror_direct": True}
    assert "error" not in await api(nc, "STREAM.CREATE.KV_M", config)
    bucket = await Bucket.open(edge, "M")
    await eventually(lambda: _is(bucket, "a", b"1"))


async def _is(bucket: Bucket, key: str, value: bytes) -> bool:
    return await bucket.get(key) == value


async def test_a_watch_gives_what_is_there_and_then_what_changes(edge: JetStreamApi, js: JetStreamContext) -> None:
    kv = await js.create_key_value(bucket="B", history=5)
    for key, value in (("a", b"0"), ("a", b"1"), ("b", b"2")):
        await kv.put(key, value)
    seen = (await Bucket.open(edge, "B")).watch()
    assert [await anext(seen), await anext(seen)] == [("a", b"1"), ("b", b"2")]
    await kv.delete("a")
    await kv.put("c.d", b"3")
    await kv.purge("b")
    assert [await anext(seen) for _ in range(3)] == [("a", None), ("c.d", b"3"), ("b", None)]
    await seen.aclose()  # type: ignore[attr-defined]


async def test_changes_begin_when_they_are_asked_for(edge: JetStreamApi, js: JetStreamContext) -> None:
    kv = await js.create_key_value(bucket="B")
    await kv.put("a", b"0")
    changes = await (await Bucket.open(edge, "B")).changes()
    await kv.put("a", b"1")
    assert await anext(changes) == ("a", b"1")
    await changes.aclose()


async def test_a_reader_that_is_slow_misses_nothing(edge: JetStreamApi, js: JetStreamContext) -> None:
    """Much more than the server lets be on its way: it waits for its flow control to be answered."""
    kv = await js.create_key_value(bucket="B")
    changes = await (await Bucket.open(edge, "B")).changes()
    value = b"x" * 100_000
    for number in range(200):
        await kv.put(f"k{number}", value)
    assert [key async for key, _ in _first(changes, 200)] == [f"k{number}" for number in range(200)]
    await changes.aclose()


async def _first(changes: Any, number: int) -> AsyncIterator[Any]:
    for _ in range(number):
        yield await asyncio.wait_for(anext(changes), 30)


async def test_a_bucket_that_goes_ends_the_changes(edge: JetStreamApi, js: JetStreamContext) -> None:
    """Nothing tells a listener that its consumer is gone but the heartbeats that stay away."""
    await js.create_key_value(bucket="B")
    changes = await (await Bucket.open(edge, "B")).changes()
    await js.delete_key_value("B")
    await js.create_key_value(bucket="B")
    with pytest.raises(Retry):
        await asyncio.wait_for(anext(changes), 30)
    await changes.aclose()


async def test_a_lost_connection_ends_the_changes_and_the_bucket_lives_on(
    nats_server: EmbeddedServer, edge: JetStreamApi, js: JetStreamContext
) -> None:
    await js.create_key_value(bucket="B")
    bucket = await Bucket.open(edge, "B")
    changes = await bucket.changes()
    await bucket.put("a", b"1")
    assert await anext(changes) == ("a", b"1")
    nats_server.kill()
    with pytest.raises(Retry, match="the connection changed"):
        await asyncio.wait_for(anext(changes), 30)
    await changes.aclose()
    nats_server.start_blocking()
    assert await edge.connection.wait(30)

    async def readable() -> bool:
        try:
            return await bucket.get("a") == b"1"
        except Retry:
            return False

    await eventually(readable)
