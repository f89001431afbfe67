"""A KeyboardInterrupt out of a step is one more thing that a step may raise.

The daemon handles SIGINT itself, so nobody but a component can have raised it; let through, it would end the process.
"""

from __future__ import annotations

from typing import Any

from ..routing import run as pure
from ..routing.route import CompiledRoute
from ..routing.run import Again, Failed, Result, StepInterrupted, Suspended, failed_step


def interrupted(error: StepInterrupted) -> Failed | Again:
    """What an interrupted step means for its event."""
    return failed_step(error.step, error.__cause__ or error)


def resume(route: CompiledRoute, paused: Suspended, value: Any) -> Result:
    """Go on with what the suspended step answered."""
    try:
        return pure.resume(route, paused, value)
    except StepInterrupted as error:
        return interrupted(error)
