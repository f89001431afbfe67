"""Components that remember are told what became of each event; what they raise is no fault of it."""

from __future__ import annotations

import logging

from ..event import Event, Outcome
from ..routing.route import CompiledRoute
from ..routing.run import where

log = logging.getLogger("gateway.route")


def tell_memory(route: CompiledRoute, event: Event, outcome: Outcome) -> None:
    """Tell every step that wants to know."""
    for step in route.steps:
        if step.settled is not None:
            try:
                step.settled(event, outcome)
            except BaseException as error:  # noqa: BLE001 - the event is settled
                # Its type and place only: what it says of itself may be event data.
                log.error(
                    "a component failed to remember: %s",
                    where(error),
                    extra={"event": "component.settled-failed", "route": route.name, "step": step.label},
                )
