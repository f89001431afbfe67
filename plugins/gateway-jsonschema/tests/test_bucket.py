"""The filter `json-schema-kv`: what it does before, while and after its watch tells."""

from __future__ import annotations

import asyncio
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
            assert await gate.accepts(event({"id": "1"})) is True
            with pytest.raises(Reject, match="the whole: required id"):
                await gate.accepts(event({}))
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
                    await gate.accepts(event({}))
                assert caught.value.code == "schema-unknown"
            assert bucket.gets == ["order"]
            bucket.change("order", ID)
            await until(lambda: "order" in gate.library.validators)
            assert await gate.accepts(event({"id": "1"})) is True
            bucket.change("order", b"false")
            await until(lambda: gate.library.validators["order"].is_valid({"id": "1"}) is False)
            bucket.change("order", None)
            await until(lambda: "order" not in gate.library.validators)
            with pytest.raises(Reject, match="no schema"):
                await gate.accepts(event({}))

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
            assert await gate.accepts(event({"id": "1"})) is True
            with pytest.raises(Reject, match="required id"):
                await gate.accepts(event({}))
            assert context.counted == {"broken_schemas_total": 2}
            assert "bucket SCHEMAS: order: type: 1 is not valid" in caplog.text
            assert "the former one stays" in caplog.text
            assert "bucket SCHEMAS: other: line 1, column 2" in caplog.text
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
                    await gate.accepts(event({}))
                assert caught.value.code == "schema-broken"

    run(go())


def test_an_event_is_tried_again_while_the_bucket_does_not_answer(with_bucket: Made, event: Made) -> None:
    async def go() -> None:
        bucket, context = with_bucket()
        async with opened(context, unknown="accept") as gate:
            for error in (OSError("gone"), Retry("later")):
                bucket.fails = error
                with pytest.raises(Retry):
                    await gate.accepts(event({}))
            bucket.fails = None
            assert await gate.accepts(event({})) is True

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
            assert await gate.accepts(event({})) is True
            kv.values["order"] = ID
            kv.end_watch(OSError("gone"))
            await until(lambda: "watching again" in caplog.text)
            with pytest.raises(Reject, match="required id"):
                await gate.accepts(event({}))
            kv.change("order", b"true")
            await until(lambda: gate.library.validators["order"].is_valid({}))

    run(go())


@pytest.mark.parametrize("kind", ["a b", "a..b", ".a", "a.", "*", ">", "é", "", None])
def test_a_type_that_can_be_no_key_is_unknown_without_being_asked_for(
    with_bucket: Made, event: Made, kind: str | None
) -> None:
    async def go() -> None:
        bucket, context = with_bucket()
        async with opened(context) as gate:
            with pytest.raises(Reject, match="no schema"):
                await gate.accepts(event({}, type=kind))
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
                await gate.accepts(event({}, type=f"t{number}"))
            assert len(gate._absent) <= 10

    run(go())


@pytest.mark.parametrize(
    ("name", "settings"), [("bucket", {"bucket": "a.b"}), ("path", {"bucket": "A", "path": Path("$id")})]
)
def test_settings_that_make_no_sense_are_config_problems(context: Any, name: str, settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigProblem) as caught:
        BucketSchemas(BucketSchemas.Config(**settings), context).prepare()
    assert caught.value.path == (name,)
