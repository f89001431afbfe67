"""What storing costs: `python plugins/gateway-postgres-audit/tests/cost.py DSN`. It leaves its rows in the table."""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from datetime import UTC, datetime
from typing import Any

from gateway import AuditRecord, Outcome, Secret
from gateway_postgres_audit import Postgres
from gateway_postgres_audit.rows import arguments
from gateway_postgres_audit.settings import PostgresConfig, PostgresSettings

ROUNDS = 20


class Lent:
    """What the gateway lends a component."""

    gateway = "cost"
    route = "cost"
    log = logging.getLogger("cost")

    def __init__(self, dsn: str) -> None:
        self.settings = PostgresSettings(dsn=Secret(dsn))


def record(number: int, run: str) -> AuditRecord:
    """A record as a published event has it."""
    known: dict[str, Any] = {"event_type": "OrderCreated", "event_source": "com.shop.orders", "stream": "ORDERS"}
    return AuditRecord(
        id=f"gateway/ORDERS/{run}/{number}/orders-to-billing",
        time=datetime.now(UTC),
        gateway="gateway",
        instance="host-0123abcd",
        route="orders-to-billing",
        outcome=Outcome.PUBLISHED,
        event_id=f"order-{run}-{number}",
        correlation_id=f"order-{run}-{number}",
        causation_id=f"order-{run}-{number}",
        subject="orders.created",
        sequence=number,
        seconds=0.002,
        plugins={"builtin": "0.1.0"},
        **known,
    )


async def main(dsn: str) -> None:
    """Measure and print."""
    audit = Postgres(PostgresConfig(), Lent(dsn))  # type: ignore[arg-type]
    audit.prepare()
    await audit.open()
    run, number = datetime.now(UTC).isoformat(), 0
    for batch in (1, 32, 512):
        made = [[record(number + n + batch * times, run) for n in range(batch)] for times in range(ROUNDS)]
        number += batch * ROUNDS
        cpu = time.process_time()
        for records in made:
            arguments(records)
        columns = (time.process_time() - cpu) / ROUNDS / batch
        cpu, begun = time.process_time(), time.perf_counter()
        for records in made:
            await audit.record(records)
        cpu, wall = time.process_time() - cpu, time.perf_counter() - begun
        sys.stdout.write(
            f"batches of {batch:3}: {batch * ROUNDS / wall:7.0f} records/s, {wall / ROUNDS * 1e3:6.2f} ms a batch, "
            f"{cpu / ROUNDS / batch * 1e6:6.1f} us of the gateway's core a record ({columns * 1e6:.1f} of it columns)\n"
        )
    await audit.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
