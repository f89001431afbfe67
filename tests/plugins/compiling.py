"""Compile a route from plain data, with a plugin's components in it."""

from __future__ import annotations

import json
from typing import Any

from gateway.config.loader import examine_text
from gateway.registry import Registry
from gateway.routing.compile import compile_config
from gateway.routing.route import CompiledRoute

TOP_LEVEL = frozenset({"name", "nats", "http", "log", "drain", "max-hops", "plugins", "streams", "defaults", "routes"})


def compiled(fragment: dict[str, Any], registry: Registry) -> tuple[list[CompiledRoute], list[str]]:
    """The routes of a config and its problems as text. Fields of a route are put into a route of their own."""
    fields = {key: value for key, value in fragment.items() if key not in TOP_LEVEL}
    config = {key: value for key, value in fragment.items() if key in TOP_LEVEL}
    if "routes" not in config:
        base = {
            "name": "r",
            "source": {"stream": "IN", "subjects": ["in.>"]},
            "targets": [{"subject": "out.it"}],
        }
        config["routes"] = [{**base, **fields}]
    loaded = examine_text(json.dumps(config), env={}, registry=registry)
    if loaded.config is None:
        return [], [str(problem) for problem in loaded.problems]
    routes, problems = compile_config(loaded.config, registry)
    return routes, [str(problem) for problem in problems]
