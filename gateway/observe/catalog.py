"""Every metric of the gateway: one table, from which the scrape and docs/metrics.md are made.

The law of names: `event_gateway_<noun>_<what>[_<unit>][_total]`. Counters, and only they, end in `_total`; units are
seconds and bytes; constants that only carry labels end in `_info`. Label values come from the config or from a closed
list and exist from the start, so that a rate can be taken of the first event. Never a label: subjects, event ids,
error texts. Histograms have at most 12 buckets, because each is a series per route.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Generic, Literal, TypeAlias, TypeVar

from ..runtime.stats import Buckets, GatewayStats, RouteStats

PREFIX = "event_gateway_"

Series: TypeAlias = Mapping[Any, float | Buckets]
"""Numbers by label value, or by a tuple of label values in the order of the metric's labels; or histograms."""
Reading: TypeAlias = float | Series | Buckets

S = TypeVar("S")


@dataclass(frozen=True)
class Metric(Generic[S]):
    """One metric: what it is called, and where in the stats its numbers are."""

    name: str
    """As PromQL says it, without the prefix."""
    kind: Literal["counter", "gauge", "histogram", "info"]
    labels: tuple[str, ...]
    """Without `route`, which every route metric has first."""
    help: str
    read: Callable[[S], Reading]
    """Called on the event loop; what it returns is copied at once."""


@cache
def build() -> tuple[str, str]:
    """Our version and Python's."""
    try:
        ours = version("nats-event-gateway")
    except PackageNotFoundError:  # run from a source tree that was never installed
        ours = "unknown"
    return ours, platform.python_version()


ROUTE_METRICS: tuple[Metric[RouteStats], ...] = (
    Metric(
        "route_up",
        "gauge",
        (),
        "1 when the route works: its consumer exists and its lane makes progress or has nothing to do.",
        lambda route: route.up,
    ),
    Metric(
        "events_received_total",
        "counter",
        (),
        "Deliveries taken from the source stream, redeliveries included.",
        lambda route: route.received,
    ),
    Metric(
        "events_total",
        "counter",
        ("outcome",),
        "Events settled, by what became of them: published, filtered, dropped or dead_lettered.",
        lambda route: route.outcomes,
    ),
    Metric(
        "published_messages_total",
        "counter",
        ("target",),
        "Copies that a target stream acknowledged, duplicates included.",
        lambda route: route.published,
    ),
    Metric(
        "duplicates_total",
        "counter",
        ("target",),
        "Copies that the target stream already had, so it stored them no second time.",
        lambda route: route.duplicates,
    ),
    Metric(
        "retries_total",
        "counter",
        ("code",),
        "Tries that failed in a passing way and were, or will be, made again.",
        lambda route: route.retries,
    ),
    Metric(
        "dead_letters_total",
        "counter",
        ("code",),
        "Events stored in the dead-letter stream, by the reason.",
        lambda route: route.dead_letters,
    ),
    Metric(
        "redeliveries_total",
        "counter",
        (),
        "Deliveries that were not the first one of their event.",
        lambda route: route.redeliveries,
    ),
    Metric(
        "step_errors_total",
        "counter",
        ("step", "code"),
        "Errors by the step they happened in; one event may count several times.",
        lambda route: route.step_errors,
    ),
    Metric(
        "received_bytes_total",
        "counter",
        (),
        "Bytes of the deliveries taken from the source stream.",
        lambda route: route.received_bytes,
    ),
    Metric(
        "published_bytes_total",
        "counter",
        (),
        "Bytes of the copies that target streams acknowledged.",
        lambda route: route.published_bytes,
    ),
    Metric(
        "event_duration_seconds",
        "histogram",
        (),
        "From receiving an event to settling it, pauses included.",
        lambda route: route.duration,
    ),
    Metric(
        "event_lag_seconds",
        "histogram",
        (),
        "From storing an event in the source stream to settling it: how late the route is.",
        lambda route: route.lag,
    ),
    Metric(
        "step_duration_seconds",
        "histogram",
        ("step",),
        "How long a step takes, waiting included; only of routes whose config says `step-durations: true`.",
        lambda route: route.step_durations,
    ),
    Metric(
        "events_in_flight",
        "gauge",
        (),
        "Events received and not yet settled.",
        lambda route: route.in_flight,
    ),
    Metric(
        "parked_events",
        "gauge",
        (),
        "Events that cannot be dead letters either (too large, or they would come back) and come again; act on it.",
        lambda route: route.parked,
    ),
    Metric(
        "consumer_pending",
        "gauge",
        (),
        "Events waiting in the source stream. Every replica shows the same number: use max, not sum.",
        lambda route: route.pending,
    ),
    Metric(
        "consumer_ack_pending",
        "gauge",
        (),
        "Events delivered to any replica and not yet settled. Every replica shows the same number: use max, not sum.",
        lambda route: route.ack_pending,
    ),
    Metric(
        "circuit_open",
        "gauge",
        (),
        "1 while the route takes nothing new because a target refuses or does not answer.",
        lambda route: route.circuit_open,
    ),
    Metric(
        "audit_records_total",
        "counter",
        ("sink", "outcome"),
        "Audit records by the sink they went to: stored, or failed (and tried again where audits are required).",
        lambda route: route.audit_records,
    ),
)
"""Per route. A disabled route has none of them: what is not meant to run must not look broken."""

PROCESS_METRICS: tuple[Metric[GatewayStats], ...] = (
    Metric(
        "nats_connected",
        "gauge",
        (),
        "1 while connected to a NATS server.",
        lambda stats: stats.connected,
    ),
    Metric(
        "nats_reconnects_total",
        "counter",
        (),
        "Connections to NATS made after the first one.",
        lambda stats: stats.reconnects,
    ),
    Metric(
        "config_reloads_total",
        "counter",
        ("outcome",),
        "Reloads asked for: success, or failure (the old config stayed).",
        lambda stats: stats.reloads,
    ),
    Metric(
        "config_last_reload_successful",
        "gauge",
        (),
        "1 when the last reload succeeded, or none was asked for; 0 while an older config than the file's is running.",
        lambda stats: stats.last_reload_successful,
    ),
    Metric(
        "config_last_reload_success_timestamp_seconds",
        "gauge",
        (),
        "When the running config was loaded, in Unix time.",
        lambda stats: stats.last_reload_success_time,
    ),
    Metric(
        "config_info",
        "info",
        ("digest",),
        "The digest of the running config; replicas should agree.",
        lambda stats: {(stats.digest,): 1},
    ),
    Metric(
        "replicas_seen",
        "gauge",
        (),
        "Gateways of this name seen in the last 90 s, this one included; 0 while that cannot be known.",
        lambda stats: stats.replicas,
    ),
    Metric(
        "replica_configs",
        "gauge",
        (),
        "Different configs among these; more than 1 for longer than a roll-out takes is a mistake.",
        lambda stats: stats.replica_configs,
    ),
    Metric(
        "plugin_info",
        "info",
        ("plugin", "version", "status"),
        "The plugins found, and whether each could be loaded.",
        lambda stats: dict.fromkeys(stats.plugins, 1),
    ),
    Metric(
        "build_info",
        "info",
        ("version", "python"),
        "The gateway's version and Python's.",
        lambda _: {build(): 1},
    ),
    Metric(
        "loop_lag_seconds",
        "histogram",
        (),
        "How late the event loop woke a timer: above 0.1 something blocks it, such as a plugin that should be async.",
        lambda stats: stats.loop_lag,
    ),
)


def markdown_table() -> str:
    """The table of docs/metrics.md."""
    rows = [(metric.name, metric.kind, ("route", *metric.labels), metric.help) for metric in ROUTE_METRICS]
    rows += [(metric.name, metric.kind, metric.labels, metric.help) for metric in PROCESS_METRICS]
    lines = ["| Metric | Type | Labels | Meaning |", "|---|---|---|---|"]
    for name, kind, labels, text in rows:
        lines.append(f"| `{PREFIX}{name}` | {kind} | {', '.join(f'`{label}`' for label in labels)} | {text} |")
    return "\n".join(lines) + "\n"
