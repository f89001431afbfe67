"""`defaults` lie under every route: mappings merge by key, lists replace, null unsets, a route's own value wins."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.config import model
from gateway.config.effective import effective
from gateway.config.loader import Loaded, examine_text
from gateway.registry import Registry

from .samples import acme, marked, said

HEAD = "routes:\n  - name: one\n    source: {stream: A, subjects: [a]}\n    targets: [{subject: x}]\n"
TWO = "  - name: two\n    source: {stream: B, subjects: [b]}\n    targets: [{subject: x}]\n"


@pytest.fixture(scope="module")
def registry() -> Registry:
    """The built-ins and the plugin acme."""
    return acme()


def loaded(text: str, registry: Registry) -> Loaded:
    return examine_text(text, "c.yaml", {"PW": "hunter2"}, registry)


def route(default: str, own: str, registry: Registry) -> model.Route:
    found = loaded(f"defaults: {default}\n{HEAD}{''.join(f'    {line}' for line in own.splitlines(True))}", registry)
    assert [problem for problem in found.problems if not problem.is_warning] == []
    assert found.config is not None
    return found.config.routes[0]


@pytest.mark.parametrize(
    ("default", "own", "field", "value"),
    [
        ("{rate: 5/s}", "", "rate", 5.0),
        ("{rate: 5/s}", "rate: 6/s", "rate", 6.0),
        ("{rate: 5/s}", "rate: null", "rate", None),
        ("{rate: null}", "", "rate", None),
        ("{max-in-flight: null}", "", "max_in_flight", 1024),
        ("{max-in-flight: 7}", "max-in-flight: null", "max_in_flight", 1024),
        ("{}", "max-in-flight: null", "max_in_flight", 1024),
        ("{enabled: false}", "", "enabled", False),
        ("{retry: {attempts: 9, max: 9s}}", "retry: {attempts: 2}", "retry", model.Retry(attempts=2, max=9.0)),
        ("{retry: {attempts: 9, max: 9s}}", "retry: {attempts: null}", "retry", model.Retry(max=9.0)),
        ("{retry: {attempts: 9}}", "retry: null", "retry", model.Retry()),
        ("{retry: null}", "retry: {attempts: 9}", "retry", model.Retry(attempts=9)),
        ("{}", "retry: {attempts: null, max: 9s}", "retry", model.Retry(max=9.0)),
        ("{filters: [pass, pass]}", "filters: []", "filters", []),
    ],
)
def test_defaults_and_a_route_merge(default: str, own: str, field: str, value: Any, registry: Registry) -> None:
    assert getattr(route(default, own, registry), field) == value


def test_lists_replace_and_do_not_append(registry: Registry) -> None:
    found = route("{filters: [pass, pass]}", "filters: [above: {path: a}]", registry)
    assert [step.component for step in found.filters] == ["above"]


def test_defaults_may_hold_a_part_of_a_mapping_and_the_route_the_rest(registry: Registry) -> None:
    text = "defaults: {source: {stream: S, ack-wait: 9s}, targets: [{subject: t}]}\n"
    found = loaded(text + "routes: [{name: one, source: {subjects: [a]}}]", registry)
    assert found.problems == []
    assert found.config is not None
    [one] = found.config.routes
    assert (one.source.stream, one.source.ack_wait, one.source.subjects) == ("S", 9.0, ["a"])
    assert one.targets[0].name == "t"


@pytest.mark.parametrize(
    ("default", "own", "codec", "turns"),
    [
        ("{rot13: {turns: 2}}", "", "rot13", 2),
        ("{rot13: {turns: 2, key: k}}", "codec: {rot13: {turns: 3}}", "rot13", 3),
        ("{rot13: {turns: 2}}", "codec: {rot13: {turns: null}}", "rot13", 13),
        ("{rot13: {turns: 2}}", "codec: {rot13: null}", "rot13", 13),
        ("{rot13: {turns: 2}}", "codec: rot13", "rot13", 13),
        ("{json: {strict: true}}", "codec: {rot13: {turns: 3}}", "rot13", 3),
        ("json", "codec: {rot13: {turns: 3}}", "rot13", 3),
    ],
)
def test_another_codec_replaces_the_default_and_the_same_one_merges(
    default: str, own: str, codec: str, turns: int, registry: Registry
) -> None:
    found = route(f"{{codec: {default}}}", own, registry).codec
    assert found is not None
    assert (found.component, found.config.turns) == (codec, turns)
    if "key" in default:
        assert found.config.key == "k"


def test_another_start_replaces_the_default(registry: Registry) -> None:
    found = route("{source: {start: {sequence: 4}}}", "", registry)
    assert found.source.start == model.StartAt(sequence=4)
    text = "defaults: {source: {start: {sequence: 4}}}\n" + HEAD.replace(
        "[a]", "[a], start: {time: 2026-01-01T00:00:00Z}"
    )
    config = loaded(text, registry).config
    assert config is not None
    assert config.routes[0].source.start == model.StartAt(time="2026-01-01T00:00:00Z")


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        ("defaults: «5\n", ["defaults: expected a mapping, found integer (wrong-type)"]),
        ("defaults: {«nope: 1}\n", ["defaults.nope: unknown field (unknown-field)"]),
        (
            "defaults: {retry: {attempts: «0, «atempts: 1}}\n",
            ["defaults.retry.attempts: must be", "defaults.retry.atem"],
        ),
        ("defaults: {timeout: «5}\n", ["defaults.timeout: expected a duration"]),
        ("defaults: {filters: [«nope]}\n", ['defaults.filters[0]: no filter is called "nope"']),
        ("defaults: {filters: [above: {path: «1}]}\n", ["defaults.filters[0].above.path: expected a path"]),
        ("defaults: {filters: [«above]}\n", ['defaults.filters[0]: the field "path" is missing']),
        ("defaults: {codec: {rot13: {turns: «x}}}\n", ["defaults.codec.rot13.turns: expected an integer"]),
        ("defaults: {audits: [«{}]}\n", ["defaults.audits[0]: an audit is one key"]),
        ("defaults: {ordering: {key: «$attempt}}\n", ["defaults.ordering.key: $attempt is no key to order by"]),
        ("defaults: {dead-letter: {subject: «'{id}'}}\n", ["defaults.dead-letter.subject: {id} may not stand here"]),
    ],
)
def test_a_fault_in_a_default_is_reported_once_at_the_default(
    text: str, problems: list[str], registry: Registry
) -> None:
    """However many routes share it."""
    text, places = marked(text)
    found = loaded(text + HEAD + TWO, registry)
    assert found.config is None
    assert [(problem.line, problem.column) for problem in found.problems] == places
    for problem, start in zip(found.problems, problems, strict=True):
        assert said(problem).startswith(start)


def test_a_fault_in_a_default_that_every_route_replaces_is_still_reported(registry: Registry) -> None:
    found = loaded("defaults: {timeout: 5}\n" + HEAD + "    timeout: 5s\n", registry)
    assert [said(problem) for problem in found.problems] == [
        "defaults.timeout: expected a duration, found integer (wrong-type)"
    ]
    found = loaded("defaults: {filters: [above]}\n" + HEAD + "    filters: []\n", registry)
    assert [said(problem) for problem in found.problems] == [
        'defaults.filters[0]: the field "path" is missing (missing-field)'
    ]


def test_what_a_route_adds_to_a_good_default_is_the_route_s_fault(registry: Registry) -> None:
    text, places = marked("defaults: {retry: {attempts: 3}}\n" + HEAD + "    retry: {max: «1}\n")
    [problem] = loaded(text, registry).problems
    assert (problem.line, problem.column) == places[0]
    assert problem.path == "routes[0].retry.max"


def test_a_default_a_check_between_fields_refuses_is_named_as_the_default(registry: Registry) -> None:
    text, places = marked("defaults: {source: {durable: «d}}\n" + HEAD + TWO.replace("B", "A"))
    [problem] = loaded(text, registry).problems
    assert (problem.line, problem.column) == places[0]
    assert problem.path == "defaults.source.durable"


def test_the_effective_config_holds_the_merged_values(registry: Registry) -> None:
    found = effective(loaded("defaults: {retry: {attempts: 9}, codec: raw}\n" + HEAD + TWO, registry))
    assert "defaults" not in found
    assert [one["retry"]["attempts"] for one in found["routes"]] == [9, 9]
    assert [one["codec"] for one in found["routes"]] == ["raw", "raw"]
