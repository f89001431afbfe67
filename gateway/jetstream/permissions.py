"""The least that NATS must allow the gateway under a config: every subject it publishes to or subscribes to, and why.

One list of needs, made of the config alone. A server is not asked, so what only a server knows (the stream that takes
an audit's subject) is named where the config declares it, and a wildcard elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from ..components.audits.stream import StreamAudit
from ..components.transforms.enrich import Enrich
from ..config import model
from ..plugin import Component
from ..registry import BUILTIN
from ..routing.route import CompiledRoute
from ..subjects import covers, safe_token
from ..templates import ROUTE_NAMES, Template, fixed_text
from . import replica_records
from .streams import taking

API = "$JS.API."
"""How the subjects of requests begin, without a domain."""


class Kind(StrEnum):
    """What a need is for."""

    PUBLISH = "publish"
    SUBSCRIBE = "subscribe"


class Only(StrEnum):
    """The servers on which alone a subject is needed; what a need does not say so of is needed on all of them."""

    SHORT_ACKS = "servers with short ack subjects, as they are unless told otherwise"
    """`$JS.ACK.<stream>.<consumer>.>`"""
    LONG_ACKS = "servers with the feature flag js_ack_fc_v2"
    """Domain and account stand before the stream."""
    OF_THE_DOMAIN = "where the server connected to is of that domain itself"
    """It takes the domain out of a request before it looks at the permissions."""
    BEYOND = "where the domain is reached through a leaf node"


@dataclass(frozen=True, slots=True)
class Need:
    """One subject, and why."""

    kind: Kind
    subject: str
    why: str
    only: Only | None = None


def needs(config: model.Config, routes: Sequence[CompiledRoute]) -> list[Need]:
    """Everything `gateway run` needs, one subject once, and none that another one covers."""
    whole = [Need(Kind.SUBSCRIBE, f"{config.nats.inbox_prefix}.>", "answers, and the events asked for")]
    for stream in config.streams:
        whole += _of_declared(stream)
    for route in routes:
        whole += _of_route(config, route)
    if routes:
        whole += [
            _publish(subject, "know the replicas and their configs")
            for subject in replica_records.subjects(config.name)
        ]
    return _least([one for need in whole for one in _in_domain(need, config.nats.domain)])


def unknown(config: model.Config, routes: Sequence[CompiledRoute]) -> list[str]:
    """What may need more than the config tells, and what to do about it; one line each."""
    found = []
    for route in routes:
        for component, owner in zip(route.components, route.owners, strict=True):
            if owner != BUILTIN:
                step = f"{route.name}: {owner}/{component.name}"
                found.append(f"{step} is a plugin's: what it publishes itself, or reads of buckets, has to be added")
            elif isinstance(component, StreamAudit):
                subject = _audited(config, route, component)
                if not _holding(config, subject, component.config.stream):
                    text = "name the audit's stream, or declare it: it may not be read without, and each chain of it"
                    found.append(f"{route.name}: {text} follows none before")
    return list(dict.fromkeys(found))


def _of_declared(stream: model.Stream) -> Iterator[Need]:
    if stream.provision == "off":
        return
    yield _publish(f"$JS.API.STREAM.INFO.{stream.name}", f"compare the stream {stream.name} with what is declared")
    if stream.provision == "create":
        yield _publish(f"$JS.API.STREAM.CREATE.{stream.name}", f"make the stream {stream.name} when it is missing")


def _of_route(config: model.Config, route: CompiledRoute) -> Iterator[Need]:
    source, name = route.config.source, route.name
    consumer = f"{source.stream}.{source.durable}"
    yield _publish(f"$JS.API.STREAM.INFO.{source.stream}", f"{name}: look at its source")
    yield _publish(f"$JS.API.CONSUMER.INFO.{consumer}", f"{name}: look at its durable")
    if source.manage != "verify":
        verb = "make or change" if source.manage == "update" else "make"
        yield _publish(f"$JS.API.CONSUMER.CREATE.{consumer}", f"{name}: {verb} its durable")
    if source.manage == "update":
        yield _publish(f"$JS.API.CONSUMER.CREATE.{source.stream}", f"{name}: count what another filter leaves out")
    yield _publish(f"$JS.API.CONSUMER.MSG.NEXT.{consumer}", f"{name}: ask for events")
    yield from _answers("ACK", consumer, f"{name}: settle events")
    if route.config.ordering != "none":
        yield _publish(f"$JS.API.CONSUMER.UNPIN.{consumer}", f"{name}: let another replica be active at once")
    if route.config.ordering == "strict":
        yield _publish(f"$JS.API.CONSUMER.RESET.{consumer}", f"{name}: be given again what a lost replica was given")
    yield _publish("$JS.API.STREAM.NAMES", "find the streams that take what is published")
    for target in route.targets:
        yield _publish(widest(target.subject, config.name, route), f"{name}: the target {target.name}")
        if target.stream is not None:
            yield _publish(f"$JS.API.STREAM.INFO.{target.stream}", f"{name}: tell whether the target's stream is there")
        yield from _looks(config, target.subject.constant, f"{name}: warn of a duplicate window that is too short")
    yield _publish(route.dead_letter, f"{name}: dead letters")
    yield from _looks(config, route.dead_letter, f"{name}: warn of a stream that does not keep its dead letters")
    for component in route.components:
        yield from _of_component(config, route, component)


def _looks(config: model.Config, subject: str | None, why: str) -> Iterator[Need]:
    """A look at the declared streams that take a subject. At others nobody looks who may not: it is for a warning."""
    if subject is not None:
        for stream in taking(config.streams, subject):
            yield _publish(f"$JS.API.STREAM.INFO.{stream.name}", why)


def _of_component(config: model.Config, route: CompiledRoute, component: Component) -> Iterator[Need]:
    if isinstance(component, Enrich):
        bucket, who = component.config.bucket, f"{route.name}: enrich"
        stream = f"KV_{bucket}"
        yield _publish(f"$JS.API.STREAM.INFO.{stream}", f"{who}: find the bucket {bucket}")
        yield _publish(f"$JS.API.STREAM.MSG.GET.{stream}", f"{who}: look up keys")
        yield _publish(f"$JS.API.CONSUMER.CREATE.{stream}", f"{who}: watch the bucket")
        yield from _answers("FC", f"{stream}.*", f"{who}: say that it keeps up with the watch")
    elif isinstance(component, StreamAudit):
        subject = _audited(config, route, component)
        who = f"{route.name}: audit"
        yield _publish(subject, f"{who}: records")
        yield _publish("$JS.API.STREAM.NAMES", f"{who}: find the stream that takes the records")
        # It reads back through consumers of its own: where a chain ended, and whether a record in doubt is stored.
        # Where nobody says which stream that is, a wildcard would be the right to delete any consumer of all.
        for stream in _holding(config, subject, component.config.stream):
            yield _publish(f"$JS.API.STREAM.INFO.{stream}", f"{who}: look for the end of the chain before")
            yield _publish(f"$JS.API.STREAM.MSG.GET.{stream}", f"{who}: look for the end of the chain before")
            yield _publish(f"$JS.API.CONSUMER.CREATE.{stream}.*.{subject}", f"{who}: read the chain before")
            yield _publish(f"$JS.API.CONSUMER.MSG.NEXT.{stream}.*", f"{who}: read the chain before")
            yield _publish(f"$JS.API.CONSUMER.DELETE.{stream}.*", f"{who}: clean up after reading")


def _in_domain(need: Need, domain: str | None) -> list[Need]:
    """A request goes to the domain's API; whether its own server sees the domain in it depends on where that is."""
    own_bucket = need.subject.startswith(f"$KV.{replica_records.BUCKETS}")
    if domain is None or not (need.subject.startswith(API) or own_bucket):
        return [need]
    beyond = f"$JS.{domain}.API.{need.subject.removeprefix(API)}"
    return [replace(need, only=Only.OF_THE_DOMAIN), replace(need, subject=beyond, only=Only.BEYOND)]


def _audited(config: model.Config, route: CompiledRoute, audit: StreamAudit) -> str:
    """The subject of a route's audit records."""
    return fixed_text(audit.config.subject, config.name, route.name, route.origin.stream)


def _answers(what: str, consumer: str, why: str) -> Iterator[Need]:
    """The subjects by which a consumer is answered; they are the server's words, and know no domain of ours."""
    yield Need(Kind.PUBLISH, f"$JS.{what}.{consumer}.>", why, Only.SHORT_ACKS)
    yield Need(Kind.PUBLISH, f"$JS.{what}.*.*.{consumer}.>", why, Only.LONG_ACKS)


def _holding(config: model.Config, subject: str, named: str | None) -> list[str]:
    """The streams that hold what is published to `subject`; none when the config does not say which."""
    return [named] if named else [stream.name for stream in taking(config.streams, subject)]


def widest(template: Template, gateway: str, route: CompiledRoute) -> str:
    """The wildcard for whatever a target's template may become: a token with a placeholder becomes any one token.

    No event can put a dot into a subject, so that `*` will always do. What no event changes is filled in.
    """
    fixed = dict(zip(ROUTE_NAMES, (gateway, route.name, route.origin.stream), strict=True))
    marked = "".join(
        part if isinstance(part, str) else safe_token(fixed[part.path.text]) if part.path.text in fixed else "*"
        for part in template.parts
    )
    return ".".join("*" if "*" in token else token for token in marked.split("."))


def _publish(subject: str, why: str) -> Need:
    return Need(Kind.PUBLISH, subject, why)


def _least(whole: Sequence[Need]) -> list[Need]:
    """Each subject once, with every reason, and none that another one covers; in the order they came."""
    kept: list[Need] = []
    for need in whole:
        if any(_within(need, other) for other in whole if other.subject != need.subject):
            continue
        same = next((at for at, one in enumerate(kept) if (one.kind, one.subject) == (need.kind, need.subject)), None)
        if same is None:
            kept.append(need)
        else:
            reasons = "; ".join(dict.fromkeys([*kept[same].why.split("; "), need.why]))
            kept[same] = replace(kept[same], why=reasons)
    return kept


def _within(need: Need, other: Need) -> bool:
    """Whether `other` allows what `need` does, on every server that asks for it."""
    return need.kind is other.kind and other.only in (None, need.only) and covers(other.subject, need.subject)
