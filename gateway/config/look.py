"""Looks at nodes that may be anything: what is not of the kind that is asked for counts as not there."""

from __future__ import annotations

from collections.abc import Iterator

from ..errors import ConfigProblem
from ..registry import BUILTIN
from ..templates import Template
from .tree import MappingNode, Node, ScalarNode, SequenceNode, quote


def find_exact(node: MappingNode, *keys: str) -> Node | None:
    """The node under nested keys, or None when one of them is not there."""
    found: Node | None = node
    for key in keys:
        found = found.get(key) if isinstance(found, MappingNode) else None
    return found


def items(node: Node | None) -> tuple[Node, ...]:
    """The items of a list."""
    return node.items if isinstance(node, SequenceNode) else ()


def text_of(node: Node | None) -> str | None:
    """The text of a good scalar."""
    if isinstance(node, ScalarNode) and isinstance(node.value, str) and not node.faulty:
        return node.value
    return None


def settings_of(steps: Node | None, builtin: str) -> Iterator[tuple[tuple[str | int, ...], MappingNode]]:
    """The settings of one of the gateway's own components in a list of steps, and where in the list they are."""
    for index, step in enumerate(items(steps)):
        for key, child in step.entries if isinstance(step, MappingNode) else ():
            if key.text in (builtin, f"{BUILTIN}/{builtin}") and isinstance(child, MappingNode):
                yield (index, key.text), child


def is_enabled(route: MappingNode) -> bool:
    """Whether a route is to run."""
    node = route.get("enabled")
    return not (isinstance(node, ScalarNode) and node.value is False)


def texts(node: Node | None) -> list[str]:
    """The texts of a list, without the empty ones."""
    return [text for text in map(text_of, items(node)) if text]


def template_of(node: Node | None) -> Template | None:
    """The template a text is."""
    text = text_of(node)
    try:
        return Template(text) if text else None
    except ConfigProblem:
        return None


def is_there(node: MappingNode, key: str) -> bool:
    """Whether a key is there and not null; what has a fault was meant to be something."""
    child = node.get(key)
    return child is not None and (child.faulty or child.kind != "null")


def shown(node: Node) -> str:
    """A text as a problem shows it; `***` for what may be a secret."""
    return "***" if node.tainted else quote(text_of(node) or "")
