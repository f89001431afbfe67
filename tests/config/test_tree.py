"""The tree remembers where each key and value stood, and what it says."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.expand import Expander
from gateway.config.reader import read
from gateway.config.tree import Key, MappingNode, Node, ScalarNode, SequenceNode, find, find_key, write_path
from gateway.problems import Problem


def tree(text: str) -> Node:
    problems: list[Problem] = []
    root = read(text, "c.yaml", Expander({}, ""), problems)
    assert problems == []
    assert root is not None
    return root


def place(node: Node | Key) -> tuple[int, int]:
    return node.line, node.column


def test_every_node_and_key_knows_its_file_line_and_column() -> None:
    root = tree("# head\nroutes:\n  - name: orders\n    filters: [a, {b: 1}]\n")
    assert place(root) == (2, 1)
    assert place(find(root, ["routes"])) == (3, 3)
    assert place(find(root, ["routes", 0])) == (3, 5)
    assert place(find(root, ["routes", 0, "name"])) == (3, 11)
    assert place(find(root, ["routes", 0, "filters", 1, "b"])) == (4, 22)
    assert place(find_key(root, ["routes", 0, "filters"])) == (4, 5)
    assert find(root, ["routes", 0]).file == "c.yaml"


def test_columns_count_characters_and_not_bytes() -> None:
    root = tree('{é😀: "ü😀", b: x}')
    assert place(find_key(root, ["é😀"])) == (1, 2)
    assert place(find(root, ["é😀"])) == (1, 6)
    assert place(find_key(root, ["b"])) == (1, 12)


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_every_line_end_counts_as_one_line(newline: str) -> None:
    root = tree(newline.join(["a: 1", "b: |", "  x", "c: 2", ""]))
    assert place(find_key(root, ["c"])) == (4, 1)
    assert find(root, ["b"]).plain() == "x\n"


def test_a_path_that_does_not_exist_finds_the_deepest_node_that_does() -> None:
    root = tree("a:\n  b: [1]\n")
    assert find(root, ["a", "nope", "x"]) is find(root, ["a"])
    assert find(root, ["a", "b", 1]) is find(root, ["a", "b"])
    assert find(root, ["a", "b", 0, "x"]).plain() == 1
    assert find(root, ["a", 0]) is find(root, ["a"])
    assert find_key(root, ["a", "nope"]) is find(root, ["a"])
    assert find_key(root, ["a", "b", 0]) is find(root, ["a", "b", 0])
    assert find_key(root, []) is root


@pytest.mark.parametrize(
    ("path", "written"),
    [
        ((), ""),
        (("routes", 3, "name"), "routes[3].name"),
        ((0, "a"), "[0].a"),
        (("set", "a.b", "$id"), 'set."a.b".$id'),
        (("a\nb",), '"a\\nb"'),
    ],
)
def test_paths_are_written_as_people_do(path: tuple[str | int, ...], written: str) -> None:
    assert write_path(path) == written


def test_an_empty_document_is_a_null_node_at_the_first_line() -> None:
    for text in ("", "\n\n# only a comment\n", "---\n# x\n", "---\n...\n"):
        root = tree(text)
        assert isinstance(root, ScalarNode)
        assert (root.value, place(root)) == (None, (1, 1))


def paths_of(node: Node, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    yield path
    if isinstance(node, SequenceNode):
        for number, item in enumerate(node.items):
            yield from paths_of(item, (*path, number))
    elif isinstance(node, MappingNode):
        for key, value in node.entries:
            yield from paths_of(value, (*path, key.text))


Steps = tuple[str | int, ...]

# Surrogates no file can hold; characters in need of an escape beyond U+FFFF, JSON would write as a pair of them;
# and "$" could make a placeholder.
TEXT = st.text(st.characters(exclude_categories=["Cs", "Cn", "Co"], exclude_characters="$"), max_size=6).filter(
    lambda text: text.isprintable() or max(text) < "\U00010000"
)
NUMBER = st.integers(-(10**30), 10**30) | st.floats(allow_nan=False, allow_infinity=False)
DATA = st.recursive(
    st.none() | st.booleans() | NUMBER | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=25,
)


class _Writer:
    """Writes data as YAML in mixed styles, and notes where each key and node went and how it begins."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self.text = ""
        self.nodes: dict[Steps, tuple[int, int, str]] = {}
        self.keys: dict[Steps, tuple[int, int, str]] = {}

    def _here(self) -> tuple[int, int]:
        return self.text.count("\n") + 1, len(self.text) - self.text.rfind("\n")

    def block(self, data: object, path: Steps, indent: int) -> None:
        """Write a value from here to the end of a line, `indent` columns being the depth of its further lines."""
        if not data or not isinstance(data, dict | list) or self._random.random() < 0.3:
            self.flow(data, path)
            self.text += self._random.choice(["\n", "  # ü😀\n"])
            return
        pairs = data.items() if isinstance(data, dict) else enumerate(data)
        for number, (step, value) in enumerate(pairs):
            if number:
                self.text += self._random.choice(["", "\n", "# é\n"]) + " " * indent
            line, column = self._here()
            self._begin(step, path)
            if not number:
                self.nodes[path] = (line, column, self.text[-1] if isinstance(step, int) else self.keys[*path, step][2])
            deeper = indent + self._random.randint(1, 4)
            on_next_line = isinstance(step, str) or self._random.random() < 0.3
            self.text += "\n" + " " * deeper if on_next_line else " "
            self.block(value, (*path, step), deeper if on_next_line else self._here()[1] - 1)

    def flow(self, data: object, path: Steps) -> None:
        line, column = self._here()
        if isinstance(data, dict | list):
            opening, closing = "{}" if isinstance(data, dict) else "[]"
            self.nodes[path] = (line, column, opening)
            self.text += opening
            for number, (step, value) in enumerate(data.items() if isinstance(data, dict) else enumerate(data)):
                self.text += self._random.choice([", ", ",\n" + " " * 80]) if number else ""
                if isinstance(data, dict):
                    self._begin(step, path)
                self.text += " "
                self.flow(value, (*path, step))
            self.text += closing
        else:
            token = self._quoted(data) if isinstance(data, str) else json.dumps(data)
            self.nodes[path] = (line, column, token)
            self.text += token

    def _begin(self, step: str | int, path: Steps) -> None:
        token = "-" if isinstance(step, int) else self._quoted(step)
        if isinstance(step, str):
            self.keys[*path, step] = (*self._here(), token)
        self.text += token if isinstance(step, int) else token + ":"

    def _quoted(self, text: str) -> str:
        if text.isprintable() and self._random.random() < 0.5:
            return "'" + text.replace("'", "''") + "'"
        return json.dumps(text, ensure_ascii=not text.isprintable())


@given(DATA, st.integers())
def test_each_place_is_where_the_token_stands_in_the_text(data: object, seed: int) -> None:
    writer = _Writer(seed)
    writer.block(data, (), 0)
    root = tree(writer.text)
    assert root.plain() == data
    lines = writer.text.split("\n")
    assert set(writer.nodes) == set(paths_of(root))
    for path, (line, column, token) in writer.nodes.items():
        node = find(root, path)
        assert place(node) == (line, column), path
        assert lines[line - 1][column - 1 :].startswith(token.split("\n")[0])
    for path, (line, column, token) in writer.keys.items():
        assert place(find_key(root, path)) == (line, column), path
        assert lines[line - 1][column - 1 :].startswith(token)


@given(DATA, st.sampled_from([None, 2, "\t"]))
def test_json_is_read_as_json(data: object, indent: int | str | None) -> None:
    ascii_only = json.dumps(data, indent=indent)
    text = json.dumps(data, indent=indent, ensure_ascii=False)
    for written in {text if text.replace("\n", "").replace("\t", "").isprintable() else ascii_only, ascii_only}:
        if "\\ud" not in written:
            assert tree(written).plain() == data


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("~", "null"),
        ("true", "boolean"),
        ("1", "integer"),
        ("1.5", "number"),
        ("x", "string"),
        ("[]", "list"),
        ("{}", "mapping"),
    ],
)
def test_kinds_have_names_for_problems(text: str, kind: str) -> None:
    assert tree(text).kind == kind
