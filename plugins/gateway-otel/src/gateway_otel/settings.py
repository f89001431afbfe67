"""What the file says of the collector (`plugins.settings.otel`) and of one route's step (`- otel: {...}`)."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, field

from gateway import Duration, Secret, Settings

_URL = Meta(
    pattern=r"^https?://[^/\s]+/\S+$",
    extra={"expected": "a whole http or https URL", "hint": "with its path, as in http://127.0.0.1:4318/v1/traces"},
)
Ratio = Annotated[float, Meta(ge=0, le=1)]


class OtelSettings(Settings, frozen=True):
    """The collector and how spans get there; one for all routes."""

    endpoint: Annotated[str, _URL] = "http://127.0.0.1:4318/v1/traces"
    """The whole URL, path included; OTLP over HTTP with protobuf."""
    headers: dict[str, Secret] = field(default_factory=dict)
    """Sent with every request, for collectors that want a key; one with an empty value is left out."""
    service_name: str = "nats-event-gateway"
    """`service.name` of the resource."""
    resource: dict[str, str] = field(default_factory=dict)
    """Its other attributes: `{deployment.environment.name: production}`."""
    certificate: str | None = None
    """A file with the CA of an https collector; the system's CAs without it."""
    compression: Literal["none", "gzip"] = "none"
    timeout: Duration = Duration(10)
    """Until a batch is given up; tries and pauses between them included."""
    queue: Annotated[int, Meta(ge=1)] = 8192
    """Events whose spans may wait; what finds no room is counted and dropped."""
    delay: Duration = Duration(1)
    """Longest that an event waits for others to make a batch with."""
    flush: Duration = Duration(3)
    """Longest that closing waits for what is still queued."""
    sample_ratio: Ratio = 1.0
    """Share of the events without a trace that begin one."""
    traced_ratio: Ratio = 1.0
    """Share of the traces sampled by their sender that are gone on with; chosen by trace id, so whole traces are."""
    dead_letters: bool = True
    """Whether dead letters are exported whatever the ratios say."""


class OtelConfig(Settings, frozen=True):
    """What one route has otherwise; what is not set here is taken from the settings."""

    sample_ratio: Ratio | None = None
    traced_ratio: Ratio | None = None
    dead_letters: bool | None = None
