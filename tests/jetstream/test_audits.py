"""Audits: required ones hold the settling until they have the record, best-effort ones never hold anything."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Sequence
from typing import Any, ClassVar

import pytest
from nats.aio.client import Client
from nats.js import JetStreamContext

from gateway import Audit, AuditRecord
from tests.jetstream.conftest import Route, RunGateway
from tests.support.arrivals import arrived, in_flight, settled
from tests.support.eventually import eventually
from tests.support.logged import logged
from tests.support.streams import count

pytestmark = pytest.mark.usefixtures("streams")


class Book(Audit, name="book"):
    """Keep records in memory, unless it is told to fail."""

    records: ClassVar[list[AuditRecord]]
    fault: ClassVar[BaseException | None]
    calls: ClassVar[int]

    def prepare(self) -> None:
        Book.records, Book.fault, Book.calls = [], None, 0

    def record(self, records: Sequence[AuditRecord]) -> None:
        Book.calls += 1
        if Book.fault is not None:
            raise Book.fault
        Book.records += records


class AsyncBook(Book, name="async-book"):
    """The same in a coroutine."""

    async def record(self, records: Sequence[AuditRecord]) -> None:  # type: ignore[override]
        await asyncio.sleep(0)
        super().record(records)


class BlockingBook(Book, name="blocking-book"):
    """The same in a thread."""

    blocking = True

    def record(self, records: Sequence[AuditRecord]) -> None:
        assert threading.current_thread() is not threading.main_thread()
        super().record(records)


BOOKS = {"book": Book, "async-book": AsyncBook, "blocking-book": BlockingBook}


@pytest.mark.parametrize("kind", BOOKS)
async def test_every_settled_event_has_one_record_whatever_became_of_it(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route, kind: str
) -> None:
    fields: dict[str, Any] = {"audits": [kind], "filters": [{"pattern": {"n": [{"numeric": [">", 0]}]}}]}
    await run_gateway({"routes": [route(**fields)]}, *BOOKS.values())
    await js.publish("in.a", b'{"n": 1, "id": "one", "type": "T", "source": "S"}')
    await js.publish("in.a", b'{"n": 0}')
    await js.publish("in.a", b"broken")
    await settled(nc)
    published, filtered, dead = sorted(Book.records, key=lambda record: record.sequence)
    (message,) = await arrived(nc, "OUT", 1)
    (letter,) = await arrived(nc, "DLQ", 1)
    assert [record.outcome for record in (published, filtered, dead)] == ["published", "filtered", "dead_lettered"]
    assert (published.event_id, published.event_type, published.event_source) == ("one", "T", "S")
    (target,) = published.targets
    assert (target.name, target.subject, target.stream, target.sequence) == ("out", "out.it", "OUT", 1)
    assert target.message_id == message.headers["Nats-Msg-Id"]
    assert filtered.step == "filter-0-pattern"
    assert "n" in filtered.reason
    assert (dead.step, dead.code) == ("decode", "decode-error")
    assert [target.message_id for target in dead.targets] == [letter.headers["Nats-Msg-Id"]]
    assert published.id.startswith("gateway/IN/")
    assert published.id.endswith("/1/r")


async def test_a_record_names_the_spans_that_the_copies_carry(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    """Whoever makes spans of records makes the ones that what is downstream hangs below."""
    trace, parent = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
    targets = [{"subject": "out.a"}, {"subject": "out.b"}]
    await run_gateway({"routes": [route(audits=["book"], targets=targets)]}, Book)
    await js.publish("in.a", b"{}", headers={"traceparent": f"00-{trace}-{parent}-01"})
    await js.publish("in.a", b"broken", headers={"Traceparent": f"00-{trace}-{parent}-00"})
    await js.publish("in.a", b"{}", headers={"traceparent": "broken"})
    await js.publish("in.a", b"{}")
    await settled(nc)
    traced, dead, *others = sorted(Book.records, key=lambda record: record.sequence)
    first, second, *_ = await arrived(nc, "OUT", 6)
    assert [copy.headers["traceparent"] for copy in (first, second)] == [
        f"00-{trace}-{target.span_id}-01" for target in traced.targets
    ]
    assert (traced.trace_id, traced.parent_span_id, traced.sampled) == (trace, parent, True)
    assert (dead.trace_id, dead.parent_span_id, dead.sampled) == (trace, parent, False)
    spans = [traced.span_id, dead.span_id, parent, *(target.span_id for target in (*traced.targets, *dead.targets))]
    assert len(set(spans)) == len(spans) == 6
    for target in (*traced.targets, *dead.targets):
        assert 0 < target.after < target.after + target.seconds <= max(traced.seconds, dead.seconds)
    (letter,) = await arrived(nc, "DLQ", 1)
    assert letter.headers["Traceparent"] == f"00-{trace}-{parent}-00", "a dead letter is as it came"
    for record in others:
        assert (record.trace_id, record.span_id, record.parent_span_id, record.sampled) == ("", "", "", False)
        assert all(not target.span_id for target in record.targets)


async def test_where_an_audit_makes_spans_an_event_without_a_trace_begins_one(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    """Its record and all its copies name it, and so does its letter."""

    class Spans(Book, name="spans"):
        def prepare(self) -> None:
            super().prepare()
            self.trace_ratio = 1.0

    await run_gateway(
        {"routes": [route(audits=["spans"], targets=[{"subject": "out.a"}, {"subject": "out.b"}])]}, Spans
    )
    await js.publish("in.a", b"{}")
    await js.publish("in.a", b"broken")
    await settled(nc)
    begun, dead = sorted(Book.records, key=lambda record: record.sequence)
    assert [(one.parent_span_id, one.sampled) for one in (begun, dead)] == [("", True)] * 2
    assert [copy.headers["traceparent"] for copy in await arrived(nc, "OUT", 2)] == [
        f"00-{begun.trace_id}-{target.span_id}-03" for target in begun.targets
    ]
    (letter,) = await arrived(nc, "DLQ", 1)
    assert letter.headers["traceparent"] == f"00-{dead.trace_id}-{dead.targets[0].span_id}-03"
    assert begun.trace_id != dead.trace_id


@pytest.mark.parametrize("ratio", [1.5, -1, "half", float("nan")])
async def test_a_share_of_traces_that_is_none_keeps_its_route_down(
    run_gateway: RunGateway, route: Route, ratio: object
) -> None:
    class Odd(Book, name="odd"):
        def prepare(self) -> None:
            super().prepare()
            self.trace_ratio = ratio  # type: ignore[assignment]

    gateway = await run_gateway({"routes": [route(audits=["odd"])]}, Odd, wait=False)
    assert "trace_ratio" in (await gateway.down("plugin-failed")).reason


@pytest.mark.parametrize("kind", BOOKS)
@pytest.mark.parametrize("fault", [OSError("disk full"), SystemExit(1)], ids=["raises", "exits"])
async def test_a_failing_required_audit_holds_the_route_and_heals(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route, kind: str, fault: BaseException
) -> None:
    # Longer than ack-wait in one of the six: the events stay ours.
    ack_wait, held = ("4s", 4.5) if (kind, str(fault)) == ("book", "disk full") else ("30s", 0.0)
    gateway = await run_gateway({"routes": [route(audits=[kind], source={"ack-wait": ack_wait})]}, *BOOKS.values())
    Book.fault = fault
    for number in range(5):
        await js.publish("in.a", b"%d" % number)
    stats = await gateway.down("audit-failed")
    await arrived(nc, "OUT", 5)
    calls, began = Book.calls, time.monotonic()
    await eventually(lambda: Book.calls > calls + 3 and time.monotonic() - began > held and stats.duration.total == 0)
    assert await in_flight(nc) == 5
    assert stats.outcomes["published"] == 0
    Book.fault = None
    await gateway.up()
    await settled(nc)
    assert sorted(record.sequence for record in Book.records) == [1, 2, 3, 4, 5]
    assert len(await arrived(nc, "OUT", 5)) == 5
    assert await count(nc, "DLQ") == 0, "a published event is never dead-lettered for its audit"
    assert stats.redeliveries == 0
    label = f"audit-0-{kind}"
    assert stats.audit_records[label, "stored"] == 5
    assert stats.audit_records[label, "failed"] > 0


class Unsayable(OSError):
    """A fault without a text."""

    def __str__(self) -> str:
        raise TypeError("no text")


async def test_an_audit_that_fails_without_a_text_is_tried_again_like_any_other(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    gateway = await run_gateway({"routes": [route(audits=["book"])]}, Book)
    Book.fault = Unsayable()
    await js.publish("in.a", b"{}")
    stats = await gateway.down("audit-failed")
    assert "Unsayable" in stats.reason
    Book.fault = None
    await gateway.up()
    await settled(nc)
    assert len(Book.records) == 1


async def test_a_failing_best_effort_audit_holds_nothing(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    gateway = await run_gateway({"routes": [route(audits=["book"], **{"audit-mode": "best-effort"})]}, Book)
    Book.fault = OSError("disk full")
    for number in range(5):
        await js.publish("in.a", b"%d" % number)
    await arrived(nc, "OUT", 5)
    await settled(nc)
    await eventually(lambda: gateway.stats().audit_records["audit-0-book", "failed"] == 5)
    assert gateway.stats().up
    Book.fault = None
    await js.publish("in.a", b"5")
    await eventually(lambda: len(Book.records) == 1)


async def test_the_end_of_a_best_effort_audits_failing_is_told_with_what_was_lost(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route, caplog: pytest.LogCaptureFixture
) -> None:
    """Once, and for each sink by itself: a line that says it fails would else be the last there is of it."""
    caplog.set_level("INFO")
    fields = {"audits": ["book", "hanging"], "audit-mode": "best-effort", "timeout": "200ms"}
    gateway = await run_gateway({"routes": [route(**fields)]}, Book, Hanging)
    Hanging.gate.set()
    for life in range(1, 3):
        Book.fault = OSError("disk full")
        for number in range(3):
            await js.publish("in.a", b"%d" % number)
        await eventually(lambda: gateway.stats().audit_records["audit-0-book", "failed"] == 3 * life)  # noqa: B023
        Book.fault = None
        for number in range(2):
            await js.publish("in.a", b"%d" % number)
        await eventually(lambda: len(logged(caplog, "audit.healed")) == life)  # noqa: B023
    told = [(line.levelname, line.step, line.lost) for line in logged(caplog, "audit.healed")]
    assert told == [("INFO", "audit-0-book", 3)] * 2
    assert {line.step for line in logged(caplog, "audit.failed")} == {"audit-0-book"}


class Hanging(Audit, name="hanging"):
    """Hang until it is let go."""

    gate: ClassVar[asyncio.Event]
    cancelled: ClassVar[int]
    records: ClassVar[int]

    def prepare(self) -> None:
        Hanging.gate, Hanging.cancelled, Hanging.records = asyncio.Event(), 0, 0

    async def record(self, records: Sequence[AuditRecord]) -> None:
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            Hanging.cancelled += 1
            raise
        Hanging.records += len(records)


async def test_a_required_audit_that_hangs_takes_its_route_down_and_is_tried_again(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    gateway = await run_gateway({"routes": [route(audits=["hanging"], timeout="200ms")]}, Hanging)
    await js.publish("in.a", b"1")
    stats = await gateway.down("audit-failed")
    assert "audit-0-hanging" in stats.reason
    await eventually(lambda: Hanging.cancelled >= 2)
    assert await in_flight(nc) == 1
    Hanging.gate.set()
    await gateway.up()
    await settled(nc)
    assert Hanging.records == 1


async def test_a_best_effort_audit_that_hangs_does_not_fill_the_memory(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.runtime.auditing.MAX_WAITING", 10)
    fields = {"audits": ["hanging"], "audit-mode": "best-effort", "timeout": "1m"}
    gateway = await run_gateway({"routes": [route(**fields)]}, Hanging)
    for number in range(100):
        await nc.publish("in.a", b"%d" % number)
    await arrived(nc, "OUT", 100)
    await settled(nc)
    failed = gateway.stats().audit_records["audit-0-hanging", "failed"]
    assert failed >= 100 - 10 - 10 * 2, "those who find no room are counted as failed"
    Hanging.gate.set()
    await eventually(lambda: Hanging.records == 100 - failed)


async def test_a_broken_audit_stops_its_own_route_only(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    bad = route("bad", audits=["book"], targets=[{"subject": "dlq.bad"}])
    gateway = await run_gateway({"routes": [bad, route("good")]}, Book)
    Book.fault = OSError("disk full")
    for number in range(5):
        await js.publish("in.a", b"%d" % number)
    await gateway.down("audit-failed", "bad")
    await arrived(nc, "OUT", 5)
    await settled(nc, "good")
    assert await in_flight(nc, "bad") == 5
    Book.fault = None
    await settled(nc, "bad")


class Vandal(Audit, name="vandal"):
    """Change what it is told, if it can."""

    def record(self, records: Sequence[AuditRecord]) -> None:
        for record in records:
            record.plugins.clear()
        records.clear()  # type: ignore[attr-defined]


async def test_what_a_sink_does_to_its_batch_reaches_neither_the_next_sink_nor_the_route(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    fields = {"audits": ["vandal", "book"], "audit-mode": "best-effort"}
    gateway = await run_gateway({"routes": [route(**fields)]}, Vandal, Book)
    for number in range(3):
        await js.publish("in.a", b"%d" % number)
        await arrived(nc, "OUT", number + 1)
        await eventually(lambda told=number + 1: len(Book.records) == told)
    assert [record.sequence for record in Book.records] == [1, 2, 3]
    assert gateway.lane().route.plugins["test"] == ""
