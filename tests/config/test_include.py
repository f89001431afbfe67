"""Loading: the main file, the files it includes, one tree with the places of each, and one digest."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gateway.config.include import LoadedTree, load_text, load_tree
from gateway.config.tree import MappingNode, find, find_key
from gateway.problems import Code, Problem


def write(folder: Path, **files: str) -> str:
    """Write files (`__` in a name is a slash, `_` a dot) and name the main one, `gateway_yaml`."""
    for name, text in files.items():
        path = folder / name.replace("__", "/").replace("_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())
    return str(folder / "gateway.yaml")


def loaded_without_problem(path: str | os.PathLike[str], env: dict[str, str] | None = None) -> LoadedTree:
    loaded = load_tree(path, env or {})
    assert loaded.problems == []
    assert loaded.complete
    assert loaded.root is not None
    return loaded


def only_problem(loaded: LoadedTree) -> Problem:
    assert len(loaded.problems) == 1, loaded.problems
    return loaded.problems[0]


def test_lists_append_in_the_order_of_globs_and_sorted_names(tmp_path: Path) -> None:
    main = write(
        tmp_path,
        gateway_yaml="name: g\nroutes: [{name: main}]\ninclude: [z/*.yaml, conf.d/*.yaml]\nstreams: [{name: S}]\n",
        conf_d__b_yaml="routes: [{name: b}]\nstreams: [{name: B}]\n",
        conf_d__a_yaml="routes: [{name: a1}, {name: a2}]\n",
        z__z_yaml="streams: [{name: Z}]\n",
    )
    loaded = loaded_without_problem(main)
    assert loaded.root is not None
    assert loaded.root.plain() == {
        "name": "g",
        "routes": [{"name": "main"}, {"name": "a1"}, {"name": "a2"}, {"name": "b"}],
        "streams": [{"name": "S"}, {"name": "Z"}, {"name": "B"}],
    }
    assert [os.path.relpath(name, tmp_path) for name, _ in loaded.files] == [
        "gateway.yaml", "z/z.yaml", "conf.d/a.yaml", "conf.d/b.yaml",
    ]  # fmt: skip


def test_nodes_keep_the_place_in_their_own_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names are written as the user gave them: a relative one stays relative."""
    write(tmp_path / "config", gateway_yaml="name: g\ninclude: r/*.yaml\n", r__a_yaml="\nroutes:\n  - name: a\n")
    monkeypatch.chdir(tmp_path)
    root = loaded_without_problem("config/gateway.yaml").root
    assert root is not None
    name = find(root, ["routes", 0, "name"])
    assert (name.file, name.line, name.column) == ("config/r/a.yaml", 3, 11)
    key = find_key(root, ["routes"])
    assert (key.file, key.line, key.column) == ("config/gateway.yaml", 2, 1)
    monkeypatch.chdir(tmp_path / "config")
    assert load_tree(Path("gateway.yaml"), {}).files[1][0] == "r/a.yaml"


@pytest.mark.parametrize("routes", ["routes:\n", "routes: []\n", ""])
def test_a_main_file_without_routes_takes_those_of_its_includes(tmp_path: Path, routes: str) -> None:
    main = write(tmp_path, gateway_yaml=routes + "include: a.yaml\n", a_yaml="routes: [{name: a}]\nstreams:\n")
    root = loaded_without_problem(main).root
    assert root is not None
    assert root.plain() == {"routes": [{"name": "a"}]}


def test_a_section_that_is_no_list_is_left_for_the_pass_that_knows_its_type(tmp_path: Path) -> None:
    root = loaded_without_problem(
        write(tmp_path, gateway_yaml="routes: {a: 1}\ninclude: a.yaml\n", a_yaml="routes: [x]\n")
    ).root
    assert root is not None
    assert root.plain() == {"routes": {"a": 1}}


def test_included_files_expand_with_their_own_folder_and_globs_expand_too(tmp_path: Path) -> None:
    main = write(
        tmp_path,
        gateway_yaml="include: ${DIR:-conf}/*.yaml\n",
        conf__a_yaml="routes: ['${file:key}', '${A}']\n",
        conf__key="k\n",
    )
    root = loaded_without_problem(main, {"A": "x"}).root
    assert root is not None
    assert root.plain() == {"routes": ["k", "x"]}


def test_a_file_that_two_globs_match_is_included_once(tmp_path: Path) -> None:
    main = write(
        tmp_path, gateway_yaml="include: ['c/*.yaml', c/a.yaml, './c/../c/a*', l/*]\n", c__a_yaml="routes: [a]\n"
    )
    (tmp_path / "l").symlink_to(tmp_path / "c")
    root = loaded_without_problem(main).root
    assert root is not None
    assert root.plain() == {"routes": ["a"]}


def test_a_folder_whose_name_looks_like_a_glob_is_a_folder(tmp_path: Path) -> None:
    main = write(tmp_path / "a[b]*", gateway_yaml="include: '*.yml'\n", a_yml="routes: [a]\n")
    assert len(loaded_without_problem(main).files) == 2


@pytest.mark.parametrize("empty", ["", "# nothing\n", "---\n", "{}\n", "routes:\n"])
def test_an_empty_included_file_adds_nothing(tmp_path: Path, empty: str) -> None:
    main = write(tmp_path, gateway_yaml="routes: [m]\ninclude: a.yaml\n", a_yaml=empty)
    root = loaded_without_problem(main).root
    assert root is not None
    assert root.plain() == {"routes": ["m"]}


@pytest.mark.parametrize("glob", ["nope.yaml", "nope/*.yaml", "'*.nope'", "''", '"x\\0/*"', "'['"])
def test_a_glob_without_a_match_is_an_error_at_the_glob(tmp_path: Path, glob: str) -> None:
    main = write(tmp_path, gateway_yaml=f"routes: []\ninclude:\n  - {glob}\n")
    problem = only_problem(load_tree(main, {}))
    assert (problem.code, problem.file, problem.line, problem.column) == (Code.INCLUDE, main, 3, 5)
    assert "matches no file" in problem.text


@pytest.mark.parametrize(("include", "column"), [("5", 10), ("~", 10), ("{a: b}", 10), ("[a.yaml, [b]]", 19)])
def test_an_include_that_is_no_glob_is_an_error(tmp_path: Path, include: str, column: int) -> None:
    problem = only_problem(load_tree(write(tmp_path, gateway_yaml=f"include: {include}\n", a_yaml=""), {}))
    assert (problem.code, problem.line, problem.column) == (Code.WRONG_TYPE, 1, column)


def test_a_glob_that_matches_the_main_file_is_an_error(tmp_path: Path) -> None:
    main = write(tmp_path, gateway_yaml="include: '*.yaml'\n", z_yaml="routes: [z]\n")
    loaded = load_tree(main, {})
    problem = only_problem(loaded)
    assert (problem.code, problem.line, problem.column) == (Code.INCLUDE, 1, 10)
    assert "matches this file itself" in problem.text
    assert loaded.root is not None
    assert loaded.root.plain() == {"routes": ["z"]}


def test_an_included_file_that_includes_is_an_error_at_its_key(tmp_path: Path) -> None:
    main = write(
        tmp_path, gateway_yaml="include: a.yaml\n", a_yaml="routes: []\ninclude: b.yaml\n", b_yaml="routes: [b]\n"
    )
    problem = only_problem(load_tree(main, {}))
    assert (problem.code, os.path.basename(problem.file), problem.line, problem.column) == (
        Code.INCLUDE,
        "a.yaml",
        2,
        1,
    )


def test_an_included_file_holds_routes_and_streams_only(tmp_path: Path) -> None:
    main = write(tmp_path, gateway_yaml="include: a.yaml\n", a_yaml="name: x\nroutes: [a]\nrotues: []\n")
    loaded = load_tree(main, {})
    assert [(problem.code, problem.line, problem.path) for problem in loaded.problems] == [
        (Code.INCLUDE, 1, "name"),
        (Code.INCLUDE, 3, "rotues"),
    ]
    assert loaded.root is not None
    assert loaded.root.plain() == {"routes": ["a"]}


@pytest.mark.parametrize(
    ("text", "code"),
    [("[a]", Code.INCLUDE), ("x", Code.INCLUDE), ("routes: {a: b}", Code.WRONG_TYPE), ("streams: x", Code.WRONG_TYPE)],
)
def test_an_included_file_of_another_shape_is_an_error(tmp_path: Path, text: str, code: Code) -> None:
    problem = only_problem(load_tree(write(tmp_path, gateway_yaml="include: a.yaml\n", a_yaml=text), {}))
    assert (problem.code, os.path.basename(problem.file), problem.line) == (code, "a.yaml", 1)


def test_the_problems_of_all_files_are_reported(tmp_path: Path) -> None:
    main = write(
        tmp_path,
        gateway_yaml="a: 1\na: 2\ninclude: '?.yaml'\n",
        b_yaml="routes: [",
        c_yaml="routes: [x]\nroutes: []\n",
        d_yaml="x: 1",
    )
    (tmp_path / "e.yaml").mkdir()
    (tmp_path / "f.yaml").symlink_to("nowhere")
    (tmp_path / "g.yaml").write_bytes(b"a: \xff")
    loaded = load_tree(main, {})
    assert [(os.path.basename(problem.file), problem.code) for problem in loaded.problems] == [
        ("gateway.yaml", Code.DUPLICATE_KEY),
        ("b.yaml", Code.SYNTAX),
        ("c.yaml", Code.DUPLICATE_KEY),
        ("d.yaml", Code.INCLUDE),
        ("e.yaml", Code.UNREADABLE),
        ("f.yaml", Code.UNREADABLE),
        ("g.yaml", Code.UNREADABLE),
    ]
    assert not loaded.complete
    assert loaded.root is not None
    assert find(loaded.root, ["routes"]).plain() == ["x"]


@pytest.mark.parametrize("included", ["routes: [", "routes: ${NOPE}"])
def test_a_tree_with_something_missing_is_not_complete(tmp_path: Path, included: str) -> None:
    """So that a later pass does not say there is no route when the routes stand in a broken file."""
    assert not load_tree(write(tmp_path, gateway_yaml="include: a.yaml\n", a_yaml=included), {}).complete
    assert not load_text("include: ${NOPE}\n", env={}).complete
    assert not load_text("include: nope.yaml\n", env={}).complete
    assert not load_text("a: [", env={}).complete
    assert load_text("a: 1\na: 2\n", env={}).complete


@pytest.mark.parametrize(
    ("content", "line", "column", "words"),
    [
        (b"a: 1\nb\xc3\xa9: \xe9", 2, 5, "is not UTF-8 text"),
        ("a: 1".encode("utf-16"), 1, 1, "is UTF-16 text"),
        ("a: 1".encode("utf-16-be"), 1, 1, "U+0000"),
        (b"\x7fELF\0\0", 1, 1, "U+007F"),
        (b"a: 1\n\xed\xa0\x80", 2, 1, "is not UTF-8 text"),
    ],
)
def test_a_file_that_is_not_utf_8_is_a_problem_with_a_place(
    tmp_path: Path, content: bytes, line: int, column: int, words: str
) -> None:
    path = tmp_path / "c.yaml"
    path.write_bytes(content)
    problem = only_problem(load_tree(path, {}))
    assert (problem.line, problem.column) == (line, column)
    assert words in problem.text


def test_a_byte_order_mark_is_not_part_of_the_first_column(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_bytes(b"\xef\xbb\xbfa: 1\n")
    root = loaded_without_problem(path).root
    assert isinstance(root, MappingNode)
    assert root.plain() == {"a": 1}
    assert (root.line, root.column) == (1, 1)


@pytest.mark.parametrize(
    ("name", "words"),
    [("nope.yaml", "No such file"), (".", "is a folder"), ("x\0", "null byte"), ("/dev/zero", "larger")],
)
def test_a_main_file_that_cannot_be_read_is_a_problem_at_line_1(tmp_path: Path, name: str, words: str) -> None:
    path = str(tmp_path / name)
    loaded = load_tree(path, {})
    problem = only_problem(loaded)
    assert (problem.file, problem.code, problem.line, problem.column) == (path, Code.UNREADABLE, 1, 1)
    assert words in problem.text
    assert (loaded.root, loaded.complete, loaded.files) == (None, False, ())


def test_an_empty_document_is_a_null_at_the_first_line(tmp_path: Path) -> None:
    root = loaded_without_problem(write(tmp_path, gateway_yaml="\n# only a comment\n")).root
    assert root is not None
    assert (root.plain(), root.line, root.column) == (None, 1, 1)


def test_the_environment_of_the_process_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_TEST_VALUE", "7")
    root = load_text("a: ${GATEWAY_TEST_VALUE}").root
    assert root is not None
    assert root.plain() == {"a": 7}


# The digest


def digest(folder: Path, **files: str) -> str:
    return load_tree(write(folder, **files), {"A": "1"}).digest


def test_the_digest_is_over_the_text_before_expansion(tmp_path: Path) -> None:
    main = write(tmp_path, gateway_yaml="a: ${A}\n")
    first, second = load_tree(main, {"A": "1"}), load_tree(main, {"A": "2"})
    assert first.digest == second.digest
    assert (len(first.digest), first.short_digest) == (64, first.digest[:12])
    assert first.digest != digest(tmp_path, gateway_yaml="a: ${B}\n")


def test_replicas_with_the_config_in_different_places_have_one_digest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {"gateway_yaml": "include: c/*.yaml\n", "c__a_yaml": "routes: [a]\n"}
    first = digest(tmp_path / "one", **files)
    assert first == digest(tmp_path / "two", **files)
    (tmp_path / "one" / "gateway.yaml").rename(tmp_path / "one" / "other.yaml")
    monkeypatch.chdir(tmp_path / "one")
    assert load_tree("other.yaml", {}).digest == first


def test_moving_text_between_files_or_renaming_one_changes_the_digest(tmp_path: Path) -> None:
    digests = [
        digest(tmp_path / "1", gateway_yaml="include: '?.yml'\n", a_yml="routes: [a]\n# x\n", b_yml="# y\n"),
        digest(tmp_path / "2", gateway_yaml="include: '?.yml'\n", a_yml="routes: [a]\n", b_yml="# x\n# y\n"),
        digest(tmp_path / "3", gateway_yaml="include: '?.yml'\n", a_yml="routes: [a]\n# x\n", c_yml="# y\n"),
        digest(tmp_path / "4", gateway_yaml="include: '?.yml'\n", a_yml="routes: [a]\n# x\n# y\n"),
        digest(tmp_path / "6", gateway_yaml="include: r*\n", r="#\n"),
        digest(tmp_path / "7", gateway_yaml="include: r*\n", **{"r#": "\n"}),
        digest(tmp_path / "5", gateway_yaml="include: '?.yml'\n# more\n", a_yml="routes: [a]\n# x\n", b_yml="# y\n"),
    ]
    assert len(set(digests)) == len(digests)
