"""The way from a file to a `Config`: tree, defaults, values, steps, checks between them, fill-ins.

All problems of a run are found, not the first only.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from ..errors import ConfigError
from ..problems import Code, Problem, did_you_mean
from ..registry import Registry, Status, load_plugins
from ..templates import Template
from . import model
from .checks import check_nats, check_routes, check_streams
from .convert import Converter
from .doubts import doubt_files, doubt_loggers, doubt_plugin_names, doubt_plugins, doubt_route
from .flow import doubt_flow
from .include import LoadedTree, load_text, load_tree
from .leaves import INVALID
from .look import find_exact, texts
from .merge import Place, is_null, merge, places, without_nulls
from .report import ConfigPath, problem_at
from .shapes import Field, fields_of
from .steps import PASSING, StepReader
from .tree import MappingNode, Node, ScalarNode, SequenceNode, quote
from .unread import unread_paths

_ROUTE_EXAMPLE = (
    "routes: [{name: copy, source: {stream: ORDERS, subjects: [orders.>]}, targets: [{subject: copies.orders}]}]"
)
_ELSEWHERE = ("include", "defaults", "routes")
"""Top-level keys that are not fields of the model, or not read as such."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """What came of reading a config."""

    config: model.Config | None
    """The config; None when it has errors, or holds what was not read. Missing plugins are no error: they keep down the
    routes that need them."""
    draft: model.Config
    """What could be read of it, good or not: only for finding more problems in it, never to run."""
    problems: list[Problem]
    """Everything found, in the order of the files; warnings too."""
    registry: Registry
    """The plugins the config was read with."""
    tree: LoadedTree
    default_places: frozenset[Place]
    """Where the `defaults` stand."""
    effective_root: MappingNode
    """The tree with the defaults merged into the routes: where each effective value was written."""
    unread: Sequence[str] = ()
    """The paths of values that were taken as given, for they are credentials that were not to be read."""

    def tidy(self, more: Sequence[Problem]) -> list[Problem]:
        """All problems with `more` of them, sorted, each once; a fault in a default is one of `defaults`."""
        hidden = places(self.effective_root, lambda node: node.tainted)
        unread = places(self.effective_root, lambda node: node.unread)
        quiet = [
            replace(problem, hint="") if (problem.file, problem.line, problem.column) in hidden else problem
            for problem in more
            if (problem.file, problem.line, problem.column) not in unread
        ]  # a component's hint may show the value it refuses
        return tidy([*self.problems, *quiet], self.tree, self.default_places)


def load(
    path: str | os.PathLike[str], env: Mapping[str, str] = os.environ, registry: Registry | None = None
) -> model.Config:
    """The config in a file; raises ConfigError with every error. Without a registry the plugins are loaded."""
    loaded = examine(path, env, registry)
    if loaded.config is None:
        raise ConfigError([problem for problem in loaded.problems if not problem.is_warning])
    return loaded.config


def read(
    path: str | os.PathLike[str], env: Mapping[str, str] = os.environ, registry: Registry | None = None
) -> tuple[model.Config | None, list[Problem]]:
    """The config in a file, None when it has errors, and all problems."""
    loaded = examine(path, env, registry)
    return loaded.config, loaded.problems


def examine(
    path: str | os.PathLike[str],
    env: Mapping[str, str] = os.environ,
    registry: Registry | None = None,
    disable: Sequence[str] = (),
    *,
    credentials: bool = True,
) -> Loaded:
    """Read the config in a file, as far as it can be read; nothing is raised. `disable` are plugins to do without.

    Without `credentials` nothing in systemd's folder of them is looked at, and what comes from there is taken as good.
    """
    hidden = None if credentials else env.get("CREDENTIALS_DIRECTORY", "")
    tree = load_tree(path, env, credentials=credentials)
    return _Reading(tree, os.fspath(path), registry, disable, hidden).result()


def examine_text(
    text: str, file: str = "<text>", env: Mapping[str, str] = os.environ, registry: Registry | None = None
) -> Loaded:
    """Read a config from a text; what it names is relative to the folder of `file`."""
    return _Reading(load_text(text, file, env), file, registry).result()


def tidy(problems: Sequence[Problem], tree: LoadedTree, default_places: frozenset[Place]) -> list[Problem]:
    """Sort problems by file and place, each once; one found in a default through a route is the default's."""
    order = {name: index for index, (name, _) in enumerate(tree.files)}
    found: dict[Problem, Problem] = {}
    for problem in problems:
        home = _at_home(problem, default_places)
        found.setdefault(replace(home, hint=""), home)  # hints depend on what else stands in a route
    return sorted(found.values(), key=lambda problem: (order.get(problem.file, len(order)), problem))


def _at_home(problem: Problem, default_places: frozenset[Place]) -> Problem:
    if (problem.file, problem.line, problem.column) not in default_places or not problem.path.startswith("routes["):
        return problem
    _, _, inner = problem.path.partition("]")
    return replace(problem, path=f"defaults{inner}")


class _Reading:
    """Reads one tree."""

    def __init__(
        self,
        tree: LoadedTree,
        file: str,
        registry: Registry | None,
        disable: Sequence[str] = (),
        hidden: str | None = None,
    ) -> None:
        self.tree = tree
        self.file = file
        self.problems: list[Problem] = list(tree.problems)
        self.root = tree.root if isinstance(tree.root, MappingNode) else MappingNode(file, 1, 1, ())
        self.unread = [] if hidden is None else unread_paths(self.root, hidden)
        self.registry = registry or load_plugins(*self._wanted_plugins(disable))
        self.steps = StepReader(self.registry)
        special = {model.Step: self.steps.read, model.Http: _read_http}
        self.converter = Converter(self.problems, special)
        self.partial = Converter(self.problems, special, partial=True)
        self.default_places: frozenset[Place] = frozenset()
        self.merged: list[tuple[int, MappingNode]] = []
        """The routes that are mappings, with their index, defaults merged in."""

    def result(self) -> Loaded:
        """Read everything."""
        tree = self.tree
        if tree.root is not None and not isinstance(tree.root, MappingNode) and not is_null(tree.root):
            text = f"a config is a mapping, found {tree.root.kind}"
            self.problems.append(problem_at(tree.root, (), Code.WRONG_TYPE, text, f"begin with {_ROUTE_EXAMPLE}"))
        else:
            self._check_routes_there()
        top = self._top()
        routes, drafts = self._routes(self._defaults(), top.get("name", "gateway"))
        self._plugin_settings(top)
        self.problems.extend(check_streams(self.root.get("streams")))
        self.problems.extend(check_nats(self.root.get("nats")))
        self.problems.extend(doubt_flow(self.merged, self.root.get("streams")))
        files = doubt_files(self.root.get("nats"))
        self.problems.extend(problem for problem in files if problem.path not in self.unread)
        self.problems.extend(doubt_loggers(self.root.get("log")))
        self.problems.extend(doubt_plugins(self.root, self.registry, self.problems))
        good = {name: value for name, value in top.items() if value is not INVALID and name != "?"}
        draft = model.Config(**good, routes=drafts, digest=tree.short_digest)
        problems = tidy(self.problems, tree, self.default_places)
        usable = not self.root.unread and all(problem.is_warning or problem.code in PASSING for problem in problems)
        config = model.Config(**good, routes=routes, digest=tree.short_digest) if usable else None
        root = _with_routes(self.root, self.merged)
        return Loaded(config, draft, problems, self.registry, tree, self.default_places, root, self.unread)

    def _wanted_plugins(self, also: Sequence[str]) -> tuple[list[str], list[str] | None]:
        """`plugins.disable` and `plugins.only`, read before anything else: they decide what there is to check with."""
        disable = [*texts(find_exact(self.root, "plugins", "disable")), *also]
        only = find_exact(self.root, "plugins", "only")
        return disable, texts(only) if isinstance(only, SequenceNode) and not only.unread else None

    def _check_routes_there(self) -> None:
        """A config without any route is most likely not what somebody meant to run."""
        routes = self.root.get("routes")
        if not self.tree.complete or (routes is not None and routes.faulty):
            return
        if routes is None or is_null(routes) or (isinstance(routes, SequenceNode) and not routes.items):
            text = "the file is empty" if not self.root.entries else "the config has no route"
            self.problems.append(Problem(self.file, 1, 1, Code.EMPTY, text, f"add one: {_ROUTE_EXAMPLE}"))

    def _top(self) -> dict[str, Any]:
        """The top-level fields but routes."""
        known = tuple(field for field in _fields(model.Config) if field.key != "routes")
        return self.converter.fields(without_nulls(self.root), known, (), also=_ELSEWHERE)

    def _defaults(self) -> MappingNode | None:
        node = self.root.get("defaults")
        if node is None or node.faulty or is_null(node):
            return None
        if not isinstance(node, MappingNode):
            text = f"expected a mapping, found {node.kind}"
            self.problems.append(problem_at(node, ("defaults",), Code.WRONG_TYPE, text, "write fields of routes in it"))
            return None
        self.default_places = frozenset(places(node))
        self.partial.fields(merge(None, node), _fields(model.Route), ("defaults",))
        return node

    def _routes(self, defaults: MappingNode | None, gateway: Any) -> tuple[list[model.Route], list[model.Route]]:
        """The good routes, and a draft of every one."""
        node = self.root.get("routes")
        if not isinstance(node, SequenceNode):
            if node is not None and not node.faulty and not is_null(node):
                text = f"expected a list, found {node.kind}"
                self.problems.append(
                    problem_at(node, ("routes",), Code.WRONG_TYPE, text, "begin each route with a dash: - name: ...")
                )
            return [], []
        gateway_name = gateway if isinstance(gateway, str) else "gateway"
        for index, item in enumerate(node.items):
            if isinstance(item, MappingNode):
                self.merged.append((index, merge(defaults, item)))
            elif not item.faulty:
                text = f"expected a mapping, found {item.kind}"
                hint = "a route has name, source and targets"
                self.problems.append(problem_at(item, ("routes", index), Code.WRONG_TYPE, text, hint))
        pairs = [self._route(route, ("routes", index), gateway_name) for index, route in self.merged]
        self.problems.extend(check_routes(self.merged, gateway_name))
        return [good for good, _ in pairs if good is not None], [draft for _, draft in pairs]

    def _route(self, node: MappingNode, path: ConfigPath, gateway: str) -> tuple[model.Route | None, model.Route]:
        """The route, if it is good, and a draft of it with the steps that are."""
        self.steps.made = []
        values = self.converter.fields(node, _fields(model.Route), path)
        route = self.converter.build(model.Route, values, node, path)
        if route is INVALID:
            name = values.get("name")
            return None, _draft(name if isinstance(name, str) else str(path[-1]), self.steps.made)
        self.problems.extend(doubt_route(route, node, path))
        route = _filled_in(route, gateway)
        return route, route

    def _plugin_settings(self, top: dict[str, Any]) -> None:
        """Convert each plugin's settings to the plugin's own type."""
        plugins = top.get("plugins", model.Plugins())
        if plugins is INVALID:
            return
        section = find_exact(self.root, "plugins", "settings")
        given = section if isinstance(section, MappingNode) else MappingNode(self.root.file, self.root.line, 1, ())
        settings: dict[str, Any] = {}
        for key, node in given.entries:
            settings[key.text] = self._settings_of(key.text, node, given)
        for name in self.registry.plugin_names():
            if name not in settings and self.registry.settings_type(name) is not None:
                settings[name] = self._default_settings(name, given)
        bad = any(value is INVALID for value in settings.values())
        top["plugins"] = INVALID if bad else msgspec.structs.replace(plugins, settings=settings)
        self.problems.extend(doubt_plugin_names(self.root, plugins, self.registry))

    def _settings_of(self, name: str, node: Node, section: MappingNode) -> Any:
        path: ConfigPath = ("plugins", "settings", name)
        key = section.key(name)
        assert key is not None
        health = self.registry.status_of(name)
        if health is not None and health.status is not Status.OK:
            return None
        wanted = self.registry.settings_type(name)
        if wanted is not None:
            return self.converter.value(node if not is_null(node) else _nothing_at(node), wanted, path)
        if health is not None:
            return self.converter.note(
                key, path, Code.UNKNOWN_FIELD, f"the plugin {name} has no settings", "take it out"
            )
        hint = did_you_mean(name, self.registry.plugin_names(), "plugins")
        return self.converter.note(key, path, Code.UNKNOWN_FIELD, f"no plugin called {quote(name)} is installed", hint)

    def _default_settings(self, name: str, section: MappingNode) -> Any:
        """The settings of a plugin that has none in the file; what it requires counts only when a route uses it."""
        trial = Converter([])
        value = trial.value(_nothing_at(section), self.registry.settings_type(name), ("plugins", "settings", name))
        if value is not INVALID:
            return value
        if name not in self.steps.plugins:
            return None
        self.problems.extend(trial.problems)
        return INVALID


def _read_http(converter: Converter, node: Node, extra: Mapping[str, Any], path: ConfigPath) -> Any:
    """`off`, or a mapping."""
    if isinstance(node, ScalarNode) and node.value == "off":
        return None
    if not isinstance(node, MappingNode):
        text = f"expected off or a mapping, found {node.kind}"
        return converter.note(node, path, Code.WRONG_TYPE, text, 'for example http: {listen: "127.0.0.1:9464"}')
    return converter.build(model.Http, converter.fields(node, _fields(model.Http), path), node, path)


def _filled_in(route: model.Route, gateway: str) -> model.Route:
    """The route with the names nobody wrote."""
    durable = route.source.durable or f"{gateway}-{route.name}"
    targets = [
        target if target.name else msgspec.structs.replace(target, name=target.subject.text) for target in route.targets
    ]
    source = msgspec.structs.replace(route.source, durable=durable)
    return msgspec.structs.replace(route, source=source, targets=targets)


def _draft(name: str, made: Sequence[tuple[str, model.Step]]) -> model.Route:
    """A stand-in for a route with faults, so that its good steps are compiled and what is wrong in them is found."""
    of: dict[str, list[model.Step]] = {"codec": [], "filter": [], "transform": [], "audit": []}
    for kind, step in made:
        of[kind].append(step)
    return model.Route(
        name=name,
        source=model.Source(stream="DRAFT", subjects=[], durable="draft"),
        filters=of["filter"],
        transforms=of["transform"],
        audits=of["audit"],
        targets=[
            model.Target(subject=Template("draft"), name=str(i), codec=codec) for i, codec in enumerate(of["codec"])
        ],
    )


def _with_routes(root: MappingNode, merged: Sequence[tuple[int, MappingNode]]) -> MappingNode:
    entries = [(key, node) for key, node in root.entries if key.text != "routes"]
    key = root.key("routes")
    if key is not None:
        routes = SequenceNode(key.file, key.line, key.column, tuple(route for _, route in merged))
        entries.append((key, routes))
    return MappingNode(root.file, root.line, root.column, tuple(entries))


def _fields(cls: Any) -> tuple[Field, ...]:
    known = fields_of(cls)
    assert known is not None
    return known


def _nothing_at(node: Node) -> MappingNode:
    return MappingNode(node.file, node.line, node.column, ())
