"""What the admin API tells: the shapes of its answers, and who gives them. Field names are the wire's.

The OpenAPI document is made from these types: the text under a field is its description there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal, Protocol

import msgspec
from msgspec import Meta

from ..registry.lookup import Status
from ..runtime.stats import RouteState

Count = Annotated[int, Meta(ge=0)]
Instant = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]
"""RFC 3339, UTC, to the second."""


class Fact(msgspec.Struct, frozen=True, kw_only=True, rename="kebab"):
    """One answer, or a part of one."""


class ReplicaFact(Fact, frozen=True):
    """One gateway of this name."""

    instance: str
    """Which process it is."""
    config: str
    """Digest of the config it runs."""


class Version(Fact, frozen=True):
    """Who answers, and who else shares the work."""

    name: str
    """The gateway's name; replicas share it."""
    instance: str
    """This process; with a state folder the same again after a restart."""
    version: str
    """Of the gateway."""
    python: str
    """The version of Python it runs on."""
    config: str
    """Digest of the running config."""
    started: Instant
    """When this process started (UTC)."""
    reloaded: Instant
    """When the running config was taken over (UTC): at the start, or by the last reload that was good."""
    reload_failed: bool
    """Whether the last reload was refused, so that the files say something else than what runs."""
    connected: bool
    """Whether there is a connection to NATS."""
    replicas: list[ReplicaFact]
    """Gateways of this name, this one included, as seen at most 30 seconds ago; empty while nobody can tell."""


class TargetFact(Fact, frozen=True):
    """One target of a route."""

    name: str
    """As in metrics and message ids."""
    subject: str
    """The template, as the config has it."""
    stream: str | None
    """The stream that has to store the copies; null when any may."""
    published: Count
    """Copies its stream acknowledged, duplicates included."""
    duplicates: Count
    """Copies the stream already had."""


class Outcomes(msgspec.Struct, frozen=True, kw_only=True):
    """Events settled, by what became of them. The words are those of metrics and audit records."""

    published: Count
    """Every target has it."""
    filtered: Count
    """A filter said no."""
    dropped: Count
    """A transform dropped it."""
    dead_lettered: Count
    """It could not go on, and is kept as a dead letter."""


class RouteFact(Fact, frozen=True):
    """One route, and what it has done since the process started; a reload does not set the counts back."""

    name: str
    """As in the config, in metrics and in logs."""
    description: str
    """What the config says of it; empty when it says nothing."""
    state: RouteState
    """up: at work, or idle. down: it cannot work, and is tried again. starting: neither yet. draining, stopped: the end
    of the process or a reload takes it away. disabled: the config says so."""
    code: str
    """Why it is not up, or what it waits for; empty when nothing is wrong."""
    reason: str
    """The same for people."""
    since: Instant | None
    """Since when (UTC); null when nothing is wrong."""
    config: str
    """Digest of the config it runs by; in the middle of a reload not yet the new one for every route."""
    stream: str
    """The stream it reads."""
    subjects: list[str]
    """The subjects of that stream it reads."""
    durable: str
    """Its durable consumer."""
    ordering: Literal["none", "strict", "key"]
    """Whether events keep the order of the stream, or that of their key."""
    role: Literal["shared", "active", "standby", "none"]
    """shared: every replica works, the route has no order. active: of an ordered route, this replica works. standby:
    another one does. none: nobody that this replica knows of, since no event has come yet, or it does not run here."""
    active_instance: str | None
    """Of an ordered route, the replica that works; null while it is nobody, or nobody that can be named."""
    steps: list[str]
    """Labels of the filters and transforms in order, as in the metrics; empty while the route is disabled."""
    targets: list[TargetFact]
    """Where copies go, in the order of the config."""
    audits: list[str]
    """Labels of the audit sinks; empty while the route is disabled."""
    dead_letter: str
    """The subject of its dead letters."""
    received: Count
    """Events that came from the stream, those that came again included."""
    redeliveries: Count
    """Events that had been delivered before, here or to a replica."""
    outcomes: Outcomes
    """What became of the events that are settled."""
    dead_letters: dict[str, Count]
    """Dead letters by code; codes that did not occur are left out."""
    retries: dict[str, Count]
    """Failed tries by code; codes that did not occur are left out."""
    in_flight: Count
    """Events that are with this process now."""
    parked: Count
    """Events whose dead letter nobody takes either; they are tried again."""
    pending: Count
    """Events in the source stream that no replica has taken yet, as the server said at most 5 seconds ago."""
    ack_pending: Count
    """Events any replica has taken and not settled, as the server said at most 5 seconds ago."""
    circuit_open: bool
    """Whether a target takes nothing now, so that the route pauses."""


class Routes(Fact, frozen=True):
    """All routes in the order of the config, the disabled ones last."""

    routes: list[RouteFact]
    """One each; those that a reload is just starting may not be there yet."""


class PluginFact(Fact, frozen=True):
    """One plugin that was found."""

    name: str
    """Its entry point's name."""
    distribution: str
    """The installed package it comes from; empty when unknown."""
    version: str
    """Of that package; empty when unknown."""
    status: Status
    """What came of it."""
    reason: str
    """Why it is not ok, and what to do; empty when it is."""
    components: list[str]
    """What it offers, kind and name."""


class Plugins(Fact, frozen=True):
    """All plugins, the gateway's own components among them as `builtin`."""

    plugins: list[PluginFact]
    """One each."""


class Config(Fact, frozen=True):
    """The running config as `gateway config` shows it."""

    digest: str
    """Of the files' text before `${...}` is expanded."""
    config: dict[str, Any]
    """Defaults merged, secrets masked as `***`, `${...}` as written; its format is that of the config file."""


class ApiError(Fact, frozen=True):
    """Why there is no answer."""

    error: str
    """For people."""


class Facts(Protocol):
    """Who knows. Every call is short."""

    def version(self) -> Version: ...

    def names(self) -> Sequence[str]:
        """The names of all routes, the disabled ones last."""
        ...

    def route(self, name: str) -> RouteFact | None:
        """One route; None when there is none of that name (any more)."""
        ...

    def plugins(self) -> list[PluginFact]: ...

    def config(self) -> tuple[str, Callable[[], dict[str, Any]]]:
        """Digest of the running config, and who shows it: the same one until another config runs.

        To show a large config takes long; any thread may do it.
        """
        ...
