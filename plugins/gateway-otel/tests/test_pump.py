"""The thread to the collector: bounded, every record counted once, closed within its limit."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime

import pytest

import gateway_otel.pump
from gateway import AuditRecord, Outcome
from gateway_otel.pump import BATCH, LAST_WORD, Pump

LOG = logging.getLogger("tests")
PATIENCE = 30.0


def records(number: int) -> list[AuditRecord]:
    """So many records that differ in their sequence."""
    now = datetime.now(UTC)
    return [
        AuditRecord(id=f"{n}", time=now, gateway="g", instance="i", route="r", outcome=Outcome.PUBLISHED, sequence=n)
        for n in range(number)
    ]


class Collector:
    """Takes batches while its gate is open; waits before it, as a slow one would, while it is shut."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.inside = threading.Event()
        self.batches: list[list[int]] = []
        self.counts: Counter[str] = Counter()
        self.refuse: Callable[[], int] = lambda: 0

    def export(self, batch: Sequence[AuditRecord]) -> int:
        self.inside.set()
        assert self.gate.wait(PATIENCE)
        self.batches.append([record.sequence for record in batch])
        return len(batch) - self.refuse()

    def count(self, outcome: str, number: int) -> None:
        if number:
            self.counts[outcome] += number


@pytest.fixture
def collector() -> Iterator[Collector]:
    """One with its gate shut; opened at the end, so that no thread is left behind."""
    made = Collector()
    yield made
    made.gate.set()


def pump_of(collector: Collector, room: int = 10_000, delay: float = 0.0) -> Pump:
    return Pump(collector.export, collector.count, len, room, delay, LOG)


def test_everything_offered_before_the_end_is_exported_once_and_in_order(collector: Collector) -> None:
    collector.gate.set()
    pump = pump_of(collector)
    pump.offer(records(2000))
    pump.close(PATIENCE, lambda: None)
    assert [n for batch in collector.batches for n in batch] == list(range(2000))
    assert max(len(batch) for batch in collector.batches) == BATCH
    assert collector.counts == {"exported": 2000}


def test_a_batch_waits_for_others_but_not_for_ever_and_not_when_closing(collector: Collector) -> None:
    collector.gate.set()
    pump = pump_of(collector, delay=3600)
    for record in records(10):
        pump.offer([record])
    pump.close(PATIENCE, lambda: None)
    assert collector.batches == [list(range(10))]
    collector.inside.clear()
    quick = pump_of(collector, delay=0.01)
    quick.offer(records(1))
    assert collector.inside.wait(PATIENCE)
    quick.close(PATIENCE, lambda: None)


def test_a_hurried_pump_waits_for_no_full_batch(collector: Collector) -> None:
    collector.gate.set()
    pump = pump_of(collector, delay=3600)
    pump.offer(records(1))
    pump.hurry()
    assert collector.inside.wait(PATIENCE)
    collector.inside.clear()
    pump.offer(records(1))
    assert collector.inside.wait(PATIENCE), "nor later"
    pump.close(PATIENCE, lambda: None)
    assert collector.counts == {"exported": 2}


def test_what_finds_no_room_is_counted_and_nobody_waits(collector: Collector) -> None:
    pump = pump_of(collector, room=100)
    pump.offer(records(1))
    assert collector.inside.wait(PATIENCE)
    pump.offer(records(90))
    pump.offer(records(90))
    pump.offer(records(5))
    assert collector.counts == {"overflow": 85}
    assert len(pump._waiting) == 100
    collector.gate.set()
    pump.close(PATIENCE, lambda: None)
    assert collector.counts == {"overflow": 85, "exported": 101}


def test_a_full_queue_is_told_at_once_and_then_now_and_then(
    collector: Collector, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A collector that is slow for hours fills no log."""
    pump = pump_of(collector, room=1)
    pump.offer(records(1))
    assert collector.inside.wait(PATIENCE)
    pump.offer(records(3))
    for _ in range(100):
        pump.offer(records(2))
    assert [line.getMessage() for line in caplog.records] == ["the queue is full: 2 spans found no room"]
    monkeypatch.setattr(gateway_otel.pump, "QUIET", 0.0)
    pump.offer(records(1))
    assert caplog.messages[1:] == ["the queue is full: 201 spans found no room"]
    assert collector.counts == {"overflow": 203}
    collector.gate.set()
    pump.close(PATIENCE, lambda: None)


def test_what_a_collector_refuses_is_counted_and_the_next_batch_goes_out(collector: Collector) -> None:
    refused = iter([12, 0])
    collector.refuse = lambda: next(refused)
    collector.gate.set()
    pump = pump_of(collector)
    pump.offer(records(BATCH + 1))
    pump.close(PATIENCE, lambda: None)
    assert collector.counts == {"failed": 12, "exported": BATCH - 12 + 1}


def test_a_fault_of_ours_costs_its_batch_and_not_the_thread(collector: Collector) -> None:
    faults: Iterator[Exception | None] = iter([RuntimeError("broken"), None])

    def refuse() -> int:
        fault = next(faults)
        if fault is not None:
            raise fault
        return 0

    collector.refuse = refuse
    collector.gate.set()
    pump = pump_of(collector)
    pump.offer(records(BATCH + 1))
    pump.close(PATIENCE, lambda: None)
    assert collector.counts == {"failed": BATCH, "exported": 1}


def test_closing_gives_up_at_its_limit_and_counts_what_was_left(collector: Collector) -> None:
    pump = pump_of(collector)
    pump.offer(records(BATCH))
    assert collector.inside.wait(PATIENCE)
    pump.offer(records(7))
    begun = time.monotonic()
    pump.close(0.1, collector.gate.set)
    assert time.monotonic() - begun < 0.1 + LAST_WORD + 10
    assert collector.counts == {"unsent": 7, "exported": BATCH}
    assert not pump._thread.is_alive()


def test_an_exporter_that_hangs_for_good_does_not_hold_the_end(collector: Collector) -> None:
    pump = pump_of(collector)
    pump.offer(records(1))
    assert collector.inside.wait(PATIENCE)
    begun = time.monotonic()
    pump.close(0.1, lambda: None)
    assert time.monotonic() - begun < 0.1 + LAST_WORD + 10
    assert pump._thread.daemon
