"""What the admin API tells: the shapes of its answers, and who gives them. Field names are the wire's."""

from __future__ import annotations

from typing import Any, Protocol

import msgspec


class Fact(msgspec.Struct, frozen=True, kw_only=True, rename="kebab"):
    """One answer, or a part of one."""


class Version(Fact, frozen=True):
    """Who answers."""

    name: str
    """The gateway's name; replicas share it."""
    instance: str
    """This process."""
    version: str
    python: str
    config: str
    """Digest of the running config."""
    connected: bool
    """Whether there is a connection to NATS."""


class TargetFact(Fact, frozen=True):
    """One target of a route."""

    name: str
    subject: str
    """The template, as the config has it."""
    stream: str | None
    published: int
    """Copies its stream acknowledged, duplicates included."""
    duplicates: int


class RouteFact(Fact, frozen=True):
    """One route, and what it has done since the process started."""

    name: str
    description: str
    state: str
    """starting, up, down, draining, stopped or disabled."""
    code: str
    """Why it is not up, or what it waits for; empty when nothing is wrong."""
    reason: str
    """The same for people."""
    stream: str
    subjects: list[str]
    durable: str
    steps: list[str]
    """Labels of the filters and transforms in order, as in the metrics."""
    targets: list[TargetFact]
    audits: list[str]
    dead_letter: str
    """The subject of its dead letters."""
    received: int
    redeliveries: int
    outcomes: dict[str, int]
    """Events settled: published, filtered, dropped, dead_lettered."""
    dead_letters: dict[str, int]
    """By code; codes that did not occur are left out."""
    retries: dict[str, int]
    """By code; codes that did not occur are left out."""
    in_flight: int
    parked: int
    pending: int
    """Events in the source stream that no replica has taken yet; every replica tells the same number."""
    ack_pending: int
    """Events any replica has taken and not settled; every replica tells the same number."""
    circuit_open: bool


class Routes(Fact, frozen=True):
    """All routes; disabled ones are the last."""

    routes: list[RouteFact]


class PluginFact(Fact, frozen=True):
    """One plugin that was found."""

    name: str
    distribution: str
    version: str
    status: str
    """ok, failed, disabled or clash."""
    reason: str
    components: list[str]


class Plugins(Fact, frozen=True):
    """All plugins."""

    plugins: list[PluginFact]


class Config(Fact, frozen=True):
    """The running config as `gateway config` shows it: defaults merged, secrets masked, `${...}` as written."""

    digest: str
    config: dict[str, Any]


class ApiError(Fact, frozen=True):
    """Why there is no answer."""

    error: str


class Facts(Protocol):
    """Who knows. Every call is short and synchronous."""

    def version(self) -> Version: ...

    def routes(self) -> list[RouteFact]: ...

    def plugins(self) -> list[PluginFact]: ...

    def config(self) -> Config: ...
