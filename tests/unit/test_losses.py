"""What is told of best-effort audits that fail: their end, once, with what was lost."""

from __future__ import annotations

import pytest

from gateway.runtime import losses
from gateway.runtime.losses import Losses
from tests.support.eventually import eventually
from tests.support.logged import logged


async def test_a_sink_that_takes_every_other_batch_has_not_healed(caplog: pytest.LogCaptureFixture) -> None:
    """A pair of lines for every batch would be thousands a second; it counts as one failing, which may end."""
    caplog.set_level("INFO")
    lost = Losses("r")
    for _ in range(100):
        lost.failed("audit-0-file", 5)
        lost.stored("audit-0-file")
    assert logged(caplog, "audit.healed") == []
    lost.close()
    [line] = logged(caplog, "audit.healed")
    assert (line.route, line.step, line.lost) == ("r", "audit-0-file", 500)
    assert line.getMessage() == "audit-0-file takes records again; lost meanwhile: 500"


async def test_sinks_heal_each_by_itself_and_one_that_has_not_is_not_said_to(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(losses, "CALM", 0.01)
    caplog.set_level("INFO")
    lost = Losses("r")
    lost.stored("never-failed")
    lost.failed("slow", 0)
    lost.failed("broken", 2)
    lost.stored("broken")
    lost.failed("broken", 1)
    lost.stored("slow")
    await eventually(lambda: len(logged(caplog, "audit.healed")) == 1)
    lost.stored("slow")
    lost.close()
    assert [(line.step, line.lost) for line in logged(caplog, "audit.healed")] == [("slow", 0)]
