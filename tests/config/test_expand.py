"""`${...}` in values: what it becomes, how that is typed, what is refused, and that no secret is ever shown."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.expand import Expander
from gateway.config.include import LoadedTree, load_text
from gateway.config.tree import ScalarNode, find
from gateway.problems import Code, Problem

SECRET = "hunter2-geheim"


def value(text: str, env: dict[str, str] | None = None, file: str = "c.yaml") -> object:
    """The value of `a: <text>`, which must load without a problem."""
    loaded = load_text(f"a: {text}\n", file, env or {})
    assert loaded.problems == []
    return node(loaded).plain()


def node(loaded: LoadedTree) -> ScalarNode:
    assert loaded.root is not None
    found = find(loaded.root, ["a"])
    assert isinstance(found, ScalarNode)
    return found


def only_problem(text: str, env: dict[str, str] | None = None, file: str = "c.yaml") -> Problem:
    loaded = load_text(f"a: {text}\n", file, env or {})
    assert len(loaded.problems) == 1, loaded.problems
    problem = loaded.problems[0]
    assert (problem.code, problem.line, problem.column, problem.path) == (Code.EXPANSION, 1, 4, "a")
    assert node(loaded).faulty
    return problem


@pytest.mark.parametrize(
    ("content", "typed"),
    [
        ("8080", 8080),
        ("true", True),
        ("1.5", 1.5),
        ("no", "no"),
        ("", None),
        ("null", None),
        ("a: b", "a: b"),
        (" 5", " 5"),
    ],
)
def test_a_plain_scalar_is_typed_after_expansion_and_a_quoted_one_stays_a_string(content: str, typed: object) -> None:
    env = {"V": content}
    found = value("${V}", env)
    assert (found, type(found)) == (typed, type(typed))
    for quoted in ('"${V}"', "'${V}'", "|-\n  ${V}", ">-\n  ${V}", "!!str ${V}", "! ${V}"):
        assert value(quoted, env) == content


def test_a_core_tag_types_a_quoted_expansion() -> None:
    """In flow style a placeholder needs quotes; !!int is how it still becomes a number."""
    loaded = load_text('{a: !!int "${PORT}"}', env={"PORT": "8080"})
    assert (loaded.problems, node(loaded).value) == ([], 8080)


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        ("${A}", "x"),
        ("pre-${A}-${_B1}.post", "pre-x-y.post"),
        ("${A}${A}", "xx"),
        ("${UNSET:-default}", "default"),
        ("${EMPTY:-default}", "default"),
        ("${A:-default}", "x"),
        ("${UNSET:-}", None),
        ('"${UNSET:-}"', ""),
        ("${EMPTY}", None),
        ("${UNSET:-nats://h:4222/?x=1}", "nats://h:4222/?x=1"),
        ("${UNSET:-5}", 5),
        ('"${UNSET:-two words}"', "two words"),
        ("$${A}", "${A}"),
        ("$${A} ${A} $${lower} $${", "${A} x ${lower} ${"),
        ("$$${A}", "$${A}"),
        ("$A $ $$ {x}", "$A $ $$ {x}"),
    ],
)
def test_variables_defaults_and_the_literal_form(text: str, expanded: object) -> None:
    assert value(text, {"A": "x", "_B1": "y", "EMPTY": ""}) == expanded


@given(st.text(st.characters(exclude_categories=["Cs"])), st.text(st.characters(exclude_categories=["Cs"])))
def test_what_came_out_of_an_expansion_is_never_expanded_again(first: str, second: str) -> None:
    env = {"A": first + "${B}$${A}${lower}", "B": second}
    assert Expander(env, "").expand("<${A}|${B}>").text == f"<{env['A']}|{env['B']}>"


def test_two_halves_from_two_variables_make_no_placeholder() -> None:
    assert value("'${A}${B}'", {"A": "${", "B": "A}"}) == "${A}"


@pytest.mark.parametrize(
    ("content", "text"),
    [("s\n", "s"), ("s\r\n", "s"), ("s\n\n", "s\n"), ("s", "s"), ("", ""), (" s ", " s "), ("\ufeffs", "s")],
)
def test_file_and_credential_lose_one_trailing_newline(tmp_path: Path, content: str, text: str) -> None:
    (tmp_path / "secret").write_bytes(content.encode())
    env = {"CREDENTIALS_DIRECTORY": str(tmp_path)}
    assert value(f"'${{file:{tmp_path}/secret}}'") == text
    assert value("'${credential:secret}'", env) == text


def test_a_relative_file_is_looked_for_in_the_folder_of_the_config(tmp_path: Path) -> None:
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "k").write_text("${A}\n")
    assert value("${file:keys/k}", file=str(tmp_path / "c.yaml")) == "${A}"


@pytest.mark.parametrize(
    ("text", "words", "hint"),
    [
        ("${NOPE}", "environment variable NOPE is not set", "${NOPE:-...}"),
        ("${lower}", '"${lower}" cannot be expanded', "${LOWER}"),
        ("${Mixed_1}", '"${Mixed_1}" cannot be expanded', "${MIXED_1}"),
        ("${1A}", '"${1A}" cannot be expanded', "${NAME:-default}"),
        ("${}", '"${}" cannot be expanded', "${NAME:-default}"),
        ("${A", '"${A" has no closing }', "${NAME:-default}"),
        ("${", '"${" has no closing }', "$${"),
        ("${A:-x", '"${A..." has no closing }', "${NAME:-default}"),
        ("${A:=x}", '"${A..." cannot be expanded', "${NAME:-default}"),
        ("${A-x}", '"${A..." cannot be expanded', "${NAME:-default}"),
        ("${ A }", '"${..." cannot be expanded', "${NAME:-default}"),
        ("${file:}", '"${file..." cannot be expanded', "${file:PATH}"),
        ("${vault:x}", '"${vault..." cannot be expanded', "${credential:NAME}"),
        ("${NOPE:-${A}}", "a ${...} inside another is not expanded", "plain text"),
        ("${file:${A}}", "a ${...} inside another is not expanded", "plain text"),
        ("${file:nope}", 'file "nope" cannot be read: No such file or directory', "looked for at /"),
        ("${file:/}", 'file "/" is a folder', "name a file"),
        ('"${file:x\\0}"', 'file "x\\u0000" cannot be read', ""),
        ("${file:/dev/zero}", 'file "/dev/zero" is larger than 16 MiB', ""),
        ("${credential:nope}", 'credential "nope" cannot be read', "looked for at /"),
        ("${credential:../x}", 'credential "../x" is not a name', "without folders"),
        ("${credential:/etc/passwd}", 'credential "/etc/passwd" is not a name', "without folders"),
        ("${credential:..}", 'credential ".." is not a name', "without folders"),
        ("${UNDECODED}", "environment variable UNDECODED is not UTF-8 text", "UTF-8"),
        ("${UNDECODED:-x}", "environment variable UNDECODED is not UTF-8 text", "UTF-8"),
    ],
)
def test_what_cannot_be_expanded_is_an_error_at_the_value(tmp_path: Path, text: str, words: str, hint: str) -> None:
    env = {"A": "x", "UNDECODED": "\udcff", "CREDENTIALS_DIRECTORY": str(tmp_path)}
    problem = only_problem(text, env)
    assert problem.text.startswith(words)
    assert hint in problem.hint


def test_a_credential_without_systemd_is_an_error_that_names_the_setting() -> None:
    for env in ({}, {"CREDENTIALS_DIRECTORY": ""}):
        problem = only_problem("${credential:nats}", env)
        assert "$CREDENTIALS_DIRECTORY is not set" in problem.text
        assert "LoadCredential=nats:" in problem.hint


def test_every_fault_of_one_value_is_reported() -> None:
    loaded = load_text("a: ${X} ${y} ${file:nope}\nb: ${Z}\n", env={})
    assert [(problem.line, problem.code) for problem in loaded.problems] == [(1, "expansion")] * 3 + [(2, "expansion")]


def test_keys_are_never_expanded() -> None:
    loaded = load_text("b:\n  ${A}: 1\n", "c.yaml", {"A": SECRET})
    problem = loaded.problems[0]
    assert (len(loaded.problems), problem.code, problem.line, problem.column) == (1, Code.EXPANSION, 2, 3)
    assert SECRET not in repr(loaded)


def test_comments_are_not_expanded() -> None:
    assert load_text("# ${lower}\na: 1 # ${\n", env={}).problems == []


def test_only_nodes_that_took_part_in_an_expansion_are_tainted() -> None:
    loaded = load_text("a: ${A}\nb: $${A}\nc: [x, '${A:-x}']\nd: {e: [1]}\n", env={"A": "1"})
    assert loaded.root is not None
    paths: list[list[str | int]] = [["a"], ["b"], ["c"], ["c", 0], ["c", 1], ["d"], []]
    tainted = [find(loaded.root, path).tainted for path in paths]
    assert tainted == [True, False, True, False, True, False, True]
    assert node(loaded).text == "${A}"


def test_an_aliased_value_is_expanded_and_reported_once() -> None:
    loaded = load_text("a: &a ${NOPE}\nb: *a\nc: *a\n", env={})
    assert len(loaded.problems) == 1


@pytest.mark.parametrize(
    "text",
    [
        "a: ${S}", "a: '${S}'", "a: !!int ${S}", "a: !!bool '${S}'", "a: !foo ${S}", "a: ${S}\na: ${S}", "${S}: ${S}",
        "? ${S}\n: [", "a: &x ${S}\nb: *x\nc: *y", "a: ${S} ${nope}", "include: ${S}", "include: [['${S}']]",
        "include: {x: '${S}'}", "routes: ${S}", "- ${S}", "${S}", "a: ${N}", "a: !!null ${N}", "a: ${file:FILE}",
        "a: !!int ${file:FILE}", "a: ${credential:FILE}", "a: ${LATIN}", "a: ${file:LATIN}", "a: ${x:-hunter2-geheim}",
        "a: ${X-hunter2-geheim}", "a: ${X:=hunter2-geheim", "a: ${A:-${B:-hunter2-geheim}}", "a: ${X hunter2-geheim}",
        "a: [${X:-hunter2-geheim}]",
    ],
)  # fmt: skip
def test_no_problem_and_no_repr_shows_a_secret(tmp_path: Path, text: str) -> None:
    """Neither what an expansion gave, nor a default, nor what a file holds that is no text."""
    (tmp_path / "FILE").write_text(SECRET)
    (tmp_path / "LATIN").write_bytes(SECRET.encode() + b"\xe9")
    digits = "7" * 5000
    env = {"S": SECRET, "N": digits, "LATIN": SECRET + "\udce9", "CREDENTIALS_DIRECTORY": str(tmp_path)}
    loaded = load_text(text, os.path.join(tmp_path, "c.yaml"), env)
    shown = (
        "".join(map(str, loaded.problems))
        + repr(loaded)
        + repr(Expander(env, ""))
        + repr(Expander(env, "").expand("${S}"))
    )
    assert SECRET not in shown
    assert digits not in shown
    assert "geheim" not in shown
