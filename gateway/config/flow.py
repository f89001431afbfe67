"""Where events would go that nobody meant: round in circles, or past the streams the config declares. All warnings.

A placeholder counts as one token of any text: more than that a template never puts there. Only what holds for every
event is said, for a warning about a right config would teach people not to read them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from ..problems import Code, Problem, Severity
from ..subjects import matches, overlaps, wildcard_fault
from . import model
from .look import find_exact, is_enabled, items, settings_of, shown, template_of, text_of, texts
from .report import ConfigPath, listed, problem_at
from .tree import MappingNode, Node, quote

Found = Iterator[Problem]
Declared = Mapping[str, list[str]]
"""Names and subjects of the declared streams."""


class _Output(NamedTuple):
    """A subject that a route publishes to; `stream` is the one that must take it, if the config says so."""

    node: Node
    path: ConfigPath
    subject: str
    """As a wildcard."""
    stream: str | None = None


def doubt_flow(routes: Sequence[tuple[int, MappingNode]], streams: Node | None) -> Found:
    """Warnings about routes, each given with its index and its defaults merged in."""
    declared = {
        name: texts(stream.get("subjects"))
        for stream in items(streams)
        if isinstance(stream, MappingNode) and (name := text_of(stream.get("name")))
    }
    for index, route in routes:
        path: ConfigPath = ("routes", index)
        yield from _reads_itself(route, path)
        yield from _outside(route, path, declared)
        yield from _misspelt(route, path, declared)
    enabled = [(index, route) for index, route in routes if is_enabled(route)]
    yield from _circles(enabled)
    if streams is not None and _makes_streams(streams):
        yield from _dead_letters([route for _, route in enabled], streams, declared)


def _reads_itself(route: MappingNode, path: ConfigPath) -> Found:
    """Subjects that the route itself reads: `max-hops` ends such a circle, but nobody means it."""
    letters = find_exact(route, "dead-letter", "subject")
    outputs = list(_outputs(route, path))
    if letters is not None and (subject := _wildcard(letters)):
        outputs.append(_Output(letters, (*path, "dead-letter", "subject"), subject))
    for output in outputs:
        if _is_read(output, route):
            text = f"the route reads what it publishes to {shown(output.node)}"
            hint = "publish to a subject outside source.subjects; max-hops dead-letters what goes in circles"
            yield problem_at(output.node, output.path, Code.LOOP, text, hint, Severity.WARNING)
    for audit in _audits(route, path):
        if _is_read(audit, route):
            text = f"the route reads the records it writes to {shown(audit.node)}"
            hint = "write them to a subject outside source.subjects; else each record may make another one, without end"
            yield problem_at(audit.node, audit.path, Code.LOOP, text, hint, Severity.WARNING)


def _circles(routes: Sequence[tuple[int, MappingNode]]) -> Found:
    """Routes that send each other what they read; one with a filter is left out, for it may end the circle."""
    open_ = {index: route for index, route in routes if not items(route.get("filters"))}
    readers: dict[str, list[int]] = {}
    for index, route in open_.items():
        for first in {subject.partition(".")[0] for subject in texts(find_exact(route, "source", "subjects"))}:
            readers.setdefault(first, []).append(index)
    edges: dict[int, dict[int, _Output]] = {index: {} for index in open_}
    for index, route in open_.items():
        for output in _outputs(route, ("routes", index)):
            for first in {output.subject.partition(".")[0], "*", ">"}:
                for reader in readers.get(first, ()):
                    if reader != index and _is_read(output, open_[reader]):
                        edges[index].setdefault(reader, output)
    told: set[int] = set()
    for index in open_:
        way = _way_back(index, edges)
        if way and not told.intersection(way):
            told.update(way)
            output = edges[index][way[0]]
            over = listed(f"routes[{step}]" for step in way[:-1])
            text = f"what the route publishes to {shown(output.node)} comes back to it by way of {over}"
            hint = "nothing in between filters it; max-hops dead-letters what goes in circles"
            yield problem_at(output.node, output.path, Code.LOOP, text, hint, Severity.WARNING)


def _way_back(start: int, edges: Mapping[int, Mapping[int, _Output]]) -> list[int]:
    """The shortest way from a route over others back to it, the route itself last; empty when there is none."""
    ways = [[step] for step in edges[start]]
    seen: set[int] = set()
    for way in ways:
        if way[-1] == start:
            return way
        if way[-1] not in seen:
            seen.add(way[-1])
            ways.extend([*way, step] for step in edges[way[-1]])
    return []


def _outside(route: MappingNode, path: ConfigPath, declared: Declared) -> Found:
    """Subjects that the stream beside them is declared without: the server takes such a consumer, which then waits."""
    text = "{} is outside the subjects this config declares for the stream"
    for index, node in enumerate(items(find_exact(route, "source", "subjects"))):
        subject, owned = text_of(node), declared.get(text_of(find_exact(route, "source", "stream")) or "")
        if subject and owned and not _takes(owned, subject):
            inner = (*path, "source", "subjects", index)
            hint = "no event will ever come"
            yield problem_at(node, inner, Code.INVALID_SUBJECT, text.format(shown(node)), hint, Severity.WARNING)
    outputs = [(output, "no copy will ever arrive") for output in _outputs(route, path)]
    outputs += [(audit, "no record will ever arrive") for audit in _audits(route, path)]
    for (node, inner, subject, stream), hint in outputs:
        owned = declared.get(stream or "")
        if owned and not _takes(owned, subject):
            yield problem_at(node, inner, Code.INVALID_SUBJECT, text.format(shown(node)), hint, Severity.WARNING)


def _misspelt(route: MappingNode, path: ConfigPath, declared: Declared) -> Found:
    """Names of streams one slip away from a declared one, beside subjects that are the declared one's."""
    source = find_exact(route, "source", "stream")
    subjects = texts(find_exact(route, "source", "subjects"))
    named = [(source, (*path, "source", "stream"), subjects)]
    for index, target in enumerate(items(route.get("targets"))):
        if isinstance(target, MappingNode):
            subject = _wildcard(target.get("subject"))
            named.append((target.get("stream"), (*path, "targets", index, "stream"), [subject] if subject else []))
    for step, settings in settings_of(route.get("audits"), "stream"):
        subject = _wildcard(settings.get("subject"))
        named.append((settings.get("stream"), (*path, "audits", *step, "stream"), [subject] if subject else []))
    for node, inner, wanted in named:
        name = text_of(node)
        if node is None or not name or name in declared:
            continue
        for other, owned in declared.items():
            if _one_slip(name, other) and any(_takes(owned, subject) for subject in wanted):
                text = f"{shown(node)} is none of the streams this config declares"
                hint = f"did you mean {quote(other)}? it is declared with these subjects"
                yield problem_at(node, inner, Code.INVALID_VALUE, text, hint, Severity.WARNING)
                break


def _makes_streams(streams: Node) -> bool:
    """Whether the config makes streams, and says of each what it takes."""
    declared = [stream for stream in items(streams) if isinstance(stream, MappingNode)]
    return any(text_of(stream.get("provision")) == "create" for stream in declared) and all(
        texts(stream.get("subjects")) for stream in declared
    )


def _dead_letters(routes: Sequence[MappingNode], streams: Node, declared: Declared) -> Found:
    """No stream for dead letters, in a config that declares those of everything else it reads and publishes to."""
    every = [subject for owned in declared.values() for subject in owned]
    missing: dict[str, int] = {}
    for route in routes:
        if text_of(find_exact(route, "source", "stream")) not in declared:
            return
        if not all(_takes(every, output.subject) for output in _outputs(route, ())):
            return
        node = find_exact(route, "dead-letter", "subject")
        template = template_of(node) if node is not None else model.DeadLetter().subject
        if template is None or (node is not None and node.tainted):
            return
        if not _takes(every, _as_wildcard(template.parts)):
            missing[template.text] = missing.get(template.text, 0) + 1
    for subject, count in missing.items():
        who = "a route" if count == 1 else f"{count} routes"
        text = f"no stream declared here takes {quote(subject)}, the dead letters of {who}"
        first = subject.partition(".")[0]
        wanted = f"{first}.>" if "." in subject and "{" not in first else subject
        hint = f"declare one: {{name: DEAD_LETTERS, subjects: [{wanted}], provision: create}}"
        hint += "; without it the first event that cannot go on holds its route"
        yield problem_at(streams, ("streams",), Code.INVALID_SUBJECT, text, hint, Severity.WARNING)


def _outputs(route: MappingNode, path: ConfigPath) -> Iterator[_Output]:
    """What the targets publish to, where that can be told."""
    for index, target in enumerate(items(route.get("targets"))):
        node = target.get("subject") if isinstance(target, MappingNode) else None
        subject = _wildcard(node)
        if isinstance(target, MappingNode) and node is not None and subject:
            yield _Output(node, (*path, "targets", index, "subject"), subject, text_of(target.get("stream")))


def _audits(route: MappingNode, path: ConfigPath) -> Iterator[_Output]:
    """What the audits store in streams."""
    for inner, settings in settings_of(route.get("audits"), "stream"):
        node = settings.get("subject")
        subject = _wildcard(node)
        if node is not None and subject:
            yield _Output(node, (*path, "audits", *inner, "subject"), subject, text_of(settings.get("stream")))


def _is_read(output: _Output, route: MappingNode) -> bool:
    """Whether the route reads everything that is published there."""
    if output.stream not in (None, text_of(find_exact(route, "source", "stream"))):
        return False
    read = texts(find_exact(route, "source", "subjects"))
    return any(not wildcard_fault(wildcard) and matches(wildcard, output.subject) for wildcard in read)


def _takes(owned: Sequence[str], subject: str) -> bool:
    """Whether a stream with these subjects may take some of them."""
    return any(overlaps(subject, one) for one in owned)


def _wildcard(node: Node | None) -> str | None:
    template = template_of(node)
    wildcard = _as_wildcard(template.parts) if template is not None else ""
    return wildcard if wildcard and not wildcard_fault(wildcard) else None


def _as_wildcard(parts: Sequence[object]) -> str:
    """The subjects a template can become: a token with a placeholder in it is any token."""
    text = "".join(part if isinstance(part, str) else "\0" for part in parts)
    return ".".join("*" if "\0" in token else token for token in text.split("."))


def _one_slip(one: str, other: str) -> bool:
    """Whether two names differ by case or dashes, by one letter, or by two that changed places.

    Digits tell streams apart, and short names differ by a letter anyway.
    """
    digits = [[char for char in name if char.isdigit()] for name in (one, other)]
    short, long = sorted((_bare(one), _bare(other)), key=len)
    if digits[0] != digits[1] or len(short) < 4:
        return False
    start = next((at for at, pair in enumerate(zip(short, long, strict=False)) if pair[0] != pair[1]), len(short))
    if len(short) < len(long):
        return short[start:] == long[start + 1 :]
    swapped = short[start : start + 2] == long[start : start + 2][::-1] and short[start + 2 :] == long[start + 2 :]
    return swapped or short[start + 1 :] == long[start + 1 :]


def _bare(name: str) -> str:
    return name.casefold().replace("-", "").replace("_", "")
