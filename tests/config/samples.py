"""Configs with marked places, and plugins that need no installation."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Annotated, Any

from msgspec import Meta

from gateway import Codec, Event, Filter, Path, Secret, Settings, Transform, hookimpl
from gateway.config import model
from gateway.config.loader import Loaded, examine_text
from gateway.problems import Problem
from gateway.registry import Registry, load_plugins

ENV = {"PW": "hunter2", "N": "3", "NAME": "hunter2"}
"""What expansions find in the environment."""

ROUTE = """\
routes:
  - name: orders
    source: {stream: ORDERS, subjects: [orders.>]}
    targets: [{subject: billing.orders}]
"""
"""The smallest config."""
SECOND = "  - name: two\n    source: {stream: OTHER, subjects: [x]}\n    targets: [{subject: y}]\n"
"""Another route for it."""


class Above(Filter, name="above"):
    """Keep events whose number is above a limit."""

    class Config(Settings):
        path: Path
        limit: Annotated[float, Meta(ge=0)] = 1.0
        key: Secret | None = None

    def accepts(self, event: Event) -> bool:
        """Nobody calls it here."""
        return True


class Pass(Filter, name="pass"):
    """Takes no settings."""

    def accepts(self, event: Event) -> bool:
        """Nobody calls it here."""
        return True


class Share(Filter, name="share"):
    """A number, or a mapping with more."""

    class More(Settings):
        rate: float
        key: Path

    Config = Annotated[float, Meta(ge=0, le=1)] | More

    def accepts(self, event: Event) -> bool:
        """Nobody calls it here."""
        return True


class Strip(Transform, name="strip"):
    """A list of paths."""

    Config = list[Path]

    def apply(self, event: Event) -> Event:
        """Nobody calls it here."""
        return event


class Rot13(Codec, name="rot13"):
    """A codec with settings."""

    class Config(Settings):
        turns: int = 13
        key: str = ""

    def decode(self, data: bytes, headers: Any, subject: str) -> Any:
        """Nobody calls it here."""
        return None


class Acme:
    """A plugin with a few of everything."""

    @hookimpl
    def gateway_filters(self) -> list[type[Filter]]:
        return [Above, Pass, Share]

    @hookimpl
    def gateway_transforms(self) -> list[type[Transform]]:
        return [Strip]

    @hookimpl
    def gateway_codecs(self) -> list[type[Codec]]:
        return [Rot13]


class Point:
    """An entry point without a distribution behind it, unless one is given."""

    def __init__(self, name: str, load: Callable[[], Any], distribution: str = "", version: str = "") -> None:
        self.name = name
        self.value = f"{name}:plugin"
        self.load = load
        self.dist = SimpleNamespace(name=distribution, version=version) if distribution else None


def acme_point(name: str = "acme", distribution: str = "acme-gateway", version: str = "1.2") -> Point:
    """An entry point of the plugin Acme."""
    return Point(name, Acme, distribution, version)


def acme() -> Registry:
    """The built-ins and Acme."""
    return load_plugins(entry_points=[acme_point()])


def marked(text: str) -> tuple[str, list[tuple[int, int]]]:
    """The text without its « marks, and the line and column of what follows each."""
    places: list[tuple[int, int]] = []
    while "«" in text:
        before, _, after = text.partition("«")
        places.append((before.count("\n") + 1, len(before) - before.rfind("\n")))
        text = before + after
    return text, places


def said(problem: Problem) -> str:
    """A problem without its place and hint."""
    return f"{problem.path}: {problem.text} ({problem.code})" if problem.path else f"{problem.text} ({problem.code})"


def loaded(text: str, registry: Registry) -> Loaded:
    """A config, or its problems, read with the environment ENV."""
    return examine_text(text, "c.yaml", ENV, registry)


def config(text: str, registry: Registry) -> model.Config:
    """A config that has no problems but warnings."""
    found = loaded(text, registry)
    assert [problem for problem in found.problems if not problem.is_warning] == []
    assert found.config is not None
    return found.config
