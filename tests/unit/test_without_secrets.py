"""What a component says when it cannot open is told without the secrets it was given."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest
from msgspec import field

from gateway import Event, Filter, Secret, Settings
from gateway.runtime.secrets import without_secrets


@dataclass
class Login:
    """A config need not be a Struct."""

    password: Secret


class Keyed(Filter, name="keyed"):
    """Takes secrets of every kind."""

    class Config(Settings):
        """Some."""

        token: Secret | None = None
        headers: dict[str, Secret] = field(default_factory=dict)
        several: list[Secret] = field(default_factory=list)
        login: Login | None = None

    def accepts(self, event: Event) -> bool:
        return True


def said(error: BaseException, settings: Any = None, **config: Any) -> str:
    context: Any = SimpleNamespace(settings=settings)
    return without_secrets(error, Keyed(Keyed.Config(**config), context))


@pytest.mark.parametrize(
    "config",
    [
        {"token": Secret("hunter2")},
        {"headers": {"k": Secret("hunter2")}},
        {"several": [Secret("x"), Secret("hunter2")]},
        {"login": Login(Secret("hunter2"))},
    ],
)
def test_a_secret_is_masked_wherever_the_config_holds_it(config: dict[str, Any]) -> None:
    assert said(ValueError("hunter2 is not accepted"), **config) == "*** is not accepted"


def test_a_secret_of_the_plugin_s_settings_is_masked() -> None:
    assert said(OSError("no hunter2"), Keyed.Config(token=Secret("hunter2"))) == "no ***"


def test_of_an_address_the_password_is_masked_by_itself_too() -> None:
    dsn = Secret("postgresql://gateway:hunter%402@db/audit")
    for text in (dsn.reveal(), "password hunter@2 was refused", "password hunter%402 was refused"):
        shown = said(RuntimeError(text), token=dsn)
        assert "hunter" not in shown
        assert "***" in shown


def test_what_is_said_is_one_line_and_an_empty_secret_masks_nothing() -> None:
    assert said(KeyError("a\nb"), token=Secret("")) == "'a\\nb'"
    assert said(ValueError("a\nb")) == "a b"
    assert said(TimeoutError()) == "TimeoutError"


class Unsayable(Exception):
    """Has no text, as a slip in a plugin's own class can have it."""

    def __str__(self) -> str:
        raise TypeError("no text")


def test_an_exception_without_a_text_is_its_type() -> None:
    """It was raised by a `close`, of which there may be others to come."""
    assert said(Unsayable()) == "Unsayable"
