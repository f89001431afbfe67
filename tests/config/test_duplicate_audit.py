"""Two equal audits of one route would write two chains nobody could tell apart."""

from __future__ import annotations

import json

from gateway.config.loader import examine_text
from gateway.routing.compile import compile_config


def test_the_same_audit_twice_in_a_route_is_a_problem() -> None:
    audit = {"stream": {"subject": "audit.{$route}"}}
    route = {"name": "r", "source": {"stream": "IN", "subjects": ["in"]}, "targets": [{"subject": "out"}]}
    for other, problems in ((audit, 1), ({"stream": {"subject": "other"}}, 0), ({"log": None}, 0)):
        loaded = examine_text(json.dumps({"routes": [{**route, "audits": [audit, other]}]}))
        _, found = compile_config(loaded.draft, loaded.registry)
        assert ["the same audit stands here twice" in str(problem) for problem in found] == [True] * problems
