"""Audit records and chains for tests."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from nats.aio.client import Client

from gateway.chain.report import Place, Report
from gateway.chain.stored import Last
from gateway.chain.verify import Verifier
from gateway.chain.writer import Chain
from gateway.event import AuditRecord, Outcome

from .streams import read_stream


def record(number: int = 1, **fields: Any) -> AuditRecord:
    """A record of event `number` of the route r."""
    fixed = {
        "id": f"gateway/IN/2026-01-01T00:00:00Z/{number}/r",
        "time": datetime(2026, 1, 1, tzinfo=UTC),
        "gateway": "gateway",
        "instance": "host-1",
        "route": "r",
        "outcome": Outcome.PUBLISHED,
        "stream": "IN",
        "sequence": number,
    }
    return AuditRecord(**{**fixed, **fields})


def chain(
    events: int = 5, follows: Last | None = None, *, end: bool = True, first: int = 1, instance: str = "host-1"
) -> tuple[Chain, list[bytes]]:
    """A whole chain of the sink `stream audit.r`: start, `events` records, end."""
    made = Chain("gateway", instance, "r", "stream audit.r")
    stored = [made.start(follows, None).data]
    stored += [made.seal(record(number)).data for number in range(first, first + events)]
    if end:
        stored.append(made.end().data)
    return made, stored


class Nothing:
    """Retention that has cut nothing, or, with `everything`, whatever is missing in front."""

    def __init__(self, *, everything: bool = False) -> None:
        self._everything = everything

    def explains(self, place: Place) -> bool:
        """The same for every place."""
        return self._everything


def verified(stored: Iterable[bytes], *, cut: bool = False, one_writer: bool = False) -> Report:
    """What is found in these records, numbered from 1."""
    verifier = Verifier(Nothing(everything=cut), one_writer=one_writer)
    for number, data in enumerate(stored, 1):
        verifier.see(Place("A", number), data)
    return verifier.finish()


def codes(report: Report) -> dict[str, int]:
    """How often each code was found."""
    return {str(code): count for code, count in report.counts.items()}


async def stored_chain(nc: Client, stream: str = "AUDIT") -> Report:
    """What the verifier says of a stream, read without it: message by message, as the server holds it."""
    return verified([message.data for message in await read_stream(nc, stream)])


async def recorded(nc: Client, stream: str = "AUDIT") -> list[dict[str, Any]]:
    """The audit records of a stream, without those of the chain itself."""
    return [message.json for message in await read_stream(nc, stream) if "outcome" in message.json]
