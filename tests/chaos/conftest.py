"""Fixtures of the chaos tests."""

from __future__ import annotations

import pytest

from tests.chaos.say import Say


@pytest.fixture
def say(request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]) -> Say:
    """Writes a line to the terminal, whatever is captured: seeds and figures are worth seeing on good days too."""
    reporter = request.config.pluginmanager.get_plugin("terminalreporter")

    def line(text: str) -> None:
        assert reporter is not None
        with capsys.disabled():
            reporter.write_line(f"\n{text}")

    return line
