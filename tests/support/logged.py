"""What a gateway in the test's own process has logged."""

from __future__ import annotations

from typing import Any

import pytest


def logged(caplog: pytest.LogCaptureFixture, event: str) -> list[Any]:
    """The records with this `event`; their extra fields are attributes."""
    return [record for record in caplog.records if getattr(record, "event", "") == event]
