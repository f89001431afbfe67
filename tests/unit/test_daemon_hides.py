"""Which secrets the log hides, whatever becomes of reloads."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable
from typing import Any

from gateway.app import ReloadRefused
from gateway.config import model
from gateway.config.reads import Reads
from gateway.config.secrets import secrets_of
from gateway.daemon import Daemon
from gateway.observe import logs
from gateway.registry import Registry
from gateway.values import Secret
from tests.support.running import registry_with


def config_with(token: str) -> model.Config:
    """A config with one secret."""
    return model.Config(nats=model.Nats(token=Secret(token)))


class App:
    """An application that takes over no config."""

    def __init__(self, config: model.Config) -> None:
        self.config = config

    async def reload(self, config: model.Config, registry: Registry) -> dict[str, int]:
        raise ReloadRefused("the name changed")

    def reload_failed(self) -> None: ...


class File:
    """A config with another secret each time it is read."""

    reads = Reads()

    def __init__(self) -> None:
        self.read = 0

    def load(self) -> tuple[model.Config, Registry]:
        self.read += 1
        return config_with(f"refused-{self.read}"), registry_with([])

    def effective(self) -> Callable[[], dict[str, Any]]:
        return dict


async def test_the_secrets_of_the_running_config_stay_hidden_however_many_reloads_are_refused(
    json_log: io.StringIO,
) -> None:
    """Its plugins and its connection have them still."""
    running = config_with("running")
    logs.hide(secrets_of(running))
    daemon = Daemon(App(running), File())  # type: ignore[arg-type]
    for _ in range(3):
        await daemon._reload_once()
    json_log.truncate(0)
    logging.getLogger("library").info("signed in with %s, not with %s", "running", "refused-3")
    assert "signed in with ***, not with ***" in json_log.getvalue()
