"""What a good config most likely did not mean. All warnings, and only of what can hardly be meant.

Where events would go is looked at in `flow`.
"""

from __future__ import annotations

import importlib.util
import os
import re
from collections.abc import Iterator, Sequence

from ..problems import Code, Problem, Severity, did_you_mean
from ..registry import BUILTIN, PluginHealth, Registry, Status
from ..templates import Template
from . import model
from .look import find_exact, shown, template_of, text_of
from .report import ConfigPath, problem_at
from .tree import MappingNode, Node, SequenceNode, find, quote

Found = Iterator[Problem]

LOGGERS = ("audit", "http", "nats", "plugin", "plugins", "route")
"""The loggers below `gateway`; each plugin has `gateway.plugin.NAME`, and below that one for each route."""

_META_ONLY = re.compile(r"\$(subject|headers|stream|sequence|deliveries|attempt|route|gateway|correlation-id)(\.|$)")
"""Names that `pattern` takes for keys of the body; `$id` and `$type` are left out: bodies have such keys."""
_DOUBLED = re.compile(r"\{\{[^{}]+\}\}")
_CHANGE_FIELDS = frozenset({"set", "rename", "remove", "pick", "map", "redact", "enrich", "split"})


def doubt_route(route: model.Route, node: MappingNode, path: ConfigPath) -> Found:
    """Warnings about one route without faults, read from `node`."""
    if route.max_in_flight > route.source.max_ack_pending:
        text = "more than source.max-ack-pending allows"
        hint = "the server will not give out more than that"
        yield _warning(node, path, ("max-in-flight",), text, hint)
    if route.retry.initial > route.retry.max:
        yield _warning(node, path, ("retry", "initial"), "longer than retry.max, which counts", "")
    yield from _meta_in_patterns(route)
    yield from _doubled_braces(route, node, path)
    yield from _one_key_for_all(route)
    if route.codec is not None and _own(route.codec) == "raw":
        yield from _fields_of_bytes(route, node, path)


def doubt_loggers(log: Node | None) -> Found:
    """Levels for loggers that nobody has, and which therefore change nothing."""
    loggers = log.get("loggers") if isinstance(log, MappingNode) else None
    for key, _ in loggers.entries if isinstance(loggers, MappingNode) else ():
        first, _, rest = key.text.partition(".")
        if first == "gateway":
            known = not rest or rest in LOGGERS or rest.startswith("plugin.")
        else:
            known = not first or _is_module(first)
        if not known:
            text = f"nothing logs as {quote(key.text)}"
            hint = did_you_mean(key.text, ["gateway", *(f"gateway.{name}" for name in LOGGERS), "nats"], "loggers")
            yield problem_at(key, ("log", "loggers", key.text), Code.INVALID_VALUE, text, hint, Severity.WARNING)


def doubt_files(nats: Node | None) -> Found:
    """Files that the connection will need and that are not here, for this user, now."""
    if not isinstance(nats, MappingNode):
        return
    for inner in (("credentials",), ("tls", "ca"), ("tls", "cert"), ("tls", "key")):
        node = find_exact(nats, *inner)
        path = text_of(node)
        if node is None or not path or os.access(path, os.R_OK):
            continue
        what = "the file" if node.tainted else quote(path)
        why = "cannot be read by this user" if os.path.exists(path) else "is not there"
        hint = "without it the gateway does not connect"
        hint += "" if node.tainted else f"; looked for at {os.path.abspath(path)}"
        yield problem_at(node, ("nats", *inner), Code.UNREADABLE, f"{what} {why}", hint, Severity.WARNING)


def doubt_plugin_names(root: MappingNode, plugins: model.Plugins, registry: Registry) -> Found:
    """Names in `plugins.disable` and `plugins.only` that nothing is called."""
    installed = [health.name for health in registry.health if health.name != BUILTIN]
    for field, names in (("disable", plugins.disable), ("only", plugins.only or [])):
        listing = find_exact(root, "plugins", field)
        for index, name in enumerate(names):
            if name in installed or not isinstance(listing, SequenceNode) or listing.items[index].faulty:
                continue
            node = listing.items[index]
            text = "no such plugin is installed" if node.tainted else f"no plugin called {quote(name)} is installed"
            hint = did_you_mean(name, installed, "plugins")
            yield problem_at(node, ("plugins", field, index), Code.PLUGIN, text, hint, Severity.WARNING)


def doubt_plugins(root: MappingNode, registry: Registry, problems: Sequence[Problem]) -> Found:
    """Installed plugins that did not load, unless `problems` say so already of a step that needs them."""
    place = root.key("plugins") or root
    broken: dict[str, PluginHealth] = {}
    for health in registry.health:
        if health.status in (Status.FAILED, Status.CLASH):
            # Of a clash the first, which is the one that steps are told of.
            broken.setdefault(health.name, health)
    for health in broken.values():
        if any(health.sentence in problem.text for problem in problems):
            continue
        hint = f"see gateway plugins; repair or uninstall it, or write plugins: {{disable: [{health.name}]}}"
        path = ("plugins",) if root.key("plugins") else ()
        yield problem_at(place, path, Code.PLUGIN, health.sentence, hint, Severity.WARNING)


def _meta_in_patterns(route: model.Route) -> Found:
    for step in route.filters:
        if _own(step) != "pattern" or not isinstance(step.node, MappingNode):
            continue
        for key, child in step.node.entries:
            if _META_ONLY.match(key.text):
                text = f"a pattern looks for a key {quote(key.text)} in the body"
                hint = f"for what is around the body: - meta: {{{key.text}: [...]}}" if not child.tainted else ""
                inner = (*step.path, key.text)
                yield problem_at(key, inner, Code.INVALID_VALUE, text, hint, Severity.WARNING)


def _one_key_for_all(route: model.Route) -> Found:
    """A look-up of one and the same key; where a missing key is told, the first event shows whether that was meant."""
    for step in route.transforms:
        if _own(step) != "enrich" or not isinstance(step.node, MappingNode):
            continue
        key = step.node.get("key")
        template = template_of(key)
        quiet = text_of(step.node.get("on-missing")) in (None, "skip")
        if key is not None and template is not None and template.constant is not None and quiet:
            text = f"every event looks up the same key, {shown(key)}"
            hint = "if that is meant, say on-missing: reject, so that a key that is not there is told"
            if not key.tainted:
                hint = f"did you mean {{{template.text}}}, a value of the event? {hint}"
            yield problem_at(key, (*step.path, "key"), Code.INVALID_VALUE, text, hint, Severity.WARNING)


def _doubled_braces(route: model.Route, node: MappingNode, path: ConfigPath) -> Found:
    """Doubled braces are literal ones, which no subject has; other languages have placeholders like that."""
    subjects: list[tuple[ConfigPath, Template]] = [
        (("targets", index, "subject"), target.subject) for index, target in enumerate(route.targets)
    ]
    for inner, template in [*subjects, (("dead-letter", "subject"), route.dead_letter.subject)]:
        if _DOUBLED.search(template.text):
            text = f"doubled braces are literal: {shown(find(node, inner))} is published to as it stands"
            yield _warning(node, path, inner, text, "a placeholder has single braces: {detail.id}")


def _fields_of_bytes(route: model.Route, node: MappingNode, path: ConfigPath) -> Found:
    """With codec raw the body is bytes: no field is in it, until some transform makes another body."""
    hint = "name the codec the payload has, json for example; $subject and $headers.NAME can be read with any"
    for step in route.filters:
        if _own(step) == "pattern":
            yield _at_step(step, "codec raw gives bytes, in which a pattern finds nothing: no event passes", hint)
    for step in route.transforms:
        name = _own(step)
        if name in _CHANGE_FIELDS:
            yield _at_step(step, f"codec raw gives bytes, which have no fields for {name}", hint)
        else:  # it may make something with fields: `template`, or a plugin's own
            return
    for index, target in enumerate(route.targets):
        if any(part.path.steps and part.default is None for part in target.subject.placeholders()):
            text = "codec raw gives bytes, which have no fields for a subject: every event becomes a dead letter"
            yield _warning(node, path, ("targets", index, "subject"), text, hint)


def _at_step(step: model.Step, text: str, hint: str) -> Problem:
    return problem_at(step.node, step.path, Code.INVALID_VALUE, text, hint, Severity.WARNING)


def _warning(node: MappingNode, path: ConfigPath, inner: ConfigPath, text: str, hint: str) -> Problem:
    return problem_at(find(node, inner), (*path, *inner), Code.INVALID_VALUE, text, hint, Severity.WARNING)


def _own(step: model.Step) -> str | None:
    """The name of a built-in component, None for others. A short name is the built-in's, or the step has a fault."""
    plugin, slash, name = step.component.rpartition("/")
    return name if not slash or plugin == BUILTIN else None


def _is_module(name: str) -> bool:
    """Whether a top-level module is installed; loggers are called by the module that has them."""
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):
        return False
