"""The config as data: what `loader` makes of the files. Defaults here are the documented ones.

Fields are kebab-case in the file. Times are seconds, sizes bytes, as `Duration` and `Size`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from ..paths import Path
from ..templates import Template
from ..values import Duration, Rate, Secret, Size, Subject
from . import fields
from .tree import Node


class Model(msgspec.Struct, frozen=True, kw_only=True, rename="kebab", forbid_unknown_fields=True):
    """Base of every mapping in the file."""

    def __repr__(self) -> str:
        """No value: any of them may come out of an expansion, and a server's URL holds its password."""
        return f"<{type(self).__name__}>"


class Tls(Model, frozen=True):
    """TLS to the server; any part of it set means TLS, and there is no way back to plaintext."""

    ca: str | None = None
    """File with the authorities to trust; the system's without it."""
    cert: str | None = None
    """File with our certificate chain."""
    key: str | None = None
    """File with the key of `cert`."""
    handshake_first: bool = False
    """TLS before the server says anything; the server must be set up for it."""


class Nats(Model, frozen=True):
    """How to reach the servers."""

    servers: Annotated[list[fields.ServerUrl], Meta(min_length=1)] = msgspec.field(
        default_factory=lambda: ["nats://127.0.0.1:4222"]
    )
    """URLs of the servers; one is enough, the others are learnt from it."""
    user: str | None = None
    password: Secret | None = None
    token: Secret | None = None
    nkey_seed: fields.NkeySeed | None = None
    credentials: str | None = None
    """Path of a .creds file, read again at every reconnect."""
    tls: Tls | None = None
    domain: fields.Domain | None = None
    """The JetStream domain."""
    inbox_prefix: fields.InboxPrefix = "_INBOX"
    """Where replies to us go; the account must let us subscribe there."""


class Http(Model, frozen=True):
    """The HTTP port for metrics, health and the admin API."""

    listen: fields.Listen = "127.0.0.1:9464"
    token: fields.ApiToken | None = None
    """What the admin API wants to be shown; without one it serves loopback only."""


class Log(Model, frozen=True):
    """What is logged, and how."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "text", "json"] = "auto"
    loggers: dict[str, Literal["debug", "info", "warning", "error"]] = {}


class Plugins(Model, frozen=True):
    """Which plugins may load, and their own settings."""

    disable: list[str] = []
    only: list[str] | None = None
    settings: dict[str, Any] = {}


class Stream(Model, frozen=True):
    """A stream the config declares."""

    name: fields.DeclaredName
    subjects: list[Subject] = []
    provision: Literal["create", "verify", "off"] = "verify"
    storage: Literal["file", "memory"] = "file"
    replicas: Annotated[int, Meta(ge=1, le=5)] = 1
    retention: Literal["limits", "interest", "workqueue"] = "limits"
    duplicate_window: fields.SomeTime | None = None
    """Of a stream that is made without: five minutes, or what `max_age` leaves of them. Else it may be any."""
    max_age: fields.SomeTime | None = None
    max_bytes: fields.SomeSize | None = None
    discard: Literal["old", "new"] = "old"


class StartAt(Model, frozen=True):
    """Where a new durable starts: at a sequence or at a time."""

    sequence: fields.Positive | None = None
    time: fields.Time | None = None
    """RFC 3339, with a zone."""


class Source(Model, frozen=True):
    """What a route reads."""

    stream: fields.StreamName
    subjects: fields.SourceSubjects
    durable: fields.Durable = ""
    """Filled in by the loader: `<gateway>-<route>` unless given."""
    start: Literal["all", "new"] | StartAt = "all"
    ack_wait: Annotated[Duration, Meta(ge=1)] = Duration(30)
    """How long the server waits for our word before it delivers again."""
    max_ack_pending: fields.Positive = 20_000
    manage: Literal["create", "verify", "update"] = "create"


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One component with its config, not yet an instance of it."""

    component: str
    """As written: `pattern` or `plugin/name`."""
    config: Any
    """Converted to the component's Config; None when the component is not there."""
    node: Node
    """The place of the config in the file, for problems found later."""
    path: tuple[str | int, ...]
    """The same as a config path: `("routes", 0, "filters", 1, "pattern")`."""

    def __repr__(self) -> str:
        """The name, and not the config, which may hold what an expansion put there."""
        return f"<Step {self.component}>"


CodecStep = Annotated[Step, Meta(extra={"component": "codec"})]
FilterStep = Annotated[Step, Meta(extra={"component": "filter"})]
TransformStep = Annotated[Step, Meta(extra={"component": "transform"})]
AuditStep = Annotated[Step, Meta(extra={"component": "audit"})]


class Target(Model, frozen=True):
    """Where copies go."""

    subject: fields.TargetSubject
    name: Annotated[str, Meta(min_length=1, max_length=255)] = ""
    """Filled in by the loader: the subject template unless given."""
    stream: fields.StreamName | None = None
    """The stream that must store the copy; sends Nats-Expected-Stream."""
    headers: dict[fields.HeaderName, fields.HeaderValue | None] = {}
    """Headers to set; null takes one away."""
    codec: CodecStep | None = None
    """The route's unless given."""


class DeadLetter(Model, frozen=True):
    """Where events go that cannot go on."""

    subject: fields.FixedSubject = Template("dlq.{$route}")


class Retry(Model, frozen=True):
    """How often and how long an event is tried."""

    attempts: fields.Positive = 5
    """Failed tries of an event in this process before it is dead-lettered."""
    max_age: fields.SomeTime = Duration(86_400)
    """Counted from the first failed try."""
    initial: fields.SomeTime = Duration(1)
    """The first pause."""
    factor: Annotated[float, Meta(ge=1, le=1000)] = 2.0
    """What each pause is multiplied by."""
    max: fields.SomeTime = Duration(60)
    """The longest pause."""
    jitter: Annotated[float, Meta(ge=0, le=1)] = 0.2
    """The share of a pause that chance decides."""


class KeyOrdering(Model, frozen=True):
    """Order per key."""

    key: Path


class Route(Model, frozen=True, kw_only=True):
    """One route, with defaults merged and steps converted."""

    name: fields.RouteName
    description: str = ""
    enabled: bool = True
    source: Annotated[Source, Meta(extra={"missing": "source: {stream: ORDERS, subjects: [orders.>]}"})]
    codec: CodecStep | None = None
    """The json codec unless given."""
    filters: list[FilterStep] = []
    """Every one must accept."""
    transforms: list[TransformStep] = []
    """In order; each may change, split or drop the event."""
    targets: Annotated[list[Target], Meta(min_length=1, extra={"missing": "targets: [{subject: billing.orders}]"})]
    audits: list[AuditStep] = []
    audit_mode: Literal["required", "best-effort"] = "required"
    """Whether an event waits for its audit record to be safe."""
    dead_letter: DeadLetter = DeadLetter()
    retry: Retry = Retry()
    ordering: Literal["none", "strict"] | KeyOrdering = "none"
    max_in_flight: fields.Positive = 1024
    max_in_flight_bytes: fields.SomeSize = Size(16 << 20)
    rate: Rate | None = None
    """Events a second at most, per process."""
    timeout: fields.SomeTime = Duration(5)
    """For one async or blocking step."""
    step_durations: bool = False
    """Measure how long each step takes, as the metric `event_gateway_step_duration_seconds`."""


class Config(Model, frozen=True):
    """The whole config."""

    name: fields.GatewayName = "gateway"
    """In durables, message ids, audit and metrics. Two gateways with one name share their work."""
    nats: Nats = Nats()
    http: Http | None = Http()
    """None: off."""
    log: Log = Log()
    drain: fields.SomeTime = Duration(25)
    """How long what is in flight may take to finish when the daemon stops."""
    max_hops: fields.Positive = 16
    """How often an event may pass a gateway before it counts as going in circles."""
    plugins: Plugins = Plugins()
    streams: list[Stream] = []
    routes: list[Route] = []
    digest: Annotated[str, Meta(extra={"internal": True})] = ""
    """Digest of the files' text before expansion; filled in by the loader."""
