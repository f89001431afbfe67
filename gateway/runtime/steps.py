"""The steps of a route as the daemon runs them: a KeyboardInterrupt is one more thing that a step may raise.

The daemon handles SIGINT itself, so nobody but a component can have raised it; let through, it would end the process.
"""

from __future__ import annotations

from typing import Any

from ..event import Event
from ..routing import run as pure
from ..routing.route import CompiledRoute
from ..routing.run import Result, StepInterrupted, Suspended, failed_step


def run(route: CompiledRoute, event: Event) -> Result:
    """Run `event` through every step, or up to the first that has to be waited for."""
    try:
        return pure.run(route, event)
    except StepInterrupted as error:
        return failed_step(error.step, error.__cause__ or error)


def resume(route: CompiledRoute, paused: Suspended, value: Any) -> Result:
    """Go on with what the suspended step answered."""
    try:
        return pure.resume(route, paused, value)
    except StepInterrupted as error:
        return failed_step(error.step, error.__cause__ or error)
