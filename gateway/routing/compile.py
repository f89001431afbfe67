"""Compile a config into routes: instances of components, bound methods, everything checked that needs no server.

Problems are collected, never the first only: a config is compiled to its end.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import cast

from ..config import model
from ..config.tree import ScalarNode, find, find_key, write_path
from ..errors import ConfigProblem, PatternError
from ..event import Origin, Reader
from ..lent import Context
from ..plugin import Audit, Codec, Component, Filter, NoSettings, Transform
from ..problems import Code, Problem
from ..registry import BUILTIN, Registry
from ..templates import fixed_text
from .offline import offline_contexts
from .pruning import Fault, all_faults
from .route import (
    CompiledAudit,
    CompiledRoute,
    CompiledTarget,
    HeaderRule,
    Step,
    fingerprint,
    fingerprint_of,
    of_plugin,
)
from .sharing import SharedComponents

ContextFactory = Callable[[str, str], Context]
"""Makes the context of a component: plugin name, route name."""

DEFAULT_CODEC = "json"


NO_NODE = ScalarNode("", 1, 1, None, "", quoted=False)
"""Where a codec stands that nobody wrote."""
NO_CODEC = Codec(NoSettings(), None)  # type: ignore[arg-type]
"""Stands in where a plugin's codec is missing: its route has a fault and never runs."""


def compile_config(
    config: model.Config,
    registry: Registry,
    context: ContextFactory | None = None,
    shared: SharedComponents | None = None,
) -> tuple[list[CompiledRoute], list[Problem]]:
    """Compile every enabled route. Without a context factory (`check`, `test`) components get an empty context.

    `shared` holds the components that earlier compilations of this process share with this one.
    """
    problems: list[Problem] = []
    make_context = context or offline_contexts(config)
    shared = shared or SharedComponents()
    routes = []
    for route in config.routes:
        if not route.enabled:
            continue
        compiler = _RouteCompiler(config, route, registry, make_context, problems, shared)
        compiled = compiler.compile()
        if compiled is not None:
            routes.append(compiled)
    return routes, problems


class _RouteCompiler:
    """Compiles one route; `faults` are plugins it needs and cannot have."""

    def __init__(
        self,
        config: model.Config,
        route: model.Route,
        registry: Registry,
        make_context: ContextFactory,
        problems: list[Problem],
        shared: SharedComponents,
    ) -> None:
        self.config = config
        self.route = route
        self.registry = registry
        self.make_context = make_context
        self.problems = problems
        self.shared = shared
        self.components: list[Component] = []
        self.owners: list[str] = []
        self.plugins: dict[str, str] = {}
        self.faults: list[tuple[str, str]] = []
        self.codecs: dict[tuple[type[Component] | None, str], Codec] = {}

    def compile(self) -> CompiledRoute | None:
        """The route, or None when it has problems. A route that lacks a plugin compiles to one that stays down."""
        before = len(self.problems)
        route = self.route
        codec = self._codec(route.codec)
        steps = self._steps()
        reads = [self._reads(step) for step in steps]
        own = all(step.is_filter or read is not None for step, read in zip(steps, reads, strict=True))
        targets = [self._target(target, codec, own) for target in route.targets]
        audits = self._audits()
        if len(self.problems) > before:
            return None
        if codec is None:
            codec = NO_CODEC
        begins = self._begins(audits)
        origin = Origin(self.config.name, route.name, route.source.stream, route.source.durable)
        return CompiledRoute(
            name=route.name,
            config=route,
            origin=origin,
            codec=codec,
            reader=self._reader(codec, self._keys(steps, reads)),
            steps=tuple(steps),
            targets=tuple(targets),
            audits=tuple(audits),
            dead_letter=fixed_text(route.dead_letter.subject, origin.gateway, origin.route, origin.stream),
            max_hops=self.config.max_hops,
            config_digest=self.config.digest,
            plugins=self.plugins,
            components=tuple(self.components),
            owners=tuple(self.owners),
            identity=fingerprint(route, {name: self.config.plugins.settings.get(name) for name in self.plugins}),
            fault=self.faults[0] if self.faults else None,
            begins=begins,
        )

    def _reads(self, step: Step) -> frozenset[str] | None:
        """What a step says it reads, as its author wrote it."""
        try:
            read = step.component.reads()
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - a third party's method; its route is down
            self.faults.append(("plugin-failed", f"{step.label}: reads raised {type(error).__name__}"))
            return None
        if read is not None and not (isinstance(read, frozenset) and all(isinstance(key, str) for key in read)):
            self.faults.append(("plugin-failed", f"{step.label}: reads gave no frozenset of texts"))
            return None
        return read

    def _reader(self, codec: Codec, keys: frozenset[str] | None) -> Reader:
        try:
            return codec.reader(keys)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - likewise
            self.faults.append(("plugin-failed", f"{codec.name}: reader raised {type(error).__name__}"))
            return NO_CODEC.reader(None)

    def _keys(self, steps: list[Step], reads: list[frozenset[str] | None]) -> frozenset[str] | None:
        """The top-level keys the filters look at first; what transforms and targets touch is decoded when they do.

        None when a filter may look at anything: then there is nothing to gain from a first look.
        """
        keys: frozenset[str] = frozenset()
        for step, read in zip(steps, reads, strict=True):
            if not step.is_filter:
                continue
            if read is None:
                return None
            keys |= read
        return keys

    def _steps(self) -> list[Step]:
        steps = []
        pairs = [("filter", index, step) for index, step in enumerate(self.route.filters)]
        pairs += [("transform", index, step) for index, step in enumerate(self.route.transforms)]
        for kind, index, step in pairs:
            component = self._component(kind, step)
            if component is None:
                continue
            is_filter = isinstance(component, Filter)
            call = component.accepts if isinstance(component, Filter) else cast(Transform, component).apply
            base: type[Component] = Filter if is_filter else Transform
            own_settled = type(component).settled is not base.settled  # type: ignore[attr-defined]
            steps.append(
                Step(
                    label=f"{kind}-{index}-{component.name}",
                    call=call,
                    is_filter=is_filter,
                    is_async=inspect.iscoroutinefunction(call),
                    may_wait=component.may_wait,
                    blocking=component.blocking,
                    component=component,
                    settled=component.settled if own_settled else None,  # type: ignore[attr-defined]
                )
            )
        return steps

    def _audits(self) -> list[CompiledAudit]:
        audits = []
        for index, step in enumerate(self.route.audits):
            if any(
                step.component == other.component and step.config == other.config for other in self.route.audits[:index]
            ):
                # Two chains of one writer in one place could not be told from a forged one.
                text = "the same audit stands here twice"
                self._note(step, Code.COMPONENT, (), text, "one is enough; give the other one another place")
                continue
            component = self._component("audit", step)
            if isinstance(component, Audit):
                record = component.record
                audits.append(
                    CompiledAudit(
                        label=f"audit-{index}-{component.name}",
                        record=record,
                        is_async=inspect.iscoroutinefunction(record),
                        blocking=component.blocking,
                        component=component,
                    )
                )
        return audits

    def _begins(self, audits: list[CompiledAudit]) -> int | None:
        """Below which number, of 2**64, a trace that begins here is sampled; None when no audit makes spans."""
        bounds = []
        for audit in audits:
            ratio = audit.component.trace_ratio
            if isinstance(ratio, (int, float)) and 0 <= ratio <= 1:
                bounds.append(round(ratio * (1 << 64)))
            elif ratio is not None:
                self.faults.append(("plugin-failed", f"{audit.label}: trace_ratio is no number from 0 to 1"))
        return max(bounds, default=None)

    def _target(self, target: model.Target, route_codec: Codec | None, own: bool) -> CompiledTarget:
        codec = route_codec if target.codec is None else self._codec(target.codec)
        rules = tuple(HeaderRule(name, name.lower().encode(), template) for name, template in target.headers.items())
        same = codec is route_codec
        codec = codec or NO_CODEC
        encode = codec.encode_own if same and own else codec.encode
        rewrites = codec.rewrites if same and type(codec).rewrites is not Codec.rewrites else None
        owned = _owned((*codec.owns, *(route_codec.owns if route_codec is not None else ())))
        return CompiledTarget(target.name, target.subject, target.stream, rules, codec, encode, same, rewrites, owned)

    def _codec(self, step: model.Step | None) -> Codec | None:
        """The codec of a route or target; equal ones are one instance, so that bytes can pass through."""
        # A route that names none has the built-in one, whatever plugins offer under its name.
        found = self.registry.find("codec", f"{BUILTIN}/{DEFAULT_CODEC}" if step is None else step.component)
        if step is None:
            assert found.component is not None, "the default codec is built in"
            config = found.component.Config()
            step = model.Step(component=f"{BUILTIN}/{DEFAULT_CODEC}", config=config, node=NO_NODE, path=())
        key = (found.component, fingerprint_of(step.config))
        if key not in self.codecs:
            component = self._component("codec", step)
            if not isinstance(component, Codec):
                return None
            self.codecs[key] = component
        return self.codecs[key]

    def _component(self, kind: str, step: model.Step) -> Component | None:
        """Make and prepare one component; what it refuses becomes a problem at its place in the file."""
        found = self.registry.find(kind, step.component)
        if found.component is None:
            # The loader has reported a name nobody knows; here it is a plugin that is not there.
            self.faults.append(("plugin-missing", found.reason))
            return None
        try:
            component = self._make(found.component, step.config, found.plugin)
        except (ConfigProblem, PatternError) as first:
            self._note_all(step, first, found.component, found.plugin)
            return None
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - whatever a third party's prepare raises: its route is down
            # Its own words may quote its config, and with it a secret.
            self.faults.append(
                ("plugin-failed", f"{step.component}: prepare raised {type(error).__name__}{of_plugin(found.plugin)}")
            )
            return None
        # Not by `in`: equal ones are two, and what a component says of equality is its own affair.
        if all(component is not known for known in self.components):
            self.components.append(component)
            self.owners.append(found.plugin)
        self.plugins[found.plugin] = found.version
        return component

    def _make(self, kind: type[Component], config: object, plugin: str) -> Component:
        """A component of this route's own, or the one it shares with others; raises what `prepare` raises."""

        def prepared(route: str) -> Component:
            component = kind(config, self.make_context(plugin, route))
            component.prepare()
            return component

        if not kind.shared:
            return prepared(self.route.name)
        settings = self.config.plugins.settings.get(plugin)
        return self.shared.get(kind, config, settings, lambda: prepared(""))

    def _note_all(self, step: model.Step, first: Fault, kind: type[Component], plugin: str) -> None:
        """Report every fault of a step's config that can be told apart."""

        def prepare(config: object) -> None:
            kind(config, self.make_context(plugin, self.route.name)).prepare()

        for fault, path in all_faults(first, step.config, prepare):
            code = Code.INVALID_PATTERN if isinstance(fault, PatternError) else Code.COMPONENT
            self._note(step, code, path, fault.text, fault.hint)

    def _note(self, step: model.Step, code: Code, path: tuple[str | int, ...], text: str, hint: str) -> None:
        place = find_key(step.node, path) if path and isinstance(path[-1], str) else find(step.node, path)
        tainted = getattr(find(step.node, path), "tainted", False)
        self.problems.append(
            Problem(
                file=place.file,
                line=place.line,
                column=place.column,
                code=code,
                text="the value is not valid here" if tainted else text,
                hint="" if tainted else hint,
                path=write_path((*step.path, *path)),
            )
        )


def _owned(names: tuple[str, ...]) -> re.Pattern[bytes] | None:
    """What matches the headers that codecs own: whole names, and beginnings that end in a dash."""
    if not names:
        return None
    known = (re.escape(name.lower().encode()) + (b".*" if name.endswith("-") else b"") for name in names)
    return re.compile(b"|".join(known), re.DOTALL)
