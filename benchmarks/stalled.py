"""What a gateway holds in memory while a target takes nothing and the backlog is many windows long.

The bound is made of the config: a route holds what fits into its window, `max-in-flight` events and
`max-in-flight-bytes` of them, and asks for no more.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from . import process, work
from .bed import Bed
from .daemon import Daemon

EVENTS = 1024
"""`max-in-flight`, the default."""
WINDOW = 16
"""`max-in-flight-bytes` in MiB, the default."""
COPIES = 3
"""What a byte of an event costs at most: as it came, as it is sent, and once more while it is read or written."""
EACH = 4 / 1024
"""MiB that an event in the window costs beside its bytes."""
SLACK = 12
"""MiB that are no event: the connection's buffers, and what the allocator keeps."""


@dataclass(frozen=True)
class Case:
    """A backlog before a full target."""

    name: str
    size: int
    """Bytes of one event."""
    events: int
    routes: int = 1
    window: int = WINDOW
    """MiB."""
    server_goes: bool = False

    @property
    def bound(self) -> float:
        """MiB the gateway may gain."""
        held = min(self.window, EVENTS * self.size / (1 << 20))
        return SLACK + self.routes * (COPIES * held + EACH * min(EVENTS, self.window * (1 << 20) / self.size))


CASES = (
    Case("one_kib", 1 << 10, 100_000),
    Case("one_mib", 1_000_000, 150),
    Case("shared", 10_000, 20_000, routes=50, window=1),
    Case("away", 10_000, 20_000, server_goes=True),
)


async def measure(bed: Bed, cases: Sequence[Case] = CASES, settle: float = 5.0) -> dict[str, float]:
    """MiB gained in each case, `settle` seconds after the last event was published."""
    full = {"name": "FULL", "subjects": ["full.>"], "storage": "file", "discard": "new", "max_msgs": 1}
    await bed.api("STREAM.CREATE.FULL", full)
    await bed.client.jetstream().publish("full.up", b"")
    return {case.name: await _gained(bed, case, settle) for case in cases}


async def _gained(bed: Bed, case: Case, settle: float) -> float:
    stream = f"STALLED_{case.name.upper()}"
    subject = stream.lower()
    await bed.api(f"STREAM.CREATE.{stream}", {"name": stream, "subjects": [f"{subject}.>"], "storage": "file"})
    gateway = Daemon(bed.folder, bed.server.url, [_route(stream, subject, case, n) for n in range(case.routes)])
    await gateway.start()
    try:
        before = process.peak_mib(gateway.pid)
        body = work.event(1, case.size)
        for n in range(case.events):
            await bed.client.publish(f"{subject}.{n % case.routes}", body)
            if n % 100 == 99:
                await bed.client.flush()
        await asyncio.sleep(settle)
        if case.server_goes:
            # The gateway logs an error, as it should; it goes to stderr, as this does.
            print("the server is stopped now, which belongs to the test; the gateway says so:", file=sys.stderr)
            await bed.server.stop()
            await asyncio.sleep(settle)
        return process.peak_mib(gateway.pid) - before
    finally:
        if not bed.server.running:
            await bed.server.start()
        await gateway.stop()
        await bed.api(f"STREAM.DELETE.{stream}")


def _route(stream: str, subject: str, case: Case, number: int) -> dict[str, Any]:
    return {
        "name": f"{case.name.replace('_', '-')}-{number}",
        "source": {"stream": stream, "subjects": [f"{subject}.{number}"]},
        "targets": [
            {"name": "full", "subject": "full.up", "stream": "FULL"},
            {"name": "free", "subject": "to.stalled", "stream": "TO"},
        ],
        "max-in-flight-bytes": f"{case.window}MiB",
    }
