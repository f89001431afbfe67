"""Text -> tree: YAML events become nodes with places, expanded and typed, and every fault is reported.

Built from parse events and not with `yaml.compose`: the C composer recurses without a limit, resolves by YAML 1.1,
keeps the last of two equal keys and expands aliases before anyone can count them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NoReturn

import yaml

from ..problems import Code, Problem
from .expand import Expander
from .scalars import CORE_TAG, ScalarError, construct, is_null, resolve
from .syntax import explain, find_unwanted
from .tree import Key, MappingNode, Node, Scalar, ScalarNode, SequenceNode, quote, write_path

MAX_DEPTH = 100
MAX_ALIAS_NODES = 100_000
"""Nodes that aliases may add to the tree, so that nine lines cannot stand for a billion."""

_LIBYAML_TOO_DEEP = "exceeded maximum nesting depth"
"""What libyaml (from 0.2.6 on) says at 1,000 open brackets, which it counts before it tells of the first one."""

_SCALAR_TAGS = frozenset(CORE_TAG + name for name in ("str", "int", "float", "bool", "null"))
_NO_TAG = (None, "", "!")


def read(text: str, file: str, expander: Expander, problems: list[Problem]) -> Node | None:
    """Read one document; what is wrong is appended to `problems` with `file` in front.

    An empty document is a null node at 1:1. None when the text could not be read to its end.
    """
    unwanted = find_unwanted(text)
    if unwanted is not None:
        problems.append(Problem(file, unwanted.line, unwanted.column, Code.SYNTAX, unwanted.text, unwanted.hint))
        return None
    before = len(problems)
    try:
        try:
            return _Reader(text, file, expander, problems, yaml.CSafeLoader).document()
        except yaml.YAMLError as error:
            if getattr(error, "problem", None) != _LIBYAML_TOO_DEEP:
                raise
            # The slow parser has no limit of its own, and is stopped at ours.
            del problems[before:]
            return _Reader(text, file, expander, problems, yaml.SafeLoader).document()
    except _StopError:
        return None
    except yaml.YAMLError as error:
        found = explain(error, text)
        problems.append(Problem(file, found.line, found.column, Code.SYNTAX, found.text, found.hint))
        return None


class _StopError(Exception):
    """Reported, and the rest of the text cannot be read."""


class _Reader:
    def __init__(
        self,
        text: str,
        file: str,
        expander: Expander,
        problems: list[Problem],
        loader: type[yaml.CSafeLoader] | type[yaml.SafeLoader],
    ) -> None:
        self._events: Iterator[yaml.Event] = yaml.parse(text, Loader=loader)
        self._file = file
        self._expander = expander
        self._problems = problems
        self._path: list[str | int] = []
        self._depth = 0
        self._anchors: dict[str, Node | None] = {}
        """None while the node is still open: an alias to it would be endless."""
        self._alias_nodes = 0

    def document(self) -> Node:
        next(self._events)  # the start of the stream
        if isinstance(next(self._events), yaml.StreamEndEvent):
            return ScalarNode(self._file, 1, 1, None, "", quoted=False)
        root = self._node(next(self._events))
        if isinstance(root, ScalarNode) and not root.text and not root.quoted:
            root = ScalarNode(self._file, 1, 1, None, "", quoted=False)
        next(self._events)  # the end of the document
        after = next(self._events)
        if not isinstance(after, yaml.StreamEndEvent):
            hint = "a config is one document; include: joins files"
            self._report(after, Code.UNSUPPORTED_YAML, "a second document begins here", hint)
        return root

    def _node(self, event: yaml.Event) -> Node:
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event)
        assert isinstance(event, yaml.NodeEvent)
        if event.anchor:
            self._anchors[event.anchor] = None
        node = self._scalar(event) if isinstance(event, yaml.ScalarEvent) else self._collection(event)
        if event.anchor:
            self._anchors[event.anchor] = node
        return node

    def _collection(self, event: yaml.NodeEvent) -> Node:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            self._too_deep(event)
        node = self._mapping(event) if isinstance(event, yaml.MappingStartEvent) else self._sequence(event)
        self._depth -= 1
        return node

    def _sequence(self, start: yaml.NodeEvent) -> SequenceNode:
        self._check_tag(start, CORE_TAG + "seq")
        items: list[Node] = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            self._path.append(len(items))
            items.append(self._node(event))
            self._path.pop()
        return SequenceNode(self._file, *_place(start), tuple(items))

    def _mapping(self, start: yaml.NodeEvent) -> MappingNode:
        self._check_tag(start, CORE_TAG + "map")
        entries: dict[str, tuple[Key, Node]] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            key = self._key(event)
            self._path.append(key.text if key else "?")
            first = entries.get(key.text) if key else None
            if key and first:
                text = f"the key {quote(key.text)} is already there at line {first[0].line}"
                self._report(event, Code.DUPLICATE_KEY, text, "the first one counts; remove one of them")
            value = self._node(next(self._events))
            if key and not first:
                entries[key.text] = (key, value)
            self._path.pop()
        return MappingNode(self._file, *_place(start), tuple(entries.values()))

    def _key(self, event: yaml.Event) -> Key | None:
        """The key an event stands for, or None when it cannot be one, which is then reported."""
        if not isinstance(event, yaml.ScalarEvent):
            before = len(self._problems)
            if not isinstance(event, yaml.AliasEvent):
                self._node(event)
                del self._problems[before:]  # what is wrong inside goes away with it
            hint = "quote a key that begins with a bracket or *"
            self._report(event, Code.UNSUPPORTED_YAML, "a key must be text", hint)
            return None
        self._check_tag(event, *_SCALAR_TAGS)
        text = event.value
        plain = not event.style and event.tag in _NO_TAG[:2]
        if plain and is_null(text):
            self._report(event, Code.UNSUPPORTED_YAML, "a key must be text, not null", "quote it")
            return None
        if plain and text == "<<":
            hint = "write the fields out; defaults: holds what all routes share"
            self._report(event, Code.UNSUPPORTED_YAML, 'merge keys ("<<") are not supported', hint)
            return None
        if "${" in text.replace("$${", ""):
            hint = "only values are expanded; a literal ${ is written $${"
            self._report(event, Code.EXPANSION, "${ in a key is not expanded", hint)
        return Key(text.replace("$${", "${"), self._file, *_place(event))

    def _scalar(self, event: yaml.ScalarEvent) -> ScalarNode:
        known = self._check_tag(event, *_SCALAR_TAGS)
        tag = (event.tag or "").removeprefix(CORE_TAG) if known else ""
        done = self._expander.expand(event.value)
        for fault in done.faults:
            self._report(event, Code.EXPANSION, fault.text, fault.hint)
        quoted = bool(event.style) or tag in ("!", "str")
        value: Scalar = None
        faulty = bool(done.faults) or not known
        if done.unread and not faulty:
            return ScalarNode(self._file, *_place(event), event.value, event.value, quoted, True, True, unread=True)
        if not faulty:
            try:
                value = _typed(done.text, "str" if quoted and tag in ("", "!") else tag)
            except ScalarError as error:
                faulty = True
                self._report(event, Code.INVALID_VALUE, str(error), "quote it when it is text")
        return ScalarNode(self._file, *_place(event), value, event.value, quoted, done.tainted, faulty)

    def _alias(self, event: yaml.AliasEvent) -> Node:
        assert event.anchor is not None
        target = self._anchors.get(event.anchor)
        if target is not None:
            # Cheap however often it is done: what was counted before bounds what is walked here.
            size, height = _measure(target)
            self._alias_nodes += size
            if self._alias_nodes > MAX_ALIAS_NODES:
                text = f"aliases add more than {MAX_ALIAS_NODES} values to the config"
                self._report(event, Code.UNSUPPORTED_YAML, text, "write the values out, or share them with defaults:")
                raise _StopError
            if self._depth + height > MAX_DEPTH:
                self._too_deep(event)
            return target
        if event.anchor in self._anchors:
            text = f"the alias *{event.anchor} stands inside its own anchor"
        else:
            text = f"there is no anchor &{event.anchor} above this alias"
        self._report(event, Code.UNSUPPORTED_YAML, text, "quote it when it is text")
        return ScalarNode(self._file, *_place(event), None, f"*{event.anchor}", quoted=False, faulty=True)

    def _too_deep(self, event: yaml.Event) -> NoReturn:
        self._path.clear()  # a hundred levels say less than the place
        self._report(event, Code.TOO_DEEP, f"nested deeper than {MAX_DEPTH} levels", "")
        raise _StopError

    def _check_tag(self, event: yaml.NodeEvent, *allowed: str) -> bool:
        """Whether the node has no tag or an allowed one; else it is reported."""
        tag = getattr(event, "tag", None)
        if tag in _NO_TAG or tag in allowed:
            return True
        shown = quote(f"!!{tag.removeprefix(CORE_TAG)}" if tag.startswith(CORE_TAG) else tag)
        hint = "leave the tag out; quote a value that begins with !"
        self._report(event, Code.UNSUPPORTED_YAML, f"the tag {shown} cannot stand here", hint)
        return False

    def _report(self, event: yaml.Event, code: Code, text: str, hint: str) -> None:
        line, column = _place(event)
        self._problems.append(Problem(self._file, line, column, code, text, hint, write_path(self._path)))


def _typed(text: str, tag: str) -> Scalar:
    return construct(tag, text) if tag else resolve(text)


def _place(event: yaml.Event) -> tuple[int, int]:
    mark = event.start_mark
    assert mark is not None
    return mark.line + 1, mark.column + 1


def _measure(node: Node) -> tuple[int, int]:
    """How many nodes, and how many levels of collections, a node would add where it is used."""
    if isinstance(node, ScalarNode):
        return 1, 0
    children = node.items if isinstance(node, SequenceNode) else [value for _, value in node.entries]
    measures = [_measure(child) for child in children]
    return 1 + sum(size for size, _ in measures), 1 + max((height for _, height in measures), default=0)
