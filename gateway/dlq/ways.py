"""A compiled route made one that sends dead letters again, in the way that was ordered."""

from __future__ import annotations

from typing import Any

import msgspec

from ..event import Attributes, Event, Reader
from ..headers import Headers
from ..paths import Readable
from ..routing.letters import written_name
from ..routing.redrive import Redrive
from ..routing.route import CompiledRoute, CompiledTarget
from ..templates import Template
from .plan import Way

SOURCE = "source"
"""The target that stands for the source, in message ids and in words."""


class _AsItCame(Template):
    """The subject of an event, whole: a stream has taken it before."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__("{$subject}")

    def subject(self, event: Readable) -> str:
        """As the source held it."""
        assert isinstance(event, Event)
        return event.subject


def redriving(route: CompiledRoute, way: Way, stream: str, created: str) -> CompiledRoute:
    """The route for the letters of a stream. In a route whose order counts, one letter is done after the other."""
    written = {target.name: written_name(target.name) for target in route.targets}
    redrive = Redrive(stream, created, written if way is Way.FAILED_TARGETS else None)
    config = route.config
    if config.ordering != "none":
        config = msgspec.structs.replace(config, ordering="none", max_in_flight=1)
    changed = msgspec.structs.replace(route, redrive=redrive, config=config)
    return _to_source(changed) if way is Way.SOURCE else changed


def _to_source(route: CompiledRoute) -> CompiledRoute:
    """No step and no audit: the route does and records all that when the event comes by again."""
    target = CompiledTarget(
        name=SOURCE,
        subject=_AsItCame(),
        stream=route.origin.stream,
        rules=(),
        codec=route.codec,
        encode=route.codec.encode,
        same_codec=True,
        rewrites=None,
        owned=None,
    )
    config = msgspec.structs.replace(route.config, audits=[])
    return msgspec.structs.replace(
        route,
        config=config,
        reader=Reader(_untouched, _without_attributes),
        steps=(),
        targets=(target,),
        audits=(),
        components=(),
        owners=(),
        fault=None,
    )


def _untouched(data: bytes, headers: Headers, subject: str) -> Any:
    return data


def _without_attributes(body: Any, headers: Headers) -> Attributes:
    return Attributes()
