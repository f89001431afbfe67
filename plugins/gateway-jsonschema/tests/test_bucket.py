"""The filter `json-schema-kv`: what it does before, while and after its watch tells."""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest

from gateway import ConfigProblem, Path, Reject, Retry
from gateway_jsonschema import BucketSchemas, bucket

ID = json.dumps({"required": ["id"]}).encode()

Made = Callable[..., Any]


@asynccontextmanager
async def opened(context: Any, **settings: Any) -> AsyncIterator[Any]:
    """The filter, open."""
    component = BucketSchemas(BucketSchemas.Config(bucket="SCHEMAS", **settings), context)
    component.prepare()
    await component.open()
    try:
        yield component
    finally:
        await component.close()


async def said(gate: BucketSchemas, event: Any) -> bool:
    """What the filter answers, at once or after a while."""
    answer = gate.accepts(event)
    return await answer if inspect.isawaitable(answer) else answer


async def until(condition: Callable[[], bool]) -> None:
    """Let the watch run until it has taken something."""
    for _ in range(100_000):
        if condition():
            return
        await asyncio.sleep(0)
    raise AssertionError("the watch has not taken it")


def run(test: Coroutine[Any, Any, None]) -> None:
    """Run to the end."""
    asyncio.run(test)


def test_a_schema_the_watch_has_not_told_yet_is_fetched(with_bucket: Made, event: Made) -> None:
    """At the start an event must not be refused because its schema is on its way."""

    async def go() -> None:
        bucket, context = with_bucket()
        bucket.values["order"] = ID
        async with opened(context) as gate:
            assert await said(gate, event({"id": "1"})) is True
            with pytest.raises(Reject, match="the whole: required id"):
                await said(gate, event({}))
            assert bucket.gets == ["order"]

    run(go())


def test_a_new_schema_takes_effect_at_once(with_bucket: Made, event: Made) -> None:
    """First unknown, and not asked for again; then there; then another; then gone."""

    async def go() -> None:
        bucket, context = with_bucket()
        bucket.tell.set()
        async with opened(context) as gate:
            for _ in range(3):
                with pytest.raises(Reject) as caught:
                    await said(gate, event({}))
                assert caught.value.code == "schema-unknown"
            assert bucket.gets == ["order"]
            bucket.change("order", ID)
            await until(lambda: "order" in gate.library.validators)
            assert await said(gate, event({"id": "1"})) is True
            bucket.change("order", b"false")
            await until(lambda: gate.library.validators["order"].is_valid({"id": "1"}) is False)
            bucket.change("order", None)
            await until(lambda: "order" not in gate.library.validators)
            with pytest.raises(Reject, match="no schema"):
                await said(gate, event({}))

    run(go())


def test_a_broken_schema_is_told_and_the_former_one_stays(
    with_bucket: Made, event: Made, caplog: pytest.LogCaptureFixture
) -> None:
    async def go() -> None:
        caplog.set_level("INFO")
        bucket, context = with_bucket()
        bucket.tell.set()
        async with opened(context) as gate:
            bucket.change("order", ID)
            bucket.change("order", b'{"type": 1}')
            bucket.change("other", b"{")
            await until(lambda: len(gate.library.broken) == 2)
            assert await said(gate, event({"id": "1"})) is True
            with pytest.raises(Reject, match="required id"):
                await said(gate, event({}))
            assert context.counted == {"broken_schemas_total": 2}
            assert "bucket SCHEMAS: order: type: 1 is not valid" in caplog.text
            assert "the former one stays" in caplog.text
            assert "bucket SCHEMAS: other: line 1, column 2" in caplog.text
            assert "there is no former one" in caplog.text
            bucket.change("order", b"true")
            await until(lambda: "order" not in gate.library.broken)
            assert "order is in use again" in caplog.text

    run(go())


def test_an_event_whose_only_schema_is_broken_is_tried_again(with_bucket: Made, event: Made) -> None:
    """Nobody can say whether it is good, so it is neither let through nor refused at once."""

    async def go() -> None:
        bucket, context = with_bucket()
        bucket.values["order"] = b"{"
        async with opened(context, unknown="accept") as gate:
            for _ in range(2):
                with pytest.raises(Retry) as caught:
                    await said(gate, event({}))
                assert caught.value.code == "schema-broken"

    run(go())


def test_an_answer_that_a_change_has_overtaken_is_not_used(with_bucket: Made, event: Made) -> None:
    """The schema was deleted between the question and its answer: it does not come back."""

    async def go() -> None:
        bucket, context = with_bucket()
        bucket.tell.set()
        bucket.values["order"] = ID
        bucket.answer = asyncio.Event()
        async with opened(context, unknown="accept") as gate:
            asking = asyncio.ensure_future(said(gate, event({})))
            await until(lambda: bucket.gets == ["order"])
            bucket.change("order", None)
            await until(lambda: not gate._asked)
            bucket.answer.set()
            assert await asking is True
            assert gate.library.validators == {}

    run(go())


def test_an_event_is_tried_again_while_the_bucket_does_not_answer(with_bucket: Made, event: Made) -> None:
    async def go() -> None:
        bucket, context = with_bucket()
        async with opened(context, unknown="accept") as gate:
            bucket.fails = Retry("no answer")
            with pytest.raises(Retry):
                await said(gate, event({}))
            bucket.fails = None
            assert await said(gate, event({})) is True

    run(go())


def test_a_watch_that_fails_is_begun_again(
    with_bucket: Made, event: Made, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The schemas so far stay; a type that was absent is asked for once more, since a change may have been missed."""
    monkeypatch.setattr(bucket, "_PAUSE", 0)

    async def go() -> None:
        kv, context = with_bucket()
        kv.tell.set()
        async with opened(context, unknown="accept") as gate:
            assert await said(gate, event({})) is True
            kv.values["order"] = ID
            kv.end_watch(OSError("gone"))
            await until(lambda: "watching again" in caplog.text)
            with pytest.raises(Reject, match="required id"):
                await said(gate, event({}))
            kv.change("order", b"true")
            await until(lambda: gate.library.validators["order"].is_valid({}))

    run(go())


@pytest.mark.parametrize("kind", ["a b", "a..b", ".a", "a.", "*", ">", "\N{SNOWMAN}", "", None])
def test_a_type_that_can_be_no_key_is_unknown(with_bucket: Made, event: Made, kind: str | None) -> None:
    async def go() -> None:
        bucket, context = with_bucket()
        async with opened(context) as gate:
            with pytest.raises(Reject, match="no schema"):
                await said(gate, event({}, kind=kind))
            assert bucket.gets == []

    run(go())


def test_types_that_events_make_up_do_not_fill_the_memory(
    with_bucket: Made, event: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bucket, "_MOST_ABSENT", 10)

    async def go() -> None:
        _, context = with_bucket()
        async with opened(context, unknown="accept") as gate:
            for number in range(100):
                await said(gate, event({}, kind=f"t{number}"))
                await said(gate, event({}, kind=f"t{number}" * 1000))
            assert 0 < len(gate._absent) <= 10
            assert max(map(len, gate._absent)) < 10

    run(go())


@pytest.mark.parametrize(
    ("name", "settings"), [("bucket", {"bucket": "a.b"}), ("path", {"bucket": "A", "path": Path("$id")})]
)
def test_settings_that_make_no_sense_are_config_problems(context: Any, name: str, settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigProblem) as caught:
        BucketSchemas(BucketSchemas.Config(**settings), context).prepare()
    assert caught.value.path == (name,)
