"""Audit of a lane: records in batches, each sink told until it has them; what is required holds the settling."""

from __future__ import annotations

import asyncio
import inspect
import logging
import random
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from ..errors import DecodeError
from ..event import AuditRecord, Delivery, Event, TargetRecord
from ..ports import Clock
from ..routing.outputs import Copy
from ..routing.route import CompiledAudit, CompiledRoute
from ..routing.run import said
from ..routing.traces import parent_of, trace_of
from ..routing.verdict import ANSWER_WAIT, backoff
from ..trace import span_of_message
from .faults import Faults
from .losses import Losses
from .stats import RouteStats
from .window import Entry
from .worker import Workers

log = logging.getLogger("gateway.audit")

MAX_BATCH = 512
"""Records told at once."""
MAX_WAITING = 10_000
"""Records that may wait for a best-effort audit; their events are settled, so no window bounds them."""

INTERNAL = "audit records"
"""The fault of this program itself."""


class Auditor:
    """The audit step of one route."""

    def __init__(
        self,
        route: CompiledRoute,
        stats: RouteStats,
        faults: Faults,
        clock: Clock,
        instance: str,
        audited: Callable[[Entry], None],
        workers: Workers,
    ) -> None:
        self._route = route
        self._stats = stats
        self._faults = faults
        self._clock = clock
        self._instance = instance
        self._audited = audited
        self._created = ""
        self._ids = route.ids("")
        self._required = route.config.audit_mode == "required"
        self._limit = float(route.config.timeout)
        self._queue: list[tuple[Entry | None, AuditRecord]] = []
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        """Set while every record is told, or given up."""
        self._idle.set()
        self._task: asyncio.Task[None] | None = None
        self._workers = workers
        self._losses = Losses(route.name)

    def start(self, created: str) -> None:
        """Records carry the stream's creation time in their id, and in their span's."""
        self._created = created
        self._ids = self._route.ids(created)
        if self._route.audits and self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._work())

    def add(self, entry: Entry) -> None:
        """Have an event recorded; it is settled when that is done, or at once when the audit is best effort."""
        if self._required:
            self._queue.append((entry, self._record(entry)))
        elif len(self._queue) < MAX_WAITING:
            self._queue.append((None, self._record(entry)))
        else:
            for audit in self._route.audits:
                self._stats.audit_records[audit.label, "failed"] += 1
                self._losses.failed(audit.label, 1)
        self._idle.clear()
        self._wake.set()
        if not self._required:
            self._audited(entry)

    async def told(self, seconds: float) -> None:
        """Wait so long, at most, until best-effort records are told; those of required ones hold their events."""
        if self._required or self._task is None:
            return
        try:
            await asyncio.wait_for(self._idle.wait(), max(seconds, 0.01))
        except TimeoutError:
            log.warning(
                "records of settled events are lost: the audit does not take them",
                extra={"event": "audit.lost", "route": self._route.name, "waiting": len(self._queue)},
            )

    def forget(self) -> None:
        """The events in flight were given away; their records will be made again."""
        if self._required:
            self._queue.clear()

    def close(self) -> None:
        """Stop; what is not recorded is not settled either."""
        self._losses.close()
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def _work(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._queue:
                batch = self._queue[:MAX_BATCH]
                del self._queue[:MAX_BATCH]
                try:
                    await self._tell_all(batch)
                except Exception:
                    log.exception("internal error", extra={"event": "route.internal-error", "route": self._route.name})
                    await self._stumble(batch)
                else:
                    self._faults.clear(INTERNAL)
            self._idle.set()

    async def _tell_all(self, batch: Sequence[tuple[Entry | None, AuditRecord]]) -> None:
        """Tell every sink, then let the events be settled."""
        # A tuple: what one sink does to it must not reach the next.
        records = tuple(record for _, record in batch)
        for audit in self._route.audits:
            await self._tell(audit, records)
        for entry, _ in batch:
            if entry is not None:
                self._audited(entry)

    async def _stumble(self, batch: Sequence[tuple[Entry | None, AuditRecord]]) -> None:
        """After a fault of this program: what is required is told again, and whoever looks can see it."""
        if self._required:
            self._faults.set(INTERNAL, "internal", "internal error of the gateway over audit records")
            self._queue[:0] = batch
            await asyncio.sleep(float(self._route.config.retry.initial))

    async def _tell(self, audit: CompiledAudit, records: Sequence[AuditRecord]) -> None:
        """Tell one sink, until it has them when they are required."""
        failures = 0
        while True:
            error = await self._call(audit, records)
            if error is None:
                self._stats.audit_records[audit.label, "stored"] += len(records)
                self._faults.clear(f"audit {audit.label}")
                self._losses.stored(audit.label)
                return
            self._stats.audit_records[audit.label, "failed"] += len(records)
            failures += 1
            self._failing(audit, f"{audit.label} failed: {said(error)}", type(error).__name__, len(records))
            if not self._required:
                return
            await asyncio.sleep(backoff(self._route.config.retry, failures, random.random()))

    def _failing(self, audit: CompiledAudit, text: str, error: str = "", lost: int = 0) -> None:
        """A broken sink holds its route when it is required; otherwise it holds nothing, and records are lost."""
        if self._required:
            self._faults.set(f"audit {audit.label}", "audit-failed", text)
        else:
            self._losses.failed(audit.label, lost)
            told = {"event": "audit.failed", "route": self._route.name, "step": audit.label, "error": error}
            log.warning(text, extra=told)

    async def _call(self, audit: CompiledAudit, records: Sequence[AuditRecord]) -> BaseException | None:
        """One call, and what it raised. One over its time is cancelled and waited for: never two at a time."""
        call = asyncio.ensure_future(self._attempt(audit, records))
        try:
            done, _ = await asyncio.wait({call}, timeout=self._limit)
            if not done:
                self._failing(audit, f"{audit.label} takes longer than {self._limit:g} s")
                if not audit.blocking:
                    call.cancel()
                await asyncio.wait({call})
        except asyncio.CancelledError:
            call.cancel()
            raise
        return TimeoutError() if call.cancelled() else call.result()

    async def _attempt(self, audit: CompiledAudit, records: Sequence[AuditRecord]) -> BaseException | None:
        try:
            if audit.blocking:
                result, error = await self._workers.of(audit.component).call(lambda: audit.record(records))
                if error is not None:
                    return error
            else:
                result = audit.record(records)
            if inspect.isawaitable(result):
                await result
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # noqa: BLE001 - whatever a sink raises is its route's trouble only
            return error
        return None

    def _record(self, entry: Entry) -> AuditRecord:
        origin = self._route.origin
        delivery = entry.delivery
        event = entry.event
        now = self._clock.time()
        fault = entry.fault
        copies = entry.copies + ([] if entry.letter is None else [entry.letter])
        redrive = self._route.redrive
        letter = "" if redrive is None else redrive.record_id(delivery.sequence)
        trace = self._trace(delivery)
        return AuditRecord(
            id=f"{origin.gateway}/{origin.stream}/{self._created}/{delivery.sequence}/{origin.route}{letter}",
            time=datetime.fromtimestamp(now, UTC),
            gateway=origin.gateway,
            instance=self._instance,
            route=origin.route,
            outcome=entry.outcome,
            step=entry.step,
            code="" if fault is None else fault.code,
            reason=entry.reason,
            subject=delivery.subject,
            stream=origin.stream,
            sequence=delivery.sequence,
            targets=tuple(_target_record(copy, entry, traced=bool(trace)) for copy in copies if copy.ack is not None),
            attempts=1 if entry.tries is None else entry.tries.failed + 1,
            deliveries=delivery.deliveries,
            seconds=self._clock.monotonic() - entry.received,
            config=self._route.config_digest,
            plugins=dict(self._route.plugins),
            **_identity(event),
            **trace,
        )

    def _trace(self, delivery: Delivery) -> dict[str, Any]:
        """Where the event stands in its trace; nothing when it is in none."""
        trace = trace_of(self._route, self._ids, delivery)
        if trace is None:
            return {}
        return {
            "trace_id": trace.trace_id,
            "span_id": self._ids.span(delivery.sequence),
            "parent_span_id": parent_of(self._route, trace, delivery.sequence),
            "sampled": trace.sampled,
        }


def _identity(event: Event | None) -> dict[str, Any]:
    """What the event says of itself; nothing when it could not be decoded."""
    if event is None:
        return {}
    try:
        return {
            "event_id": event.id,
            "event_type": event.type or "",
            "event_source": event.source or "",
            "correlation_id": event.correlation_id,
            "causation_id": event.id,
        }
    except DecodeError:
        return {}


def _target_record(copy: Copy, entry: Entry, *, traced: bool) -> TargetRecord:
    assert copy.ack is not None
    sent = copy.deadline - ANSWER_WAIT
    seen = copy.stored_at >= sent >= entry.received
    return TargetRecord(
        name="dead-letter" if copy.target is None else copy.target.name,
        subject=copy.subject,
        stream=copy.ack.stream,
        sequence=copy.ack.seq,
        duplicate=copy.ack.duplicate,
        message_id=copy.message_id,
        tries=copy.tries,
        after=round(sent - entry.received, 6) if seen else 0.0,
        seconds=round(copy.stored_at - sent, 6) if seen else 0.0,
        span_id=span_of_message(copy.message_id) if traced else "",
    )
