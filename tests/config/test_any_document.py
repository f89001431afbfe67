"""Whatever stands in a config: no traceback, every problem has a place in the text, and no secret is printed."""

from __future__ import annotations

import copy
import json
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.config.effective import effective_yaml
from gateway.config.loader import examine_text
from gateway.routing.compile import compile_config

from .samples import acme

REGISTRY = acme()
ENV = {"PW": "hunter2"}

BASE: dict[str, Any] = {
    "name": "shop",
    "nats": {"servers": ["nats://a:4222"], "user": "me", "password": "x", "tls": {"ca": "a"}},
    "http": {"listen": "127.0.0.1:1"},
    "log": {"level": "info", "loggers": {"a": "debug"}},
    "plugins": {"disable": [], "only": None, "settings": {"acme": None}},
    "streams": [{"name": "A", "subjects": ["a.>"], "max-age": "7d", "max-bytes": "1GiB"}],
    "defaults": {"retry": {"attempts": 3}, "codec": {"rot13": {"turns": 1}}, "filters": ["pass"]},
    "routes": [
        {
            "name": "one",
            "source": {"stream": "A", "subjects": ["a.b"], "start": {"sequence": 1}},
            "filters": ["pass", {"above": {"path": "a", "limit": 2}}, {"pattern": {"a": [{"prefix": "b"}]}}],
            "transforms": [{"strip": ["a"]}, {"set": {"a": "{b}"}}],
            "targets": [{"subject": "b.{c}", "headers": {"X": "{d}"}, "codec": "raw"}],
            "dead-letter": {"subject": "dlq"},
            "rate": "5/s",
        },
        {"name": "two", "source": {"stream": "A", "subjects": ["a.c"]}, "targets": [{"subject": "x"}]},
    ],
}

PLAIN = [
    "",
    "a",
    "a.b",
    "a..b",
    "*",
    ">",
    "$id",
    "5s",
    "1/s",
    "off",
    "pass",
    "above",
    "acme/pass",
    "name",
    "strict",
    "A",
]
ODD = [
    "{",
    "{a}",
    "{$x}",
    "${PW}",
    "x${PW}",
    "${NOPE}",
    "$${a}",
    "Nats-X",
    "\u2028",
    "é😀",
    "json",
    "one",
    "\n",
    "when",
]
WORDS = st.sampled_from([*PLAIN, *ODD])
KEYS = st.one_of(WORDS, st.sampled_from(["path", "subject", "subjects", "codec", "key", "sequence", "time", "prefix"]))
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(-2, 10**30), st.floats(allow_nan=False), WORDS)
JUNK = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3), max_leaves=6
)


def places(node: Any) -> list[tuple[Any, Any]]:
    """Every container with every key or index of it."""
    keys = list(node) if isinstance(node, dict) else list(range(len(node))) if isinstance(node, list) else []
    return [(node, key) for key in keys] + [found for key in keys for found in places(node[key])]


@st.composite
def documents(draw: st.DrawFn) -> str:
    """A good config with one to four things replaced, added or taken away."""
    document = copy.deepcopy(BASE)
    for _ in range(draw(st.integers(1, 4))):
        found = places(document)
        if not found:
            break
        container, key = draw(st.sampled_from(found))
        match draw(st.sampled_from(["replace", "remove", "add"])):
            case "replace":
                container[key] = draw(JUNK)
            case "remove":
                del container[key]
            case _ if isinstance(container, dict):
                container[draw(KEYS)] = draw(JUNK)
            case _:
                container.insert(key, draw(JUNK))
    return json.dumps(document, indent=draw(st.sampled_from([None, 1])), ensure_ascii=False)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(documents())
def test_any_document_is_a_config_or_has_problems_with_places(text: str) -> None:
    found = examine_text(text, "c.yaml", ENV, REGISTRY)
    _, more = compile_config(found.draft, REGISTRY)
    problems = found.tidy(more)
    lines = text.splitlines() if "\u2028" not in text else text.split("\n")
    for problem in problems:
        assert problem.file == "c.yaml"
        assert 1 <= problem.line <= len(lines)
        assert 1 <= problem.column <= len(lines[problem.line - 1]) + 1
        assert problem.text
        assert "hunter2" not in str(problem)
        assert str(problem).count("\n") == bool(problem.hint)
    if any(
        problem.code not in ("plugin", "ambiguous-component") for problem in found.problems if not problem.is_warning
    ):
        assert found.config is None
    else:
        assert found.config is not None
        assert "hunter2" not in effective_yaml(found)
