"""Filters `dedupe`, and the events they judge."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any

from gateway.components.filters.dedupe import Dedupe
from gateway.event import Event, Outcome
from gateway.values import Duration
from tests.unit.build import make_event

PUBLISHED = Outcome.PUBLISHED
NOT_PUBLISHED = [Outcome.FILTERED, Outcome.DROPPED, Outcome.DEAD_LETTERED]


def step_of(window: str = "10s", **config: Any) -> Dedupe:
    """A filter that has seen nothing yet."""
    made = Dedupe(
        Dedupe.Config(key="k", window=Duration.parse(window), **config),
        SimpleNamespace(log=logging.getLogger("test.dedupe")),  # type: ignore[arg-type]
    )
    made.prepare()
    return made


def event(sequence: int, key: Any = "a", deliveries: int = 1, at: float | None = None) -> Event:
    """A message; one is stored each second unless `at` says otherwise."""
    body = {} if key is None else {"k": key}
    return make_event(body, sequence=sequence, deliveries=deliveries, after=float(sequence if at is None else at))
