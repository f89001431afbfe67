"""The metrics that dashboards and alerts of others depend on: name, type and labels. A change here is a break."""

from __future__ import annotations

PREFIX = "event_gateway_"

ROUTE = {
    "events_received_total": ("counter", {"route"}),
    "events_total": ("counter", {"route", "outcome"}),
    "published_messages_total": ("counter", {"route", "target"}),
    "duplicates_total": ("counter", {"route", "target"}),
    "retries_total": ("counter", {"route", "code"}),
    "dead_letters_total": ("counter", {"route", "code"}),
    "redeliveries_total": ("counter", {"route"}),
    "received_bytes_total": ("counter", {"route"}),
    "published_bytes_total": ("counter", {"route"}),
    "event_duration_seconds": ("histogram", {"route"}),
    "event_lag_seconds": ("histogram", {"route"}),
    "step_errors_total": ("counter", {"route", "step", "code"}),
    "step_duration_seconds": ("histogram", {"route", "step"}),
    "events_in_flight": ("gauge", {"route"}),
    "parked_events": ("gauge", {"route"}),
    "consumer_pending": ("gauge", {"route"}),
    "consumer_ack_pending": ("gauge", {"route"}),
    "route_up": ("gauge", {"route"}),
    "circuit_open": ("gauge", {"route"}),
    "audit_records_total": ("counter", {"route", "sink", "outcome"}),
}
PROCESS: dict[str, tuple[str, set[str]]] = {
    "nats_connected": ("gauge", set()),
    "nats_reconnects_total": ("counter", set()),
    "config_reloads_total": ("counter", {"outcome"}),
    "config_last_reload_successful": ("gauge", set()),
    "config_last_reload_success_timestamp_seconds": ("gauge", set()),
    "config_info": ("info", {"digest"}),
    "replicas_seen": ("gauge", set()),
    "replica_configs": ("gauge", set()),
    "plugin_info": ("info", {"plugin", "version", "status"}),
    "build_info": ("info", {"version", "python"}),
    "loop_lag_seconds": ("histogram", set()),
}
CONTRACT = {PREFIX + name: (kind, frozenset(labels)) for name, (kind, labels) in {**ROUTE, **PROCESS}.items()}

STANDARD = {
    "process_cpu_seconds_total",
    "process_max_fds",
    "process_open_fds",
    "process_resident_memory_bytes",
    "process_start_time_seconds",
    "process_virtual_memory_bytes",
}
"""What every exporter of a process has, under the names that everybody's dashboards use."""
