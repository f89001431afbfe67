"""Who blocks the event loop is told, whatever the component is like."""

from __future__ import annotations

import logging
import sys
from typing import Any

import pytest

from gateway import Event, Filter
from gateway.observe.blocking import BlockWatch, culprit


class Proxy:
    """Stands in for something else, and asks it what it is."""

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        raise RuntimeError("unbound")

    def call(self, watch: BlockWatch) -> None:
        found = culprit(sys._getframe())
        assert found is not None
        watch._report(found, 0.5)


class Homeless(Filter, name="homeless"):
    """Has an __init__ of its own, and no context."""

    def __init__(self, watch: BlockWatch) -> None:
        self.watch = watch

    def accepts(self, event: Event) -> bool:
        Proxy().call(self.watch)
        return True


def test_a_component_without_a_context_is_named_all_the_same(caplog: pytest.LogCaptureFixture) -> None:
    """What the watching thread raised would end it, and with it the watch over all others."""
    caplog.set_level(logging.WARNING, "gateway.plugins")
    watch = BlockWatch(lambda component: "acme")
    Homeless(watch).accepts(None)  # type: ignore[arg-type]
    (said,) = [record.__dict__ for record in caplog.records]
    assert (said["plugin"], said["route"], said["component"]) == ("acme", "", "homeless")
