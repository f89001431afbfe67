"""An audit file has one writer: what the lock on it would find out at run, `gateway check` says before."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gateway.config.loader import examine_text
from gateway.problems import Problem


def route(name: str, *paths: Any, **more: Any) -> dict[str, Any]:
    """A route that writes to these audit files; a path may have its settings with it."""
    audits = [{"file": path if isinstance(path, dict) else {"path": path}} for path in paths]
    source = {"stream": "IN", "subjects": ["in"]}
    return {"name": name, "source": source, "targets": [{"subject": "out"}], "audits": audits, **more}


def problems(*routes: dict[str, Any], **more: Any) -> list[Problem]:
    """What is said of a config with these routes."""
    return examine_text(json.dumps({"routes": routes, **more}), env={"PLACE": "s3cret"}).problems


@pytest.mark.parametrize(
    ("routes", "path", "writer"),
    [
        ([route("a", "x.jsonl"), route("b", "x.jsonl")], "routes[1].audits[0].file.path", "routes[0]"),
        ([route("a", "y", "x"), route("b", "./z/../x")], "routes[1].audits[0].file.path", "routes[0]"),
        ([route("a", "{$stream}.jsonl"), route("b", "IN.jsonl")], "routes[1].audits[0].file.path", "routes[0]"),
        ([route("a", "{$gateway}"), route("b", "gateway")], "routes[1].audits[0].file.path", "routes[0]"),
        (
            [route("a", "x", {"path": "x", "rotate": None})],
            "routes[0].audits[1].file.path",
            "another audit of the route",
        ),
    ],
)
def test_a_second_writer_is_refused_at_its_path(routes: list[Any], path: str, writer: str) -> None:
    """However the path is written: at run the route would stay down."""
    [problem] = problems(*routes)
    assert not problem.is_warning
    assert problem.path == path
    assert problem.text.endswith(f"has a writer already: {writer}")
    assert "{$route}" in problem.hint


@pytest.mark.parametrize(
    "routes",
    [
        [route("a", "x-{$route}"), route("b", "x-{$route}")],
        [route("a", "x"), route("b", "y")],
        [route("a", "x"), route("b", "x", enabled=False)],
    ],
)
def test_a_writer_each_is_right(routes: list[Any]) -> None:
    assert problems(*routes) == []


def test_a_file_in_defaults_is_told_once() -> None:
    """At the one place where it can be mended, for any number of routes."""
    plain = [{key: value for key, value in route(name).items() if key != "audits"} for name in "abc"]
    [problem] = problems(*plain, defaults={"audits": [{"file": {"path": "x"}}]})
    assert problem.path == "defaults.audits[0].file.path"
    assert problem.text == f'"{Path("x").absolute()}" has a writer already: routes[0]'


def test_a_path_that_may_be_a_secret_is_not_shown() -> None:
    [problem] = problems(route("a", "${PLACE}"), route("b", "${PLACE}"))
    assert "s3cret" not in str(problem)
    assert problem.text.startswith("the file has a writer")
