"""What a route asks of its server that older releases pass over without a word."""

from __future__ import annotations

from nats.aio.client import ServerVersion

from ..config import model
from ..errors import RouteFault

UNKNOWN = (0, 0)
PINNED = (2, 11)
"""Pinned priority groups, which `ordering` is made of."""
SUBJECTS = (2, 10)
"""A durable with several filter subjects; before, it gets all there are."""


def release_of(version: ServerVersion) -> tuple[int, ...]:
    """Major and minor number; (0, 0) of a build that calls itself otherwise."""
    try:
        return version.major, version.minor
    except ValueError:
        return UNKNOWN


def check_server(version: tuple[int, ...], route: model.Route) -> None:
    """Raise RouteFault when the server would make another durable than the one that is asked for."""
    if version == UNKNOWN:
        return  # Nobody can tell; and what differs in a durable is told when it is found.
    if route.ordering != "none" and version < PINNED:
        _refuse("ordered routes need", PINNED, version, "leave ordering out")
    if len(route.source.subjects) > 1 and version < SUBJECTS:
        _refuse("several source.subjects need", SUBJECTS, version, "name one subject")


def _refuse(what: str, least: tuple[int, ...], version: tuple[int, ...], instead: str) -> None:
    needed, found = (".".join(map(str, numbers)) for numbers in (least, version))
    text = f"{what} nats-server {needed} or later, this is {found}"
    raise RouteFault("server-too-old", text, f"upgrade the server, or {instead}")
