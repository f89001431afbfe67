"""What a check without credentials takes as given: under systemd only the service itself sees them, no ExecReload."""

from __future__ import annotations

import os
from collections.abc import Iterator

from .look import find_exact, text_of
from .report import ConfigPath
from .tree import MappingNode, Node, ScalarNode, write_path

_FILES = (("credentials",), ("tls", "ca"), ("tls", "cert"), ("tls", "key"))


def unread_paths(root: MappingNode, folder: str) -> list[str]:
    """The paths of values that hold a credential, and of those of `nats` that name a file in their folder."""
    files = [("nats", *inner) for inner in _FILES if _is_in(text_of(find_exact(root, "nats", *inner)), folder)]
    return [write_path(path) for path in (*_unread(root, ()), *files)]


def _unread(node: Node, path: ConfigPath) -> Iterator[ConfigPath]:
    if isinstance(node, ScalarNode):
        if node.unread:
            yield path
    elif isinstance(node, MappingNode):
        for key, child in node.entries:
            yield from _unread(child, (*path, key.text))
    else:
        for index, item in enumerate(node.items):
            yield from _unread(item, (*path, index))


def _is_in(path: str | None, folder: str) -> bool:
    return bool(path and folder) and os.path.dirname(os.path.abspath(path or "")) == os.path.abspath(folder)
