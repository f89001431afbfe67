"""Components that routes share: one instance per component, config and plugin settings in a process."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from ..plugin import Component
from .route import fingerprint_of


class SharedComponents:
    """The instances of components with `shared = True`; lives as long as the process, over all reloads.

    Two routes get one instance when component, config and the plugin's settings are equal, secrets included.
    """

    def __init__(self) -> None:
        self._made: dict[tuple[type[Component], str], Component] = {}

    def get(self, kind: type[Component], config: Any, settings: Any, make: Callable[[], Component]) -> Component:
        """The instance there is, or the one `make` makes; what it raises is raised, and nothing is kept."""
        key = (kind, fingerprint_of(config, settings))
        found = self._made.get(key)
        if found is None:
            found = self._made[key] = make()
        return found

    def forget(self, component: Component) -> None:
        """The last route that used it is gone, and it was closed: the next one gets a new one."""
        for key, made in list(self._made.items()):
            if made is component:
                del self._made[key]

    def keep(self, used: Iterable[Component]) -> None:
        """Let go of what only a config that was refused would have used."""
        wanted = {id(component) for component in used}
        self._made = {key: made for key, made in self._made.items() if id(made) in wanted}
