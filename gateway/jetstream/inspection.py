"""What servers hold, beside what a config needs of it: `gateway check --live`. Nothing is made, changed or consumed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ..components.audits.stream import StreamAudit
from ..components.transforms.enrich import Enrich
from ..config import model
from ..errors import GatewayError, RouteFault
from ..routing.route import CompiledAudit, CompiledRoute, CompiledTarget, Step
from ..subjects import overlaps
from ..templates import fixed_text
from .api import CONSUMER_NOT_FOUND, STREAM_NOT_FOUND, ApiDenied, ApiError, ApiUnavailable, JetStreamApi
from .consumers import Durable
from .counting import filters_of
from .permissions import widest
from .remarks import idle_subjects, of_consumer
from .replicas import Replicas
from .streams import add_line, declares, differences, missing_stream

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that does not fit, and the place in the config it is about."""

    path: Path
    text: str
    hint: str = ""
    warning: bool = False
    """It works all the same, but most likely not as meant."""


class Inspection:
    """Looks at streams, consumers and buckets for one config; each is asked for once."""

    def __init__(self, api: JetStreamApi, config: model.Config, routes: Sequence[CompiledRoute]) -> None:
        self._api = api
        self._config = config
        self._routes = {route.name: route for route in routes}
        self._known: dict[str, dict[str, Any] | None] = {}
        self._hidden: dict[str, GatewayError] = {}
        """Streams that cannot be looked at, and why."""
        self._replicas = Replicas(api, config.name, "check", config.digest, lambda: ())

    async def findings(self) -> AsyncIterator[Finding]:
        """Everything found, in the order of the config, each once. Raises ApiUnavailable when nobody answers."""
        told: set[Finding] = set()
        async for finding in self._all():
            if finding not in told:
                told.add(finding)
                yield finding

    async def _all(self) -> AsyncIterator[Finding]:
        try:
            await self._api.request("INFO")
        except ApiDenied as error:
            if self._api.connection.denials.deaf:
                raise  # nothing else would be answered either
            yield Finding(("nats",), f"whether there is a JetStream cannot be looked at: {error}")
        for index, stream in enumerate(self._config.streams):
            async for finding in self._guarded(("streams", index), self._declared(stream)):
                yield finding
        for index, configured in enumerate(self._config.routes):
            route = self._routes.get(configured.name)
            if route is None:
                continue  # It is off, or its problems are told by the check without servers.
            for path, part in self._parts(route):
                async for finding in self._guarded(("routes", index, *path), part):
                    yield finding

    def _parts(self, route: CompiledRoute) -> Iterator[tuple[Path, AsyncIterator[Finding]]]:
        """What is looked at by itself, so that a part that nobody may look at hides no other."""
        yield (), self._source(route)
        yield (), self._durable(route)
        for index, target in enumerate(route.targets):
            yield ("targets", index), self._target(route, target)
        yield (), self._letters(route)
        for step in route.steps:
            yield (), self._bucket(step)
        for audit in route.audits:
            yield (), self._audit(route, audit)

    async def _guarded(self, path: Path, part: AsyncIterator[Finding]) -> AsyncIterator[Finding]:
        """One part of the config, which nobody may have let us look at."""
        try:
            async for finding in part:
                yield Finding((*path, *finding.path), finding.text, finding.hint, finding.warning)
        except (ApiError, ApiUnavailable) as error:
            if not self._api.connection.connected:
                raise  # nothing else would be answered either
            yield Finding(path, f"it cannot be looked at: {error}")

    async def _declared(self, stream: model.Stream) -> AsyncIterator[Finding]:
        if stream.provision == "off":
            return
        found = await self._stream(stream.name)
        if found is None and stream.provision == "verify":
            fault = missing_stream(stream.name, [], stream)
            yield Finding((), fault.text, fault.hint)
        for difference in differences(stream, found["config"]) if found is not None else ():
            yield Finding((), f"it is there, and differs: {difference}", warning=True)

    async def _source(self, route: CompiledRoute) -> AsyncIterator[Finding]:
        source = route.config.source
        wanted = [str(subject) for subject in source.subjects]
        found = await self._stream(source.stream)
        if found is None:
            if not self._made(source.stream):
                fault = missing_stream(source.stream, wanted)
                yield Finding(("source", "stream"), fault.text, fault.hint)
            return
        for subject in idle_subjects(source, found):
            text = f"{source.stream} takes no {subject}: nothing will come"
            hint = f"it takes {', '.join(found['config'].get('subjects') or [])}"
            yield Finding(("source", "subjects", wanted.index(subject)), text, hint, warning=True)

    async def _durable(self, route: CompiledRoute) -> AsyncIterator[Finding]:
        source = route.config.source
        stream = await self._stream(source.stream)
        if stream is None:
            return
        durable = Durable(self._api, self._replicas, source, route.name, ordered=route.config.ordering != "none")
        try:
            info = await self._api.request(f"CONSUMER.INFO.{source.stream}.{source.durable}")
            found = durable.look(info["config"])
            remarks = of_consumer(source, info, [])
        except RouteFault as fault:
            yield Finding(("source", "durable"), fault.text, fault.hint)
            return
        except ApiError as error:
            if error.err_code != CONSUMER_NOT_FOUND:
                raise
            async for finding in self._new_durable(source, stream, durable):
                yield finding
            return
        for remark in remarks:
            yield Finding(("source",), remark.text, warning=True)
        for difference in found if source.manage != "update" else ():
            text = f"the durable {source.durable} differs: {difference}"
            yield Finding(("source",), text, "manage: update changes it", warning=True)

    async def _new_durable(
        self, source: model.Source, stream: dict[str, Any], durable: Durable
    ) -> AsyncIterator[Finding]:
        """It is to be made, which some streams do not allow."""
        if source.manage == "verify":
            text = f"stream {source.stream} has no durable {source.durable}"
            yield Finding(("source", "manage"), text, durable.advice(stream))
        if stream["config"].get("retention") != "workqueue":
            return
        wanted = [str(subject) for subject in source.subjects]
        async for info in self._api.pages(f"CONSUMER.LIST.{source.stream}", "consumers"):
            if any(overlaps(one, two) for one in wanted for two in filters_of(info["config"])):
                text = f"{source.stream} is a work queue, and {info['name']} consumes some of these subjects already"
                yield Finding(("source", "subjects"), text, "each subject of a work queue has one consumer")

    async def _target(self, route: CompiledRoute, target: CompiledTarget) -> AsyncIterator[Finding]:
        """A subject with placeholders is looked at as the wildcard for whatever it may become."""
        subject = target.subject.constant
        asked = widest(target.subject, self._config.name, route)
        if target.stream is not None and await self._stream(target.stream) is None:
            if not self._made(target.stream):
                fault = missing_stream(target.stream, [asked])
                yield Finding(("stream",), fault.text, fault.hint)
            return
        takers = await self._takers(asked)
        if not takers and not declares(self._config.streams, asked):
            yield Finding(("subject",), f"no stream takes {asked}", add_line("NAME", [asked]))
        elif target.stream is not None and takers and target.stream not in takers:
            text = f"{', '.join(takers)} takes {asked}, and not {target.stream}"
            yield Finding(("stream",), text, "every copy would be refused")
        if subject is None:
            # Which of those that take some of the subjects are meant, nobody knows.
            takers = [target.stream] if target.stream else takers if len(takers) == 1 else []
        config = route.config
        advised = float(config.source.ack_wait) + 2 * float(config.retry.max) + float(self._config.drain)
        for name in takers:
            async for finding in self._taker(name, advised):
                yield finding

    async def _taker(self, name: str, advised: float) -> AsyncIterator[Finding]:
        """A stream that is to store copies."""
        found = await self._stream(name)
        config = found["config"] if found is not None else {}
        window = config.get("duplicate_window", 0) / 1e9
        if found is not None and window < advised:
            text = f"the duplicate window of {name}, {window:g} s, is shorter than ack-wait + 2 x retry.max + drain"
            hint = f"a crash can store copies twice: nats stream edit {name} --dupe-window {advised:.0f}s"
            yield Finding((), text, hint, warning=True)
        if config.get("no_ack"):
            yield Finding((), f"{name} acknowledges nothing (no_ack): no event would ever be settled")
        if config.get("sealed"):
            yield Finding((), f"{name} is sealed, and stores nothing more")

    async def _letters(self, route: CompiledRoute) -> AsyncIterator[Finding]:
        path: Path = ("dead-letter", "subject")
        takers = await self._takers(route.dead_letter)
        if not takers and not declares(self._config.streams, route.dead_letter):
            text = f"no stream takes the dead letters, {route.dead_letter}: events that cannot go on will wait"
            yield Finding(path, text, add_line("DLQ", [route.dead_letter]), warning=True)
        if route.origin.stream in takers and route.reads_letters:
            text = f"{route.origin.stream} takes {route.dead_letter}, which the route reads: "
            text += "its dead letters come back to it"
            yield Finding(path, text, "have another stream take them", warning=True)
        for name in takers:
            found = await self._stream(name)
            if found is not None and found["config"].get("retention") == "interest":
                text = f"{name} keeps only what somebody consumes: dead letters may be gone at once"
                yield Finding(path, text, "dead letters need a stream with limits", warning=True)

    async def _bucket(self, step: Step) -> AsyncIterator[Finding]:
        component = step.component
        if isinstance(component, Enrich) and await self._stream(f"KV_{component.config.bucket}") is None:
            bucket = component.config.bucket
            yield Finding(_place(step.label), f"there is no bucket {bucket}", f"make it: nats kv add {bucket}")

    async def _audit(self, route: CompiledRoute, audit: CompiledAudit) -> AsyncIterator[Finding]:
        component = audit.component
        if isinstance(component, StreamAudit):
            template = component.config.subject
            subject = fixed_text(template, self._config.name, route.name, route.origin.stream)
            if not await self._takers(subject) and not declares(self._config.streams, subject):
                hint = add_line(component.config.stream or "AUDIT", [subject])
                yield Finding(_place(audit.label), f"no stream takes the audit records, {subject}", hint)

    async def _stream(self, name: str) -> dict[str, Any] | None:
        """A stream's info, or None when there is none; raises ApiError and ApiUnavailable."""
        if name in self._hidden:
            raise self._hidden[name]
        if name not in self._known:
            try:
                self._known[name] = await self._api.stream_info(name)
            except ApiError as error:
                if error.err_code != STREAM_NOT_FOUND:
                    self._hidden[name] = error
                    raise
                self._known[name] = None
            except ApiUnavailable as error:
                self._hidden[name] = error
                raise
        return self._known[name]

    async def _takers(self, subject: str) -> list[str]:
        """The streams that take a subject; raises ApiError and ApiUnavailable."""
        return list((await self._api.request("STREAM.NAMES", {"subject": subject})).get("streams") or [])

    def _made(self, name: str) -> bool:
        """Whether the gateway would make a stream that is not there, or the declaration has said that it is not."""
        return any(stream.name == name and stream.provision != "off" for stream in self._config.streams)


def _place(label: str) -> Path:
    """Where a step stands: `transform-1-set` is `transforms[1].set`."""
    kind, index, name = label.split("-", 2)
    return (f"{kind}s", int(index), name)
