"""The transform enrich and its cache, over a bucket in memory."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable
from typing import Any

import pytest

from gateway.components.transforms._kv_cache import OVERHEAD, KvCache
from gateway.components.transforms.enrich import Enrich
from gateway.errors import ConfigProblem, Reject, Retry
from gateway.event import Event
from gateway.missing import MISSING
from tests.support.eventually import eventually
from tests.unit.build import make, make_event

CONFIG = {"bucket": "customers", "key": "c.{who}", "into": "customer"}


class Feed:
    """Changes as the test makes them; an exception ends it."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[tuple[str, bytes | None] | Exception] = asyncio.Queue()

    def __aiter__(self) -> Feed:
        return self

    async def __anext__(self) -> tuple[str, bytes | None]:
        entry = await self.queue.get()
        if isinstance(entry, Exception):
            raise entry
        return entry

    async def aclose(self) -> None:
        """Nothing to close."""


class Memory:
    """Bucket and context in one. `gate` holds look-ups back; `fault` is raised by whatever is asked."""

    log = logging.getLogger("tests.enrich")

    def __init__(self, **values: bytes) -> None:
        self.values: dict[str, bytes] = {f"c.{name}": value for name, value in values.items()}
        self.asked: list[str] = []
        self.feeds: list[Feed] = []
        self.fault: Exception | None = None
        self.gate = asyncio.Event()
        self.gate.set()

    async def kv(self, bucket: str) -> Memory:
        if self.fault:
            raise self.fault
        return self

    async def get(self, key: str) -> bytes | None:
        self.asked.append(key)
        value = self.values.get(key)
        await self.gate.wait()
        if self.fault:
            raise self.fault
        return value

    async def changes(self, key: str = ">") -> Feed:
        if self.fault:
            raise self.fault
        self.feeds.append(Feed())
        return self.feeds[-1]

    def put(self, name: str, value: bytes | None) -> None:
        """A change the watch tells of."""
        self.values.pop(f"c.{name}", None)
        if value is not None:
            self.values[f"c.{name}"] = value
        self.feeds[-1].queue.put_nowait((f"c.{name}", value))


async def opened(bucket: Memory, **config: Any) -> Enrich:
    step: Enrich = make(Enrich, {**CONFIG, **config})
    step.context = bucket  # type: ignore[assignment]
    await step.open()
    return step


async def out(step: Enrich, body: Any) -> Any:
    """The body of what comes out."""
    answer = step.apply(make_event(body))
    event = await answer if isinstance(answer, Awaitable) else answer
    return event.body


def at_once(step: Enrich, body: Any) -> Any:
    """The same, of what is known without asking."""
    answer = step.apply(make_event(body))
    assert isinstance(answer, Event)
    return answer.body


async def test_a_key_is_asked_for_once_and_then_known_at_once() -> None:
    bucket = Memory(a=b'{"name": "Ann"}')
    step = await opened(bucket)
    wanted = {"who": "a", "customer": {"name": "Ann"}}
    assert await out(step, {"who": "a"}) == wanted
    assert at_once(step, {"who": "a"}) == wanted
    assert await out(step, {"who": "b"}) == {"who": "b"}
    assert at_once(step, {"who": "b"}) == {"who": "b"}, "an absent key is known as well"
    assert bucket.asked == ["c.a", "c.b"]
    await step.close()


async def test_events_that_need_one_key_share_a_request_and_not_a_time_out() -> None:
    bucket = Memory(a=b"1")
    step = await opened(bucket)
    bucket.gate.clear()
    waiting = [asyncio.ensure_future(out(step, {"who": "a"})) for _ in range(3)]
    await eventually(lambda: bucket.asked)
    waiting[0].cancel()
    bucket.gate.set()
    assert await asyncio.gather(*waiting[1:]) == [{"who": "a", "customer": 1}] * 2
    assert bucket.asked == ["c.a"]
    await step.close()


async def test_the_watch_keeps_what_is_known_current() -> None:
    bucket = Memory(a=b"1")
    step = await opened(bucket)
    assert await out(step, {"who": "a"}) == {"who": "a", "customer": 1}
    for value, body in ((b"2", {"who": "a", "customer": 2}), (None, {"who": "a"}), (b"3", {"who": "a", "customer": 3})):
        bucket.put("a", value)
        await eventually(lambda body=body: at_once(step, {"who": "a"}) == body)  # type: ignore[misc]
    assert bucket.asked == ["c.a"]
    await step.close()


async def test_an_answer_overtaken_by_a_change_is_not_kept() -> None:
    """The look-up saw the old value; the watch has told the new one before the answer came."""
    bucket = Memory(a=b"1", z=b"0")
    step = await opened(bucket)
    bucket.gate.clear()
    late = asyncio.ensure_future(out(step, {"who": "a"}))
    await eventually(lambda: bucket.asked)
    bucket.put("a", b"2")
    await eventually(bucket.feeds[-1].queue.empty)
    bucket.gate.set()
    await late
    assert await out(step, {"who": "a"}) == {"who": "a", "customer": 2}
    await step.close()


async def test_without_a_watch_every_event_asks_and_with_a_new_one_nothing_old_is_known() -> None:
    bucket = Memory(a=b"1")
    step = await opened(bucket)
    assert await out(step, {"who": "a"}) == {"who": "a", "customer": 1}
    bucket.feeds[-1].queue.put_nowait(Retry("gone"))
    await eventually(lambda: not len(step._cache))
    bucket.values["c.a"] = b"2"
    assert [await out(step, {"who": "a"}) for _ in range(2)] == [{"who": "a", "customer": 2}] * 2
    assert len(bucket.asked) == 3
    await eventually(lambda: len(bucket.feeds) == 2)
    await out(step, {"who": "a"})
    assert at_once(step, {"who": "a"}) == {"who": "a", "customer": 2}
    await step.close()


async def test_a_bucket_nobody_can_reach_means_retry_and_no_opening() -> None:
    bucket = Memory()
    step = await opened(bucket)
    bucket.fault = Retry("away")
    with pytest.raises(Retry, match="away"):
        await out(step, {"who": "a"})
    await step.close()
    with pytest.raises(Retry, match="away"):
        await opened(bucket)


@pytest.mark.parametrize("who", [MISSING, "", ".", "a b", "*", ">", "a..b", "é", "x" * 4000, {"a": 1}])
@pytest.mark.parametrize(("on_missing", "code"), [("skip", ""), ("reject", "key-missing"), ("retry", "key-missing")])
async def test_a_key_no_bucket_can_have_is_missing_for_good(who: Any, on_missing: str, code: str) -> None:
    """The server is never asked for it: a wildcard would find something, an overlong one costs the connection."""
    bucket = Memory()
    step = await opened(bucket, **{"on-missing": on_missing})
    body = {} if who is MISSING else {"who": who}
    if code:
        with pytest.raises(Reject) as caught:
            step.apply(make_event(body))
        assert caught.value.code == code
    else:
        assert at_once(step, body) == body
    assert bucket.asked == []
    await step.close()


async def test_a_key_that_is_not_there_is_what_the_config_says() -> None:
    bucket = Memory()
    for on_missing, raised in (("reject", Reject), ("retry", Retry)):
        step = await opened(bucket, **{"on-missing": on_missing})
        with pytest.raises(raised, match="not in bucket customers"):
            await out(step, {"who": "a"})
        with pytest.raises(raised):
            at_once(step, {"who": "a"})
        await step.close()


@pytest.mark.parametrize("value", [b"", b"{", b"secret", b"\xff", b"[" * 100_000])
async def test_a_value_that_is_not_json_is_rejected_without_showing_it(value: bytes) -> None:
    step = await opened(Memory(a=value))
    with pytest.raises(Reject, match=r"^a value in bucket customers is not JSON$") as caught:
        await out(step, {"who": "a"})
    assert caught.value.code == "value-not-json"
    await step.close()


@pytest.mark.parametrize(
    ("config", "path"),
    [({"bucket": "a.b"}, "bucket"), ({"key": "a b"}, "key"), ({"key": "{a"}, ""), ({"into": "$subject"}, "into")],
)
def test_a_config_that_cannot_work_is_refused_at_its_place(config: dict[str, Any], path: str) -> None:
    with pytest.raises(ConfigProblem) as caught:
        make(Enrich, {**CONFIG, **config})
    assert ".".join(map(str, caught.value.path)) == path


def test_it_reads_what_key_and_destination_need() -> None:
    step = make(Enrich, {**CONFIG, "key": "{a.b}.{$subject}", "into": "x.y"})
    assert step.reads() == {"a", "x"}


# ---------------------------------------------------------------------- the cache


def filled(limit: int, *keys: str) -> KvCache:
    cache = KvCache(limit, 10.0)
    cache.watched()
    for key in keys:
        learn(cache, key, b"v")
    return cache


def learn(cache: KvCache, key: str, value: bytes | None) -> None:
    question = cache.ask(key)
    cache.answer(question, value)
    cache.done(question)


def test_memory_is_bounded_and_the_least_used_goes_first() -> None:
    cache = filled(3 * (OVERHEAD + 2), "a", "b", "c")
    assert cache.get("a") == b"v"
    learn(cache, "d", b"v")
    assert [cache.get(key) for key in "abcd"] == [b"v", MISSING, b"v", b"v"]
    learn(cache, "e", b"v" * OVERHEAD)
    assert cache.size <= 3 * (OVERHEAD + 2)
    learn(cache, "f", b"v" * 10 * OVERHEAD)
    assert cache.get("f") is MISSING, "larger than all of it"
    for number in range(10_000):
        learn(cache, f"k{number}", None)
    assert cache.size <= 3 * (OVERHEAD + 2)


def test_a_change_too_large_to_keep_takes_the_old_value_away() -> None:
    cache = filled(OVERHEAD + 10, "a")
    cache.changed("a", b"v" * 100)
    assert cache.get("a") is MISSING
    assert cache.size == 0


def test_an_entry_is_trusted_only_for_its_lifetime() -> None:
    now = [0.0]
    cache = KvCache(10_000, 5.0, lambda: now[0])
    cache.watched()
    learn(cache, "a", b"v")
    now[0] = 4.9
    assert cache.get("a") == b"v"
    now[0] = 5.1
    assert cache.get("a") is MISSING
    assert cache.size == 0


def test_what_was_asked_before_a_watch_or_while_it_was_lost_is_not_kept() -> None:
    cache = KvCache(10_000, 10.0)
    early = cache.ask("a")
    cache.watched()
    cache.answer(early, b"1")
    cache.done(early)
    assert cache.get("a") is MISSING
    across = cache.ask("b")
    cache.forget()
    cache.watched()
    cache.answer(across, b"1")
    assert cache.get("b") is MISSING


def test_what_nobody_asked_for_is_not_kept() -> None:
    """A bucket of a million keys changes all the time."""
    cache = filled(10_000, "a")
    cache.changed("b", b"1")
    assert cache.get("b") is MISSING
    assert len(cache) == 1
