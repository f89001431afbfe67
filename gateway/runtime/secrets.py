"""Takes a component's own secrets out of what it says."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote, urlsplit

import msgspec

from ..plugin import Component
from ..routing.run import one_line
from ..values import Secret

_MASK = "***"


def without_secrets(error: BaseException, component: Component) -> str:
    """What an exception says, on one line, without any secret of the component's config or its plugin's settings.

    For what is raised while no event is at hand: the text of anything else may hold an event's data.
    """
    try:
        text = str(error) or type(error).__name__
    except Exception:  # noqa: BLE001 - a plugin's own class may not even have a text
        text = type(error).__name__
    settings = getattr(getattr(component, "context", None), "settings", None)
    # The longest first: a part of a secret must not be taken out of it before the whole.
    for word in sorted({*_words(getattr(component, "config", None)), *_words(settings)}, key=len, reverse=True):
        text = text.replace(word, _MASK)
    return one_line(text)


def _words(value: Any) -> Iterator[str]:
    """Every secret within a value, and of one that is an address the password alone."""
    if isinstance(value, Secret):
        yield from (word for word in (value.reveal(), *_passwords(value.reveal())) if word)
    elif isinstance(value, msgspec.Struct):
        for name in value.__struct_fields__:
            yield from _words(getattr(value, name))
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _words(inner)
    elif isinstance(value, (list, tuple, set, frozenset)):
        for inner in value:
            yield from _words(inner)


def _passwords(text: str) -> tuple[str, ...]:
    try:
        password = urlsplit(text).password
    except ValueError:
        return ()
    return (password, unquote(password)) if password else ()
