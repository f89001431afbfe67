"""What a span costs: `python plugins/gateway-otel/tests/cost.py`. Microseconds of one core per event, best of five."""

from __future__ import annotations

import logging
import sys
import timeit
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from gateway import AuditRecord, Outcome
from gateway_otel.pump import Pump
from gateway_otel.spans import Sampler, request_of

BATCH = 512


def record(number: int, traced: bool) -> AuditRecord:
    """A record as a published event has it."""
    known: dict[str, Any] = {"event_type": "OrderCreated", "event_source": "com.shop.orders", "stream": "ORDERS"}
    if traced:
        known |= {"trace_id": f"{number + 1:032x}", "span_id": "00f067aa0ba902b7", "sampled": True}
        known |= {"parent_span_id": "b7ad6b7169203331"}
    return AuditRecord(
        id=f"gateway/ORDERS/2026-01-01T00:00:00.123456789Z/{number}/orders-to-billing",
        time=datetime.now(UTC),
        gateway="gateway",
        instance="host-0123abcd",
        route="orders-to-billing",
        outcome=Outcome.PUBLISHED,
        event_id=f"order-{number}",
        subject="orders.created",
        sequence=number,
        seconds=0.002,
        correlation_id=f"order-{number}",
        **known,
    )


def show(what: str, work: Callable[[], object]) -> None:
    """Print the time of one event, in microseconds."""
    best = min(timeit.repeat(work, number=10, repeat=5)) / 10 / BATCH * 1e6
    sys.stdout.write(f"{what:<50}{best:7.2f} us\n")


def measure(name: str, records: list[AuditRecord]) -> None:
    """What one kind of event costs, on the loop and in the thread."""
    keep, drop = Sampler(0.5, 0.5, dead_letters=True), Sampler(0.0, 0.0, dead_letters=True)
    pump = Pump(lambda batch: True, lambda outcome, number: None, 1 << 30, 0.0, logging.getLogger("cost"))
    show(f"{name}, loop: decide against it", lambda: [drop.takes(one) for one in records])
    show(f"{name}, loop: decide and queue", lambda: ([keep.takes(one) for one in records], pump.offer(records)))
    pump.close(10, lambda: None)
    show(f"{name}, thread: write a request", lambda: request_of(records, {}, lambda _: "gateway-r"))


if __name__ == "__main__":
    measure("traced", [record(number, traced=True) for number in range(BATCH)])
    measure("untraced", [record(number, traced=False) for number in range(BATCH)])
