"""What is wrong between fields: double names, overlaps, sign-ins that exclude each other.

These look at nodes and not at converted values, so that they find their faults although a neighbour is invalid.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from ..errors import ConfigProblem
from ..problems import Code, Problem
from ..subjects import overlaps, wildcard_fault
from ..templates import ROUTE_NAMES, fixed_text
from ..values import Duration
from .look import find_exact, is_enabled, is_there, items, settings_of, shown, template_of, text_of
from .report import ConfigPath, line_of, problem_at
from .tree import Key, MappingNode, Node, SequenceNode, find_key, quote

Found = Iterator[Problem]

_SIGN_INS = (("user", "password"), ("token",), ("nkey-seed",), ("credentials",))


def check_routes(routes: Sequence[tuple[int, MappingNode]], gateway: str) -> Found:
    """Everything about routes, each given with its index and its defaults merged in."""
    yield from _double_names([(("routes", index), route) for index, route in routes], Code.DUPLICATE_ROUTE)
    yield from _double_durables(routes, gateway)
    yield from _double_files([(index, route) for index, route in routes if is_enabled(route)], gateway)
    for index, route in routes:
        path: ConfigPath = ("routes", index)
        yield from _overlapping_filters(route, path)
        yield from _start(route, path)
        yield from _double_targets(route, path)
        yield from _double_headers(route, path)
        yield from _order_by(route, path)


def check_streams(streams: Node | None) -> Found:
    """Declared streams: one declaration each, and no subject in two of them, which no server allows."""
    if not isinstance(streams, SequenceNode):
        return
    declared: list[tuple[ConfigPath, MappingNode]] = [
        (("streams", index), item) for index, item in enumerate(streams.items) if isinstance(item, MappingNode)
    ]
    yield from _double_names(declared, Code.DUPLICATE_STREAM)
    for path, stream in declared:
        yield from _window(stream, path)
    seen: list[tuple[str, Node]] = []
    for path, stream in declared:
        for index, node in enumerate(items(stream.get("subjects"))):
            subject = text_of(node)
            if subject is None or wildcard_fault(subject):
                continue
            for other, place in seen:
                if overlaps(subject, other):
                    text = f"{shown(node)} overlaps {shown(place)} at {line_of(place, node)}"
                    hint = "a subject belongs to one stream, and stands there once"
                    yield problem_at(node, (*path, "subjects", index), Code.INVALID_SUBJECT, text, hint)
                    break
            seen.append((subject, node))


def _window(stream: MappingNode, path: ConfigPath) -> Found:
    """A stream forgets ids before its window is over when it keeps messages for less; the server refuses it (10052)."""
    age_node, window_node = stream.get("max-age"), stream.get("duplicate-window")
    age, window = _duration(age_node), _duration(window_node)
    if age is not None and window is not None and window_node is not None and window > age:
        text = "duplicate-window is longer than max-age, which the server refuses"
        hint = "set duplicate-window to max-age or less, or leave it out"
        yield problem_at(window_node, (*path, "duplicate-window"), Code.INVALID_VALUE, text, hint)


def check_nats(nats: Node | None) -> Found:
    """One way to sign in, given completely."""
    if not isinstance(nats, MappingNode):
        return
    present = [key.text for key, _ in nats.entries if is_there(nats, key.text)]
    given = [[name for name in present if name in names] for names in _SIGN_INS]
    used = sorted((names for names in given if names), key=lambda names: present.index(names[0]))
    for names in used[1:]:
        text = f"{quote(names[0])} and {quote(used[0][0])} exclude each other"
        hint = "sign in one way: user and password, token, nkey-seed or credentials"
        yield _at_key(nats, ("nats", names[0]), Code.INVALID_VALUE, text, hint)
    yield from _pair(nats, "user", "password", ("nats",))
    tls = nats.get("tls")
    if isinstance(tls, MappingNode):
        yield from _pair(tls, "cert", "key", ("nats", "tls"))


def _double_names(items: Sequence[tuple[ConfigPath, MappingNode]], code: Code) -> Found:
    first: dict[str, Node] = {}
    for path, item in items:
        node = item.get("name")
        name = text_of(node)
        if node is None or name is None:
            continue
        if name in first:
            shown = "the name" if node.tainted else quote(name)
            text = f"{shown} is already used at {line_of(first[name], node)}"
            hint = "one declaration for each stream"
            if code is Code.DUPLICATE_ROUTE:
                hint = "route names are metric labels and durable names, so they must be unique"
            yield problem_at(node, (*path, "name"), code, text, hint)
        else:
            first[name] = node


def _double_durables(routes: Sequence[tuple[int, MappingNode]], gateway: str) -> Found:
    first: dict[tuple[str, str], tuple[int, Node, bool]] = {}
    for index, route in routes:
        stream = text_of(find_exact(route, "source", "stream"))
        durable_node = find_exact(route, "source", "durable")
        name = text_of(route.get("name"))
        own = text_of(durable_node)
        durable = own or (f"{gateway}-{name}" if name and durable_node is None else None)
        if stream is None or durable is None:
            continue
        place = durable_node or route.get("name") or route
        path: ConfigPath = ("routes", index, *(("source", "durable") if own else ("name",)))
        earlier = first.get((stream, durable))
        if earlier is None:
            first[stream, durable] = (index, place, own is not None)
        elif own or earlier[2]:  # else the two names are equal, which is reported already
            shown = f"the durable {quote(durable)}" if own and not place.tainted else "its durable"
            text = f"{shown} is already used on this stream by routes[{earlier[0]}] at {line_of(earlier[1], place)}"
            hint = "routes with one durable would take each other's events; give each its own"
            yield problem_at(place, path, Code.DUPLICATE_DURABLE, text, hint)


def _double_files(routes: Sequence[tuple[int, MappingNode]], gateway: str) -> Found:
    """Audit files with two writers: at run the second one would find the file held, and keep its route down."""
    first: dict[str, tuple[int, object]] = {}
    for index, route in routes:
        for inner, settings in settings_of(route.get("audits"), "file"):
            node = settings.get("path")
            file = _file_of(node, route, gateway)
            if node is None or file is None:
                continue
            here = (index, settings.plain())
            earlier = first.setdefault(file, here)
            if earlier == here:  # the only one, or the same audit twice in a route, which is told as that
                continue
            who = "another audit of the route" if earlier[0] == index else f"routes[{earlier[0]}]"
            text = f"{'the file' if node.tainted else quote(file)} has a writer already: {who}"
            hint = "an audit file has one writer: give each its own, with {$route} in the path for example"
            yield problem_at(node, ("routes", index, "audits", *inner, "path"), Code.INVALID_VALUE, text, hint)


def _file_of(node: Node | None, route: MappingNode, gateway: str) -> str | None:
    """The file that an audit of this route writes to, where that can be told."""
    template = template_of(node)
    name, stream = text_of(route.get("name")), text_of(find_exact(route, "source", "stream"))
    if template is None or name is None or stream is None:
        return None
    if any(placeholder.path.text not in ROUTE_NAMES for placeholder in template.placeholders()):
        return None
    return os.path.abspath(fixed_text(template, gateway, name, stream))


def _double_targets(route: MappingNode, path: ConfigPath) -> Found:
    first: dict[str, Node] = {}
    for index, target in enumerate(items(route.get("targets"))):
        if not isinstance(target, MappingNode):
            continue
        field = "name" if is_there(target, "name") else "subject"
        node = target.get(field)
        name = text_of(node)
        if node is None or name is None:
            continue
        if name in first:
            shown = "the name" if node.tainted else quote(name)
            text = f"{shown} is already the name of the target at {line_of(first[name], node)}"
            hint = "a target's name is its subject unless given, and must be unique in the route: name: billing"
            yield problem_at(node, (*path, "targets", index, field), Code.DUPLICATE_TARGET, text, hint)
        else:
            first[name] = node


def _overlapping_filters(route: MappingNode, path: ConfigPath) -> Found:
    seen: list[tuple[str, Node]] = []
    for index, node in enumerate(items(find_exact(route, "source", "subjects"))):
        subject = text_of(node)
        if subject is None or wildcard_fault(subject):
            continue
        for other, place in seen:
            if overlaps(subject, other):
                text = f"{shown(node)} overlaps {shown(place)} at {line_of(place, node)}"
                hint = "the server refuses a consumer with overlapping subjects (10138); keep the wider one"
                yield problem_at(node, (*path, "source", "subjects", index), Code.INVALID_SUBJECT, text, hint)
                break
        seen.append((subject, node))


def _start(route: MappingNode, path: ConfigPath) -> Found:
    node = find_exact(route, "source", "start")
    if not isinstance(node, MappingNode) or is_there(node, "sequence") != is_there(node, "time"):
        return
    if not is_there(node, "sequence"):
        text, hint = "start needs a sequence or a time", "start: {sequence: 1000}, start: all or start: new"
        yield problem_at(node, (*path, "source", "start"), Code.MISSING_FIELD, text, hint)
        return
    text = "sequence and time exclude each other"
    yield _at_key(node, (*path, "source", "start", "time"), Code.INVALID_VALUE, text, "keep one of them")


def _double_headers(route: MappingNode, path: ConfigPath) -> Found:
    for index, target in enumerate(items(route.get("targets"))):
        headers = target.get("headers") if isinstance(target, MappingNode) else None
        first: dict[str, Key] = {}
        for key, _ in headers.entries if isinstance(headers, MappingNode) else ():
            other = first.setdefault(key.text.lower(), key)
            if other is not key:
                text = f"the same header as {quote(other.text)} at {line_of(other, key)}"
                inner = (*path, "targets", index, "headers", key.text)
                yield problem_at(key, inner, Code.DUPLICATE_KEY, text, "the case of a header's name does not count")


_NO_KEYS = {
    "$attempt": "it changes with every try",
    "$deliveries": "it changes with every delivery",
    "$sequence": "every event has its own, so that none is in order with another",
    "$gateway": "all events have the same",
    "$route": "all events have the same",
    "$stream": "all events have the same",
}
"""Names that say nothing of what an event is about."""


def _order_by(route: MappingNode, path: ConfigPath) -> Found:
    node = find_exact(route, "ordering", "key")
    text = text_of(node)
    if node is not None and text in _NO_KEYS and not node.tainted:
        hint = "ordering: strict orders all events" if "all" in _NO_KEYS[text] else "name what the events are about"
        why = f"{text} is no key to order by: {_NO_KEYS[text]}"
        yield problem_at(node, (*path, "ordering", "key"), Code.INVALID_VALUE, why, hint)


def _pair(node: MappingNode, one: str, other: str, path: ConfigPath) -> Found:
    for given, missing in ((one, other), (other, one)):
        if is_there(node, given) and not is_there(node, missing):
            text = f"{quote(given)} needs {quote(missing)}"
            yield _at_key(node, (*path, given), Code.MISSING_FIELD, text, f"set both {one} and {other}, or none")


def _at_key(node: MappingNode, path: ConfigPath, code: Code, text: str, hint: str) -> Problem:
    place: Node | Key = find_key(node, path[-1:])
    return problem_at(place, path, code, text, hint)


def _duration(node: Node | None) -> Duration | None:
    text = text_of(node)
    try:
        return Duration.parse(text) if text else None
    except ConfigProblem:
        return None
