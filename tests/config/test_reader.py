"""What a config may not hold is one problem with a place and a hint, and never a traceback."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.expand import Expander
from gateway.config.reader import MAX_ALIAS_NODES, MAX_DEPTH, read
from gateway.config.tree import Key, Node, SequenceNode, find
from gateway.problems import Code, Problem


def read_all(text: str) -> tuple[Node | None, list[Problem]]:
    problems: list[Problem] = []
    return read(text, "c.yaml", Expander({}, ""), problems), problems


def tree(text: str) -> Node:
    root, problems = read_all(text)
    assert problems == []
    assert root is not None
    return root


def only_problem(text: str) -> Problem:
    _, problems = read_all(text)
    assert len(problems) == 1, problems
    return problems[0]


def place(node: Node | Key) -> tuple[int, int]:
    return node.line, node.column


_CHARACTERS = "ab1:-?[]{},&*!|>'\"%@`#\\~\n\n \t.é😀\0\ufeff\u2028$"
_PIECES = st.sampled_from([*_CHARACTERS, "${", "A", "- ", ": ", "a: ", "<<", "---\n", "...\n"])


@given(st.lists(_PIECES, max_size=40).map("".join))
def test_no_text_ends_in_a_traceback_and_each_problem_has_a_place_in_it(text: str) -> None:
    root, problems = read_all(text)
    assert (root is not None) or problems
    for problem in problems:
        assert 1 <= problem.line <= text.count("\n") + 2
        assert problem.column >= 1
        assert "\n" not in problem.text + problem.hint + problem.path


@given(st.text(max_size=30))
def test_no_text_of_any_characters_ends_in_a_traceback(text: str) -> None:
    read_all(text)


def test_a_duplicate_key_is_reported_at_the_second_and_names_the_first() -> None:
    root, problems = read_all("routes:\n  - name: a\n    x: 1\n    name: b\n    x: 2\n")
    assert [str(problem).split("\n")[0] for problem in problems] == [
        'c.yaml:4:5: routes[0].name: the key "name" is already there at line 2 (duplicate-key)',
        'c.yaml:5:5: routes[0].x: the key "x" is already there at line 3 (duplicate-key)',
    ]
    assert root is not None
    assert root.plain() == {"routes": [{"name": "a", "x": 1}]}


def test_keys_are_text_as_written() -> None:
    assert tree("1: a\n010: b\ntrue: c\n'null': d\n'<<': e\n$${x}: f\n!!str 5: g\n").plain() == {
        "1": "a", "010": "b", "true": "c", "null": "d", "<<": "e", "${x}": "f", "5": "g",
    }  # fmt: skip
    assert only_problem('1: a\n"1": b').code is Code.DUPLICATE_KEY


@pytest.mark.parametrize(
    "text", ["~: 1", "null: 1", "? \n: 1", "? [a]\n: 1", "? {a: b}\n: 1", "? - a\n: 1", "? {a: 1, a: 2}\n: 1"]
)
def test_a_null_or_complex_key_is_an_error(text: str) -> None:
    problem = only_problem(text)
    assert problem.code is Code.UNSUPPORTED_YAML
    assert "a key must be text" in problem.text


def test_an_alias_cannot_be_a_key() -> None:
    root, problems = read_all("a: &x b\n*x : 1\nc: 2\n")
    assert [(problem.line, problem.column, problem.code) for problem in problems] == [(2, 1, Code.UNSUPPORTED_YAML)]
    assert root is not None
    assert root.plain() == {"a": "b", "c": 2}


def test_a_merge_key_is_an_error_at_the_key() -> None:
    root, problems = read_all("a: &x {b: 1}\nc:\n  <<: *x\n  d: 1\n")
    assert [(problem.line, problem.column, problem.code) for problem in problems] == [(3, 3, Code.UNSUPPORTED_YAML)]
    assert root is not None
    assert find(root, ["c"]).plain() == {"d": 1}


@pytest.mark.parametrize(
    "tag",
    ["!foo", "!!python/object:os.system", "!!python/name:os.system", "!!binary", "!!set", "!!timestamp", "!!omap"],
)
@pytest.mark.parametrize("value", ["x", "[x]", "{x: 1}"])
def test_a_foreign_tag_is_an_error_at_its_place(tag: str, value: str) -> None:
    problem = only_problem(f"a:\n  b: {tag} {value}\n")
    assert (problem.code, problem.line, problem.column, problem.path) == (Code.UNSUPPORTED_YAML, 2, 6, "a.b")
    assert tag in problem.text


@pytest.mark.parametrize("text", ["a: !!map [x]", "a: !!seq {x: 1}", "a: !!map x", "a: !!int [x]"])
def test_a_core_tag_on_the_wrong_kind_is_an_error(text: str) -> None:
    assert only_problem(text).code is Code.UNSUPPORTED_YAML


@pytest.mark.parametrize(("text", "line"), [("a: 1\n---\nb: 2\n", 2), ("---\na: 1\n---\n", 3), ("---\n---\n", 2)])
def test_a_second_document_is_an_error_at_its_begin(text: str, line: int) -> None:
    problem = only_problem(text)
    assert (problem.code, problem.line, problem.column) == (Code.UNSUPPORTED_YAML, line, 1)


def test_document_marks_around_one_document_are_no_error() -> None:
    assert tree("%YAML 1.2\n---\na: 1\n...\n").plain() == {"a": 1}


@pytest.mark.parametrize(("opening", "step"), [("[", 1), ("{a: ", 4), ("- ", 2), ("? ", 2)])
def test_nesting_beyond_the_limit_is_an_error_and_the_limit_is_not(opening: str, step: int) -> None:
    problem = only_problem(opening * 50_000)
    assert (problem.code, problem.line, problem.column) == (Code.TOO_DEEP, 1, MAX_DEPTH * step + 1)
    closing = {"[": "]", "{a: ": "}"}.get(opening)
    if closing:
        tree(opening * MAX_DEPTH + closing * MAX_DEPTH)
        assert only_problem(opening * (MAX_DEPTH + 1) + closing * (MAX_DEPTH + 1)).code is Code.TOO_DEEP


def test_an_alias_is_the_anchored_value_in_a_second_place() -> None:
    root = tree("a: &x {b: [1]}\nc: *x\n")
    assert root.plain() == {"a": {"b": [1]}, "c": {"b": [1]}}
    assert place(find(root, ["c", "b", 0])) == (1, 12)


def test_a_billion_laughs_are_one_problem() -> None:
    lines = ["a0: &a0 [lol]"] + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 30)]
    _, problems = read_all("\n".join(lines))
    assert {problem.code for problem in problems} == {Code.UNSUPPORTED_YAML}
    assert problems[0].text == f"aliases add more than {MAX_ALIAS_NODES} values to the config"
    assert len(problems) == 1


def test_aliases_cannot_nest_deeper_than_the_limit() -> None:
    """Sixty levels in an anchor used under sixty levels are a hundred and twenty, which plain() would walk."""
    problem = only_problem(f"a: &a {'[' * 60}{']' * 60}\nb: {'[' * 60}*a{']' * 60}\n")
    assert problem.code is Code.TOO_DEEP
    assert (problem.line, problem.column) == (2, 64)


def test_an_alias_inside_its_own_anchor_is_an_error() -> None:
    for text in ("a: &a\n  b: *a\n", "x: &a 1\na: &a {b: *a}"):
        problem = only_problem(text)
        assert (problem.code, problem.line, problem.path) == (Code.UNSUPPORTED_YAML, 2, "a.b")
        assert problem.text == "the alias *a stands inside its own anchor"


def test_an_alias_without_anchor_is_an_error_with_the_hint_to_quote() -> None:
    problem = only_problem("subject: *orders")
    assert (problem.code, problem.line, problem.column) == (Code.UNSUPPORTED_YAML, 1, 10)
    assert "quote" in problem.hint


@pytest.mark.parametrize(
    "char", ["\0", "\x07", "\x1b", "\x7f", "\x85", "\u2028", "\u2029", "\ufeff", "\ufffe", "\ud800"]
)
def test_a_character_no_config_may_hold_is_an_error_at_its_place(char: str) -> None:
    problem = only_problem(f"a: 1\r\nb: 1\rc: é{char}\n")
    assert (problem.code, problem.line, problem.column) == (Code.SYNTAX, 3, 5)
    assert f"U+{ord(char):04X}" in problem.text


@pytest.mark.parametrize(
    ("text", "line", "column", "words"),
    [
        ("a:\n\tb: 1", 2, 1, "spaces"),
        ("a:\n  - b\n\t- c", 3, 1, "spaces"),
        ("a: {b: ${PORT}}", 1, 9, "quote a value that holds ${ or {"),
        ("a: [x, ${PORT}]", 1, 9, "quote a value that holds ${ or {"),
        ("subject: {region}.x", 1, 18, "quote"),
        ("a: %x", 1, 4, "quote"),
        ("a: @x", 1, 4, "quote"),
        ("a: `x`", 1, 4, "quote"),
        ("%x: 1", 1, 1, "quote"),
        ("a: [>]", 1, 5, "quote"),
        ("subject: *.created", 1, 10, "quote"),
        ("a: b: c", 1, 5, "quote"),
        ("a: [b: c: d]", 1, 9, "quote"),
        ("a: - b", 1, 4, "line below"),
        ('a: "x\nb: 1\n', 1, 4, "close it"),
        ("a: [1, 2\n", 1, 4, "close it"),
        ("a: {b: 1", 1, 4, "close it"),
        ("a: {b: 1\nc: 2}\n", 2, 2, "not closed"),
        ('a: {b: "1" c: 2}\n', 1, 12, "comma"),
        ('a: "x" y', 1, 8, "quote"),
        ("a: 1\nb\n", 2, 1, "colon"),
        ("a:1\nb: 2\n", 2, 2, "colon"),
        ("a: 1\n b: 2\n", 2, 3, "indentation"),
        ("a:\n    b: 1\n  c: 2\n", 3, 3, "indentation"),
        ("- a\nb: 1\n", 2, 1, "indentation"),
        ('a: "\\d"', 1, 5, "backslash"),
        ('{"a": "\\ud83d\\ude00"}', 1, 10, "the character itself"),
        ("a: !x!y z", 1, 4, "quote"),
        ("a: 1\n...\nb: 2\n", 3, 1, "one document"),
    ],
)
def test_a_syntax_error_has_its_place_and_a_hint_a_person_can_use(
    text: str, line: int, column: int, words: str
) -> None:
    problem = only_problem(text)
    assert (problem.code, problem.line, problem.column) == (Code.SYNTAX, line, column)
    assert words in problem.hint


def test_what_was_found_before_a_syntax_error_is_reported_too() -> None:
    root, problems = read_all("a: 1\na: 2\nb: !foo x\nc: [\n")
    assert root is None
    assert [problem.code for problem in problems] == [Code.DUPLICATE_KEY, Code.UNSUPPORTED_YAML, Code.SYNTAX]


def test_a_faulty_value_is_marked_so_that_nobody_reports_it_twice() -> None:
    root, _ = read_all("a: [!foo x, *nope, '${NOPE}', !!int x, 1]")
    assert root is not None
    items = find(root, ["a"])
    assert isinstance(items, SequenceNode)
    assert [node.faulty for node in items.items] == [True, True, True, True, False]
