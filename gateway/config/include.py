"""Load a config: the main file, the files it includes, one tree."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from ..problems import Code, Problem
from .expand import Expander
from .files import UnreadableError
from .reader import read
from .reads import Reads
from .tree import Key, MappingNode, Node, ScalarNode, SequenceNode, quote

INCLUDABLE = ("routes", "streams")


@dataclass(frozen=True, slots=True)
class LoadedTree:
    """What came of loading a config."""

    root: Node | None
    """The tree without `include`, the lists of included files appended; None when the main file is unreadable."""
    files: tuple[tuple[str, str], ...] = field(repr=False)
    """Name and text before expansion of each file that could be read, the main file first."""
    problems: list[Problem]
    digest: str
    """Hexadecimal sha256 over all texts before expansion; see `short_digest` for people."""
    complete: bool
    """False when a file or an include is not in the tree: what seems to be missing may stand there."""
    reads: Reads = field(default_factory=Reads, repr=False)
    """Every file and glob that was looked at, for whoever wants to know when that changes."""

    @property
    def short_digest(self) -> str:
        """The first 12 digits."""
        return self.digest[:12]


def load_tree(
    path: str | os.PathLike[str], env: Mapping[str, str] = os.environ, *, credentials: bool = True
) -> LoadedTree:
    """Read a config file and what it includes; all that is wrong is in `problems`, nothing is raised.

    Without `credentials` each `${credential:...}` stays as it stands, in a node that is `unread`.
    """
    name = os.fspath(path)
    problems: list[Problem] = []
    reads = Reads()
    text = _read_file(name, problems, reads)
    if text is None:
        return LoadedTree(None, (), problems, _digest([]), complete=False, reads=reads)
    return _Loader(name, env, problems, reads, credentials=credentials).load(text)


def load_text(text: str, file: str = "<text>", env: Mapping[str, str] = os.environ) -> LoadedTree:
    """Read a config from a text, as `load_tree` does; what it names is relative to the folder of `file`."""
    return _Loader(file, env, [], Reads()).load(text)


class _Loader:
    def __init__(
        self, file: str, env: Mapping[str, str], problems: list[Problem], reads: Reads, *, credentials: bool = True
    ) -> None:
        self._reads = reads
        self._file = file
        self._folder = os.path.dirname(file)
        self._env = env
        self._credentials = credentials
        self._problems = problems
        self._complete = True

    def load(self, text: str) -> LoadedTree:
        root = read(text, self._file, self._expander(self._folder), self._problems)
        files = [(self._file, text)]
        names = [""]
        if isinstance(root, MappingNode) and (include := root.get("include")):
            added: dict[str, list[Node]] = {}
            for match in self._matches(include):
                name = os.path.join(self._folder, match)
                content = _read_file(name, self._problems, self._reads)
                if content is None:
                    self._complete = False
                    continue
                files.append((name, content))
                names.append(os.path.normpath(match))
                self._included(name, content, added)
            root = _merge(root, added)
        complete = self._complete and root is not None
        digest = _digest(list(zip(names, (content for _, content in files), strict=True)))
        return LoadedTree(root, tuple(files), self._problems, digest, complete, self._reads)

    def _expander(self, folder: str) -> Expander:
        return Expander(self._env, folder, self._reads, self._credentials)

    def _matches(self, include: Node) -> Iterator[str]:
        """The files an `include` names, relative to the main file's folder, each once."""
        seen = {os.path.realpath(self._file)}
        for node in include.items if isinstance(include, SequenceNode) else (include,):
            if node.faulty:
                self._complete = False
                continue
            if not isinstance(node, ScalarNode) or not isinstance(node.value, str):
                self._report(node, Code.WRONG_TYPE, f"expected a glob or a list of globs, found {node.kind}", "")
                continue
            shown = "the glob" if node.tainted else quote(node.value)
            matches = self._reads.matches(self._folder, node.value)
            if not matches:
                self._report(node, Code.INCLUDE, f"{shown} matches no file", "globs are relative to this file's folder")
            for match in matches:
                real = os.path.realpath(os.path.join(self._folder, match))
                if real == os.path.realpath(self._file):
                    hint = "keep included files in a folder of their own"
                    self._report(node, Code.INCLUDE, f"{shown} matches this file itself", hint)
                elif real not in seen:
                    seen.add(real)
                    yield match

    def _included(self, name: str, text: str, added: dict[str, list[Node]]) -> None:
        """Read one included file and put the items of its lists into `added`."""
        root = read(text, name, self._expander(os.path.dirname(name)), self._problems)
        if root is None:
            self._complete = False
        elif isinstance(root, MappingNode):
            for key, node in root.entries:
                self._section(key, node, added)
        elif not _is_null(root):
            hint = "it holds routes: and streams:, each with a list"
            self._report(root, Code.INCLUDE, f"an included file is a mapping, found {root.kind}", hint)

    def _section(self, key: Key, node: Node, added: dict[str, list[Node]]) -> None:
        if key.text not in INCLUDABLE:
            text = "an included file holds routes and streams only"
            if key.text == "include":
                text = "an included file cannot include others"
            self._report(key, Code.INCLUDE, text, f"move it to {self._file}", key.text)
        elif isinstance(node, SequenceNode):
            added.setdefault(key.text, []).extend(node.items)
        elif node.faulty:
            self._complete = False
        elif not _is_null(node):
            self._report(node, Code.WRONG_TYPE, f"expected a list, found {node.kind}", "", key.text)

    def _report(self, at: Node | Key, code: Code, text: str, hint: str, path: str = "include") -> None:
        self._complete = False
        self._problems.append(Problem(at.file, at.line, at.column, code, text, hint, path))


def _is_null(node: Node) -> bool:
    return isinstance(node, ScalarNode) and node.value is None and not node.faulty


def _read_file(name: str, problems: list[Problem], reads: Reads) -> str | None:
    try:
        return reads.read_text(name)
    except UnreadableError as error:
        problems.append(Problem(name, error.line, error.column, Code.UNREADABLE, f"the file {error.text}", error.hint))
        return None


def _merge(root: MappingNode, added: Mapping[str, list[Node]]) -> MappingNode:
    """The main mapping without `include`, with the added items at the end of its lists."""
    entries = {key.text: (key, node) for key, node in root.entries}
    at, include = entries.pop("include")
    for name, items in added.items():
        # A list the main file does not have stands where the include is.
        key, node = entries.get(name) or (Key(name, at.file, at.line, at.column), None)
        place = node or include
        own = node.items if isinstance(node, SequenceNode) else ()
        if node is None or isinstance(node, SequenceNode) or _is_null(node):  # else a later pass refuses it
            entries[name] = (key, SequenceNode(place.file, place.line, place.column, (*own, *items)))
    return MappingNode(root.file, root.line, root.column, tuple(entries.values()))


def _digest(files: list[tuple[str, str]]) -> str:
    """Names are relative to the main file, whose own name does not count: replicas compare digests across hosts.

    Lengths keep the borders: text moved from one file to the next makes another digest.
    """
    total = hashlib.sha256()
    for name, text in files:
        for part in (os.fsencode(name), text.encode("utf-8", "surrogatepass")):
            total.update(len(part).to_bytes(8, "big"))
            total.update(part)
    return total.hexdigest()
