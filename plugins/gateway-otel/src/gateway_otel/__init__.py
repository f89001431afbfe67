"""Spans of settled events over OTLP: `audits: [otel]` in a route, `plugins.settings.otel` for the collector.

One span per settled event and route, named `process <route>`, from its receipt to its settling, and one below it for
each message that was published for it, `publish <target>`. An event that came with a `traceparent` has its span in that
trace, below the sender's; its copies carry the ids of their spans, so what is downstream hangs below them. An event
without one begins a trace. The README is the manual.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, ClassVar

from gateway import Audit, AuditRecord, hookimpl

from .collector import Collector
from .pump import Pump
from .settings import OtelConfig, OtelSettings
from .spans import Sampler, request_of, spans_in

_durables: dict[tuple[str, str], str] = {}
"""The durable of each route, by gateway and route: records do not name it."""
_versions: dict[str, str] = {}
"""The version of each gateway, by name."""
_pumps: set[Pump] = set()
"""Those that run; more than one only where routes set ratios of their own."""


def _spans(records: Sequence[AuditRecord]) -> int:
    return sum(map(spans_in, records))


def _durable_of(record: AuditRecord) -> str:
    return _durables.get((record.gateway, record.route), "")


class Otel(Audit, name="otel"):
    """Export the spans of every settled event over OTLP, in the trace of its sender."""

    Config: ClassVar[Any] = OtelConfig
    example: ClassVar[Any] = {"sample-ratio": 0.05}
    shared: ClassVar[bool] = True
    config: OtelConfig

    def prepare(self) -> None:
        """Settle the ratios and make the counters, so that their zeros exist."""
        settings: OtelSettings = self.context.settings
        own = self.config
        self.trace_ratio = settings.sample_ratio if own.sample_ratio is None else own.sample_ratio
        self._sampler = Sampler(
            self.trace_ratio,
            settings.traced_ratio if own.traced_ratio is None else own.traced_ratio,
            settings.dead_letters if own.dead_letters is None else own.dead_letters,
        )
        metrics = self.context.metrics
        self._counters = {
            outcome: metrics.counter("spans_total", {"outcome": outcome})
            for outcome in ("exported", "failed", "overflow", "unsent", "unsampled")
        }

    def open(self) -> None:
        """Start the thread that exports; the collector may be away."""
        settings: OtelSettings = self.context.settings
        self._resource = {**settings.resource, "service.name": settings.service_name}
        self._collector = Collector(settings, self.context.log)
        self._pump = Pump(self._export, self._count, _spans, settings.queue, float(settings.delay), self.context.log)
        _pumps.add(self._pump)

    def record(self, records: Sequence[AuditRecord]) -> None:
        """Queue what is sampled. A collector that is away or slow holds no route, not even a required one."""
        taken = [record for record in records if self._sampler.takes(record)]
        if len(taken) < len(records):
            self._counters["unsampled"].inc(_spans(records) - _spans(taken))
        if taken:
            self._pump.offer(taken)

    async def close(self) -> None:
        """Give the collector what is queued, within `flush`."""
        _pumps.discard(self._pump)
        await asyncio.to_thread(self._pump.close, float(self.context.settings.flush), self._collector.abandon)

    def _export(self, records: Sequence[AuditRecord]) -> int:
        version = _versions.get(records[0].gateway)
        resource = {**self._resource, "service.version": version} if version else self._resource
        return self._collector.send(request_of(records, resource, _durable_of), _spans(records))

    def _count(self, outcome: str, number: int) -> None:
        self._counters[outcome].inc(number)


@hookimpl
def gateway_audits() -> list[type[Audit]]:
    """What this package offers."""
    return [Otel]


@hookimpl
def gateway_settings() -> type[OtelSettings]:
    """The type of `plugins.settings.otel`."""
    return OtelSettings


@hookimpl
def gateway_route_started(route: Any) -> None:
    """Learn which durable a route reads through: the conventions call it the consumer group."""
    _durables[route.gateway, route.name] = route.durable


@hookimpl
def gateway_route_stopped(route: Any) -> None:
    """Forget it; a route that was replaced has said its new one by then, or will."""
    if _durables.get((route.gateway, route.name)) == route.durable:
        del _durables[route.gateway, route.name]


@hookimpl
def gateway_started(info: Any) -> None:
    """Learn the version, for the resource."""
    _versions[info.name] = info.version


@hookimpl
def gateway_stopping(info: Any) -> None:
    """Send what waits for a full batch while the routes drain, not after."""
    for pump in _pumps:
        pump.hurry()
