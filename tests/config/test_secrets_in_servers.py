"""A password in a server's URL is never shown, however it is written."""

from __future__ import annotations

import pytest

from gateway.config.effective import effective_yaml
from gateway.config.loader import examine_text

ROUTE = "routes: [{name: r, source: {stream: S, subjects: [a]}, targets: [{subject: b}]}]"


@pytest.mark.parametrize("url", ["nats://user:hunter2@h:4222", "NATS://user:hunter2@h", "nats://user:hun@ter2@h"])
def test_the_effective_config_hides_it(url: str) -> None:
    """`gateway config` shows that there is one, not what it is."""
    loaded = examine_text(f"nats: {{servers: ['{url}']}}\n{ROUTE}")
    assert loaded.config is not None, loaded.problems
    shown = effective_yaml(loaded)
    assert "ter2" not in shown
    assert "***@h" in shown


@pytest.mark.parametrize("url", ["nats://user:hunter2@h:4222", "nats://hunter2@h", "${URL}"])
def test_no_repr_shows_it(url: str) -> None:
    """A config ends in a traceback or a debugger's output sooner or later."""
    loaded = examine_text(f"nats: {{servers: ['{url}']}}\n{ROUTE}", env={"URL": "nats://user:hunter2@h"})
    assert loaded.config is not None, loaded.problems
    assert "hunter2" not in repr(loaded) + repr(loaded.config.nats)


def test_a_slash_in_a_password_is_refused_without_showing_it() -> None:
    """It ends the host for every parser of URLs; percent-encoded it would not."""
    loaded = examine_text(f"nats: {{servers: ['nats://user:12/hunter2@h']}}\n{ROUTE}")
    assert loaded.config is None
    assert "hunter2" not in "".join(str(problem) for problem in loaded.problems)


def test_a_hint_does_not_show_it() -> None:
    """A URL where a list belongs is answered with how to write lists, not with the URL."""
    loaded = examine_text(f"nats: {{servers: 'nats://user:hunter2@h:4222'}}\n{ROUTE}")
    assert loaded.config is None
    assert "hunter2" not in "".join(str(problem) for problem in loaded.problems)
