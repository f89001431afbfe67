"""What a route asks of its server that older releases pass over without a word."""

from __future__ import annotations

from ..config import model
from ..errors import RouteFault

PINNED = (2, 11)
"""Pinned priority groups, which `ordering` is made of."""
SUBJECTS = (2, 10)
"""A durable with several filter subjects; before, it gets all there are."""


def check_server(version: tuple[int, ...], route: model.Route) -> None:
    """Raise RouteFault when the server would make another durable than the one that is asked for."""
    if route.ordering != "none" and version < PINNED:
        _refuse("ordered routes need", PINNED, version, "leave ordering out")
    if len(route.source.subjects) > 1 and version < SUBJECTS:
        _refuse("several source.subjects need", SUBJECTS, version, "name one subject")


def _refuse(what: str, least: tuple[int, ...], version: tuple[int, ...], instead: str) -> None:
    needed, found = (".".join(map(str, numbers)) for numbers in (least, version))
    text = f"{what} nats-server {needed} or later, this is {found}"
    raise RouteFault("server-too-old", text, f"upgrade the server, or {instead}")
