"""The audit `log`."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, ClassVar, Literal

from ...event import AuditRecord
from ...plugin import Audit, Settings


class LogAudit(Audit, name="log"):
    """Write a line per record to the gateway's own log, at `level`.

    For watching a route, not for proof: the lines are not chained, and as safe as the place where the log goes. They
    name the event and where it came from and went to, never its body.
    """

    class Config(Settings, frozen=True):
        """How loud."""

        level: Literal["debug", "info", "warning", "error"] = "info"

    config: Config
    example: ClassVar[Any] = {"level": "info"}

    def prepare(self) -> None:
        """Look the level up."""
        self._level = logging.getLevelNamesMapping()[self.config.level.upper()]

    def record(self, records: Sequence[AuditRecord]) -> None:
        """One line each."""
        log = self.context.log
        if not log.isEnabledFor(self._level):
            return
        for record in records:
            log.log(self._level, "%s", record.outcome, extra={"event": "audit.record", **_fields(record)})


def _fields(record: AuditRecord) -> dict[str, Any]:
    """What the line says; empty ones are left out."""
    fields = {
        "route": record.route,
        "outcome": str(record.outcome),
        "step": record.step,
        "code": record.code,
        "reason": record.reason,
        "event_id": record.event_id,
        "event_type": record.event_type,
        "stream": record.stream,
        "sequence": record.sequence,
        "subject": record.subject,
        "targets": " ".join(f"{target.stream}:{target.sequence}" for target in record.targets),
        "seconds": round(record.seconds, 6),
        "trace_id": record.trace_id,
    }
    return {name: value for name, value in fields.items() if value != ""}
