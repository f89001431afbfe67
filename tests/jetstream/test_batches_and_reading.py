"""What components use of streams beyond one publish: many at once, and reading back the newest first."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from nats.aio.client import Client

from gateway.config.model import Nats
from gateway.errors import Reject, Retry
from gateway.event import PubAck
from gateway.jetstream.context import JetStreamContext, Services
from gateway.jetstream.oneshot import OneShot, connected
from gateway.jetstream.server import EmbeddedServer
from gateway.records import Message
from gateway.routing.offline import NullMetrics
from tests.support.eventually import eventually
from tests.support.proxy import Proxy
from tests.support.servers import gateway_url, permissions, restart_with
from tests.support.streams import api, change_stream, count, make_stream, read_stream


def context_of(link: OneShot) -> JetStreamContext:
    services = Services(link.api, "_INBOX")
    return JetStreamContext(services, "gateway", "r", "test", None, NullMetrics())


@pytest.fixture
async def link(nats_server: EmbeddedServer) -> AsyncIterator[OneShot]:
    async with connected(Nats(servers=[nats_server.url]), "test", 5) as link:
        yield link


@pytest.fixture
def context(link: OneShot) -> JetStreamContext:
    return context_of(link)


def messages(count: int, subject: str = "a.x", first: int = 0) -> list[Message]:
    return [Message(subject, b"%d" % n, {"Nats-Msg-Id": f"{subject}-{n}"}) for n in range(first, first + count)]


async def test_many_messages_are_stored_in_order_with_a_word_on_each(nc: Client, context: JetStreamContext) -> None:
    await make_stream(nc, "A", ["a.>"])
    words = await context.publish_all(messages(1000))
    assert words == [PubAck("A", n) for n in range(1, 1001)]
    assert [message.data for message in await read_stream(nc, "A")] == [b"%d" % n for n in range(1000)]
    again = await context.publish_all(messages(3))
    assert again == [PubAck("A", n, duplicate=True) for n in range(1, 4)]
    assert await context.publish_all([]) == []


async def test_each_refusal_says_why(nc: Client, context: JetStreamContext) -> None:
    await make_stream(nc, "A", ["a.>"], max_msgs=2, discard="new")
    await make_stream(nc, "B", ["b.>"], max_msg_size=100)
    words = await context.publish_all(messages(3) + messages(1, "nobody") + [Message("b.x", b"x" * 200)])
    assert words[:2] == [PubAck("A", 1), PubAck("A", 2)]
    codes = [word.code for word in words[2:] if not isinstance(word, PubAck)]
    assert codes == ["stream-full", "no-stream", "too-large"]
    assert isinstance(words[2], Retry)
    assert isinstance(words[4], Reject)


@pytest.mark.parametrize(
    "message",
    [
        Message("a.*", b""),
        Message("a b", b""),
        Message("a." + "x" * 4000, b""),
        Message("a.x", b"x" * (1 << 20)),
        Message("a.x", b"", {"A B": "x"}),
        Message("a.x", b"", {"A": "x\r\nB: y"}),
    ],
    ids=["wildcard", "space", "long", "large", "header-name", "header-value"],
)
async def test_what_would_close_the_connection_is_never_sent(
    nc: Client, link: OneShot, context: JetStreamContext, message: Message
) -> None:
    await make_stream(nc, "A", ["a.>"])
    with pytest.raises(ValueError, match=r"."):
        await context.publish_all([*messages(1), message])
    assert await context.publish_all(messages(1)) == [PubAck("A", 1)], "nothing of the batch was sent"
    assert link.connection.reconnects == 0


async def test_a_lost_connection_ends_the_wait_at_once(nc: Client, nats_server: EmbeddedServer) -> None:
    await make_stream(nc, "A", ["a.>"])
    async with Proxy(nats_server.port) as proxy, connected(Nats(servers=[proxy.url]), "test", 5) as link:
        context = context_of(link)
        proxy.watch("pub", lambda frame: frame.upward and frame.verb == "HPUB")
        proxy.passes = lambda frame: not frame.is_puback
        waiting = asyncio.create_task(context.publish_all(messages(10), limit=60))
        await eventually(lambda: proxy.passed["pub"] == 10)
        proxy.cut()
        words = await asyncio.wait_for(waiting, 30)
        assert {word.code for word in words if isinstance(word, Retry)} == {"disconnected"}
        assert len(words) == 10
        proxy.passes = lambda _frame: True
        await eventually(lambda: link.connection.connected)
        again = await context.publish_all(messages(10))
        assert again == [PubAck("A", n, duplicate=True) for n in range(1, 11)]


async def test_a_denied_subject_ends_the_wait_at_once(nats_server: EmbeddedServer, nc: Client) -> None:
    await make_stream(nc, "A", ["a.>"])
    await restart_with(nats_server, nc, permissions('publish: { deny: ["a.>"] }'))
    async with connected(Nats(servers=[gateway_url(nats_server)]), "test", 5) as link:
        words = await asyncio.wait_for(context_of(link).publish_all(messages(3), limit=60), 30)
    assert [word.code for word in words if isinstance(word, Retry)] == ["no-permission"] * 3


async def test_silence_is_told_after_the_limit(nc: Client, context: JetStreamContext) -> None:
    heard = await nc.subscribe("a.x")

    async def word_of_one_that_is_heard() -> object:
        (word,) = await context.publish_all(messages(1), limit=0.1)
        return word if heard.pending_msgs else None

    word = await eventually(word_of_one_that_is_heard, what="somebody listens and says nothing")
    assert isinstance(word, Retry)
    assert word.code == "timeout"


@pytest.mark.parametrize("others", [0, 7])
async def test_recent_gives_the_newest_first(nc: Client, context: JetStreamContext, others: int) -> None:
    """Whatever stands between: pages grow until they are worth their request."""
    await make_stream(nc, "A", ["a.>"])
    batch: list[Message] = []
    for n in range(2500):
        batch += messages(others, "a.other", n * others) + messages(1, first=n)
    for start in range(0, len(batch), 2000):
        await context.publish_all(batch[start : start + 2000])
    found = [message async for message in context.recent("a.x", 2000)]
    assert [message.data for message in found] == [b"%d" % n for n in range(2499, 499, -1)]
    assert {(message.stream, message.subject) for message in found} == {("A", "a.x")}
    assert found[0].sequence == 2500 * (others + 1)


async def test_recent_steps_over_holes_and_ends_at_the_first(nc: Client, context: JetStreamContext) -> None:
    await make_stream(nc, "A", ["a.>"])
    await context.publish_all(messages(300))
    for sequence in (300, 298, 150):
        await api(nc, "STREAM.MSG.DELETE.A", {"seq": sequence})
    await api(nc, "STREAM.PURGE.A", {"seq": 101})
    found = [message.sequence async for message in context.recent("a.x", 1000)]
    assert found == [n for n in range(299, 100, -1) if n not in (298, 150)]


async def test_recent_of_nothing_is_empty_and_without_a_stream_is_said_so(
    nc: Client, context: JetStreamContext
) -> None:
    with pytest.raises(Retry, match=r"no stream takes a\.x") as caught:
        await anext(context.recent("a.x", 10))
    assert caught.value.code == "no-stream"
    await make_stream(nc, "A", ["a.>"])
    assert [message async for message in context.recent("a.x", 10)] == []


async def test_recent_leaves_no_consumer_behind(nc: Client, context: JetStreamContext) -> None:
    await make_stream(nc, "A", ["a.>"])
    await context.publish_all(messages(10))
    recent = context.recent("a.x", 1000)
    await anext(recent)
    await recent.aclose()  # type: ignore[attr-defined]

    async def none_left() -> bool:
        return bool((await api(nc, "STREAM.INFO.A"))["state"]["consumer_count"] == 0)

    await eventually(none_left)


async def test_reading_goes_on_after_a_lost_connection_with_each_message_once(
    nc: Client, nats_server: EmbeddedServer
) -> None:
    await make_stream(nc, "A", ["a.>"])
    async with Proxy(nats_server.port) as proxy, connected(Nats(servers=[proxy.url]), "test", 5) as link:
        for start in range(0, 3000, 1000):
            await context_of(link).publish_all(messages(1000, first=start))
        sequences = []
        async for message in link.reader.read("A", 1, 3000):
            sequences.append(message.sequence)
            if message.sequence in (700, 2100):
                proxy.cut()
        assert sequences == list(range(1, 3001))


async def test_messages_larger_than_a_request_are_read(nc: Client, link: OneShot) -> None:
    await make_stream(nc, "A", ["a.>"])
    for _ in range(12):
        await nc.jetstream().publish("a.x", b"x" * 900_000)
    found = [message.sequence async for message in link.reader.read("A", 1, 12)]
    assert found == list(range(1, 13))


async def test_a_message_larger_than_any_request_is_read(nc: Client, link: OneShot, monkeypatch: Any) -> None:
    monkeypatch.setattr("gateway.jetstream.reader.AT_ONCE_BYTES", 100_000)
    await make_stream(nc, "A", ["a.>"])
    for size in (10, 900_000, 900_000, 10):
        await nc.jetstream().publish("a.x", b"x" * size)

    async def read() -> list[int]:
        return [len(message.data) async for message in link.reader.read("A", 1, 4)]

    assert await asyncio.wait_for(read(), 60) == [10, 900_000, 900_000, 10]


async def test_reading_that_is_denied_is_said_so(nats_server: EmbeddedServer, nc: Client) -> None:
    await make_stream(nc, "A", ["a.>"])
    await nc.jetstream().publish("a.x", b"1")
    for denied in ("$JS.API.STREAM.NAMES", "$JS.API.CONSUMER.CREATE.>", "$JS.API.CONSUMER.MSG.NEXT.>"):
        await restart_with(nats_server, nc, permissions(f'publish: {{ deny: ["{denied}"] }}'))
        async with connected(Nats(servers=[gateway_url(nats_server)]), "test", 5) as link:
            with pytest.raises(Retry, match="no permission") as caught:
                await anext(context_of(link).recent("a.x", 10))
            assert caught.value.code == "no-permission", denied


async def test_a_jetstream_domain_is_respected(nats_server: EmbeddedServer, nc: Client) -> None:
    await restart_with(nats_server, nc, 'jetstream { domain: "hub" }')
    await make_stream(nc, "A", ["a.>"])
    async with connected(Nats(servers=[nats_server.url], domain="hub"), "test", 5) as link:
        await context_of(link).publish_all(messages(5))
        assert len([message async for message in context_of(link).recent("a.x", 10)]) == 5
        assert link.api.prefix == "$JS.hub.API"


async def test_the_limits_of_a_stream_do_not_stop_reading(nc: Client, link: OneShot) -> None:
    """A message that is cut while it is being read is simply not there any more."""
    await make_stream(nc, "A", ["a.>"])
    await context_of(link).publish_all(messages(2000))
    sequences = []
    async for message in link.reader.read("A", 1, 2000):
        sequences.append(message.sequence)
        if message.sequence == 400:
            await change_stream(nc, "A", max_msgs=500)
    assert sequences == sorted(set(sequences))
    assert sequences[-1] == 2000
    assert await count(nc, "A") == 500


async def test_reading_ends_when_what_was_left_is_purged(nc: Client, link: OneShot) -> None:
    await make_stream(nc, "A", ["a.>"])
    await context_of(link).publish_all(messages(2000))

    async def read() -> int:
        count = 0
        async for message in link.reader.read("A", 1, 2000):
            count += 1
            if message.sequence == 400:
                await api(nc, "STREAM.PURGE.A")
        return count

    assert 400 <= await asyncio.wait_for(read(), 60) < 2000


async def test_a_message_lost_on_the_way_is_read_again(nc: Client, nats_server: EmbeddedServer) -> None:
    """Without acks the server would never send it again: a hole in the numbers of deliveries begins the run anew."""
    await make_stream(nc, "A", ["a.>"])
    async with Proxy(nats_server.port) as proxy, connected(Nats(servers=[proxy.url]), "test", 5) as link:
        await context_of(link).publish_all(messages(100))
        proxy.watch("lost", lambda frame: not frame.upward and frame.payload.endswith(b"\r\n\r\n50"))
        proxy.passes = lambda frame: bool(proxy.dropped["lost"]) or not frame.payload.endswith(b"\r\n\r\n50")
        found = [message.sequence async for message in link.reader.read("A", 1, 100)]
        assert proxy.dropped["lost"] == 1
    assert found == list(range(1, 101))
