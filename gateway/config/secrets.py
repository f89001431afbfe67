"""The secrets that a config holds, as plain words: for whoever has to keep them out of a text."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote, urlsplit

import msgspec

from ..values import Secret
from . import model


def secrets_of(config: model.Config) -> frozenset[str]:
    """Every secret of a config, those in the addresses of servers and in its plugins' settings among them."""
    servers = [word for url in config.nats.servers for word in _signs_in(url)]
    return frozenset((*words(config), *servers))


def words(value: Any) -> Iterator[str]:
    """Every secret within a value, and of one that is an address the password alone."""
    if isinstance(value, Secret):
        yield from (word for word in (value.reveal(), *_passwords(value.reveal())) if word)
    elif isinstance(value, msgspec.Struct):
        for name in value.__struct_fields__:
            yield from words(getattr(value, name))
    elif dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            yield from words(getattr(value, field.name))
    elif isinstance(value, dict):
        for inner in value.values():
            yield from words(inner)
    elif isinstance(value, (list, tuple, set, frozenset)):
        for inner in value:
            yield from words(inner)


def _passwords(text: str) -> tuple[str, ...]:
    try:
        password = urlsplit(text).password
    except ValueError:
        return ()
    return (password, unquote(password)) if password else ()


def _signs_in(url: str) -> tuple[str, ...]:
    """What of a server's address says who we are: its password, or a name alone, which is a token."""
    try:
        found = urlsplit(url)
        secret = found.password if found.password is not None else found.username
    except ValueError:
        return ()
    return (secret, unquote(secret)) if secret else ()
