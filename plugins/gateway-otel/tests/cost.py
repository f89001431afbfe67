"""What a span costs: `python plugins/gateway-otel/tests/cost.py`. Microseconds of one core per event, best of five."""

from __future__ import annotations

import logging
import sys
import time
import timeit
from collections.abc import Callable
from datetime import UTC, datetime

import msgspec

from gateway import AuditRecord, Outcome
from gateway_otel.pump import Pump
from gateway_otel.spans import Sampler, request_of, spans_in

BATCH = 512


def record(number: int, targets: int) -> AuditRecord:
    """A record as a published event has it."""
    copies = [
        {
            "name": f"target-{n}",
            "subject": "billing.orders",
            "stream": "BILLING",
            "sequence": number,
            "message_id": f"877a78dc5165ee443bcbade4c94cb748.{number}.{n}",
            "after": 0.0002,
            "seconds": 0.001,
            "span_id": f"{number + 1:015x}{n}",
        }
        for n in range(targets)
    ]
    known = {
        "id": f"gateway/ORDERS/2026-01-01T00:00:00.123456789Z/{number}/orders-to-billing",
        "time": datetime.now(UTC),
        "gateway": "gateway",
        "instance": "host-0123abcd",
        "route": "orders-to-billing",
        "outcome": Outcome.PUBLISHED,
        "event_id": f"order-{number}",
        "event_type": "OrderCreated",
        "event_source": "com.shop.orders",
        "stream": "ORDERS",
        "subject": "orders.created",
        "sequence": number,
        "targets": tuple(copies),
        "seconds": 0.002,
        "correlation_id": f"order-{number}",
        "trace_id": f"{number + 1:032x}",
        "span_id": "00f067aa0ba902b7",
        "parent_span_id": "b7ad6b7169203331",
        "sampled": True,
    }
    return msgspec.convert(known, AuditRecord)


def show(what: str, work: Callable[[], object]) -> None:
    """Print the time of one event, in microseconds."""
    best = min(timeit.repeat(work, number=10, repeat=5, timer=time.process_time)) / 10 / BATCH * 1e6
    sys.stdout.write(f"{what:<50}{best:7.2f} us\n")


def measure(targets: int) -> None:
    """What one kind of event costs, on the loop and in the thread."""
    records = [record(number, targets) for number in range(BATCH)]
    keep, drop = Sampler(1.0, 1.0, dead_letters=True), Sampler(0.0, 0.0, dead_letters=True)
    pump = Pump(len, lambda outcome, number: None, len, 1 << 30, 0.0, logging.getLogger("cost"))
    name = f"{targets} target{'s' * (targets > 1)}, {spans_in(records[0])} spans"
    show(f"{name}, loop: decide against it", lambda: [drop.takes(one) for one in records])
    show(f"{name}, loop: decide and queue", lambda: ([keep.takes(one) for one in records], pump.offer(records)))
    pump.close(10, lambda: None)
    show(f"{name}, thread: write a request", lambda: request_of(records, {}, lambda _: "gateway-r"))


if __name__ == "__main__":
    measure(1)
    measure(3)
