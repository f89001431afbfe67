"""`gateway check --live`: do the servers hold what the config needs?"""

from __future__ import annotations

import asyncio

from ..config import model
from ..config.loader import Loaded
from ..config.report import problem_at
from ..config.tree import find
from ..errors import ServerUnreachable
from ..jetstream.api import ApiError, ApiUnavailable
from ..jetstream.inspection import Finding, Inspection
from ..jetstream.oneshot import connected
from ..problems import Code, Problem, Severity
from ..routing.compile import compile_config
from ..routing.route import CompiledRoute
from .asking import quiet


def ask(loaded: Loaded, patience: float) -> list[Problem]:
    """Connect and look; raises ServerUnreachable when nobody answers, or no JetStream does."""
    config = loaded.config
    assert config is not None, "only a good config is asked about"
    routes, _ = compile_config(config, loaded.registry)
    quiet()
    found = asyncio.run(_look(config, routes, patience))
    return [_problem(loaded, finding) for finding in found]


async def _look(config: model.Config, routes: list[CompiledRoute], patience: float) -> list[Finding]:
    async with connected(config.nats, f"{config.name} check", patience) as link:
        try:
            return [finding async for finding in Inspection(link.api, config, routes).findings()]
        except (ApiError, ApiUnavailable) as error:
            raise ServerUnreachable(str(error)) from error


def _problem(loaded: Loaded, finding: Finding) -> Problem:
    """At the value it is about; at the mapping around it where the config leaves that to its default."""
    place = find(loaded.effective_root, finding.path)
    severity = Severity.WARNING if finding.warning else Severity.ERROR
    return problem_at(place, finding.path, Code.SERVER, finding.text, finding.hint, severity)
