"""The closed lists of what can go wrong, as words: events of log lines that are warnings or worse, and their codes.

An operator looks a code up in docs/troubleshooting.md, which has one entry for each word here and for nothing else. A
line whose event means one thing only has no code of its own: it is the event's name, with a dash for the dot.
"""

from __future__ import annotations

import msgspec

from ..problems import Code
from ..runtime.stats import EVENT_CODES, OTHER, REFUSAL_CODES, STEP_CODES, TARGET_CODES

FOREIGN = "foreign"
"""The code of a line without an event: a library wrote it, or a plugin of somebody else."""

REMARK_CODES = ("durable-gives-up", "durable-paused", "durable-differs", "source-unmatched")
"""What is worth saying of the source of a route that works."""
NOTE_CODES = ("standby", "waiting-for-order")
"""Why an ordered route that is up does nothing now."""
ROUTE_CODES = (
    "disconnected",
    "jetstream-unavailable",
    "no-stream",
    "stream-refused",
    "no-consumer",
    "consumer-refused",
    "consumer-unavailable",
    "pull-refused",
    "source-silent",
    "foreign-durable",
    "unfit-durable",
    "durable-not-updated",
    "server-too-old",
    "no-permission",
    "wrong-stream",
    "refused",
    "plugin-missing",
    "plugin-failed",
    "open-failed",
    "start-stalled",
    "step-stuck",
    "audit-failed",
    "internal",
)
"""Why a route is down; one whose dead letters are not taken may have a code of a target, too."""
LOSS_CODES = ("consumer-changed", "consumer-lost", "consumer-updated", "durable-due", "source-unwatched")
"""Why a source is opened again, beside what the route may be down for; the event `source.lost`, an info, has them."""
CONNECTION_CODES = ("nats-unreachable", "nats-refused", "nats-tls", "nats-file")
"""Why there is no connection."""
COMPONENT_CODES = (
    "key-missing",
    "value-not-json",
    "too-many-parts",
    "parts-too-large",
    "schema-violation",
    "schema-unknown",
    "schema-broken",
    "cel-not-boolean",
    "cel-budget",
    "cel-value",
)
"""What the built-in components refuse an event with, or put it off, and those of the packages in plugins/."""
DEAD_LETTER_CODES = (*REFUSAL_CODES, *STEP_CODES, *EVENT_CODES, *COMPONENT_CODES, OTHER)
"""What events end or wait with. A plugin may have more."""
CONFIG_CODES = tuple(str(code) for code in Code)
"""What `gateway check` finds."""


class Line(msgspec.Struct, frozen=True):
    """What is fixed of the lines of one event."""

    codes: tuple[str, ...] = ()
    """Those they may have; none: the event's own name."""
    open: bool = False
    """Components of others may have more codes."""
    each: bool = False
    """Every line is written, however often it comes: it says that something is over which another line said has begun,
    or it has numbers of its own, or it is data.
    """


_PLAIN = Line()
_EACH = Line(each=True)

EVENTS: dict[str, Line] = {
    # The connection.
    "nats.unreachable": Line(CONNECTION_CODES, each=True),
    "nats.disconnected": _EACH,
    "nats.closed": _EACH,
    "nats.deaf": _PLAIN,
    "nats.flush-failed": _PLAIN,
    "nats.close-failed": _PLAIN,
    "nats.sink-failed": _PLAIN,
    # Routes and their sources.
    "route.down": Line((*ROUTE_CODES, *TARGET_CODES), each=True),
    "route.start-failed": _PLAIN,
    "route.sweep-failed": _PLAIN,
    "route.supervisor-ended": _PLAIN,
    "route.drain-failed": _PLAIN,
    "route.internal-error": _PLAIN,
    "route.forgot": _EACH,
    "route.set-back": _EACH,
    "route.not-set-back": _PLAIN,
    "route.no-dead-letter-stream": _PLAIN,
    "route.reads-its-letters": _PLAIN,
    "route.letters-not-kept": _PLAIN,
    "source.silent": _PLAIN,
    "source.gap": _EACH,
    "source.unmatched": _EACH,
    "durable.paused": _EACH,
    "durable.gives-up": _EACH,
    "durable.differs": _EACH,
    "durable.skips": _EACH,
    "durable.not-stored": _PLAIN,
    "durable.update-put-off": _EACH,
    "stream.unusable": Line(("no-stream", "stream-refused")),
    "stream.differs": _PLAIN,
    "stream.made-again": _EACH,
    "replicas.config-differs": _EACH,
    "replicas.unknown": _PLAIN,
    "replicas.failed": _PLAIN,
    # Targets and events.
    "target.held": Line(TARGET_CODES, each=True),
    "target.short-window": _PLAIN,
    "event.retried": Line((*DEAD_LETTER_CODES, *TARGET_CODES), open=True),
    "event.dead-lettered": Line(DEAD_LETTER_CODES, open=True),
    "event.parked": Line(DEAD_LETTER_CODES, open=True),
    "dlq.look-failed": _PLAIN,
    "dlq.look-refused": _PLAIN,
    # Config and reload.
    "config.warning": Line(CONFIG_CODES, each=True),
    "config.reload-failed": Line((*CONFIG_CODES, "config-reload-failed"), each=True),
    "config.needs-restart": _EACH,
    # Plugins and components.
    "plugin.hook-failed": _PLAIN,
    "plugin.tried-to-end": _PLAIN,
    "component.open-failed": _PLAIN,
    "component.close-failed": _PLAIN,
    "component.settled-failed": _PLAIN,
    "loop.blocked": Line(("loop-blocked", "loop-starved"), each=True),
    "dedupe.full": _PLAIN,
    "enrich.watch": _EACH,
    "enrich.failed": _PLAIN,
    "schema.broken": _PLAIN,
    "schema.watch-failed": _PLAIN,
    "otel.failing": _EACH,
    "otel.export-failed": _PLAIN,
    "otel.overflow": _EACH,
    "otel.unsent": _EACH,
    "postgres.away": _PLAIN,
    # Audits.
    "audit.record": Line(DEAD_LETTER_CODES, open=True, each=True),
    "audit.failed": _PLAIN,
    "audit.lost": _EACH,
    "audit.no-end": _PLAIN,
    "audit.no-look-back": _PLAIN,
    # The process.
    "gateway.ready": _EACH,
    "gateway.start-failed": _EACH,
    "gateway.killed": _EACH,
    "gateway.left-behind": _EACH,
    "gateway.no-state": _EACH,
    "http.failed": _PLAIN,
    "api.refused": _PLAIN,
}
"""Every event that is ever logged as a warning or worse."""

_EACH_OF = frozenset(event for event, line in EVENTS.items() if line.each)


def code_of(event: str) -> str:
    """The code of a line that has none of its own."""
    return event.replace(".", "-", 1)


def told_each(event: object) -> bool:
    """Whether every line of an event is written."""
    return event in _EACH_OF


def words() -> frozenset[str]:
    """Everything an operator may have to look up."""
    events = {code_of(event) for event in EVENTS}
    codes = {code for line in EVENTS.values() for code in line.codes}
    return frozenset(events | codes | {*NOTE_CODES, *LOSS_CODES, FOREIGN})
