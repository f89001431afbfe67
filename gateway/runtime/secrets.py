"""Takes a component's own secrets out of what it says."""

from __future__ import annotations

from ..config.secrets import words
from ..plugin import Component
from ..routing.run import one_line

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
    for word in sorted({*words(getattr(component, "config", None)), *words(settings)}, key=len, reverse=True):
        text = text.replace(word, _MASK)
    return one_line(text)
