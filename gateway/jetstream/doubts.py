"""What is doubtful about the streams behind a route that works: said once, at its start, and never in its way."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from ..config import model
from ..routing.route import CompiledRoute
from .api import ApiError, ApiUnavailable, JetStreamApi
from .streams import taking

log = logging.getLogger("gateway.nats")


class StreamDoubts:
    """Looks at the streams that take a route's copies and dead letters, as far as the config names them.

    Of others it asks nothing: `gateway permissions` could not say beforehand that it may.
    """

    def __init__(self, api: JetStreamApi) -> None:
        self._api = api
        self._seen: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    def look(self, route: CompiledRoute, config: model.Config) -> None:
        """Begin to look, once for each form of a route; returns at once."""
        if route.identity in self._seen:
            return
        self._seen.add(route.identity)
        task = asyncio.get_running_loop().create_task(self._look(route, config))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def close(self) -> None:
        """Look no further."""
        for task in self._tasks:
            task.cancel()

    async def _look(self, route: CompiledRoute, config: model.Config) -> None:
        subjects = [*(target.subject.constant for target in route.targets), route.dead_letter]
        named = {stream.name for stream in config.streams if stream.provision != "off"}
        named |= {stream.name for subject in subjects if subject for stream in taking(config.streams, subject)}
        named |= {route.origin.stream, *(target.stream for target in route.targets if target.stream)}
        try:
            await self._look_at_windows(route, named, float(config.drain))
            await self._look_at_letters(route, named)
        except (ApiError, ApiUnavailable) as error:
            log.debug("streams not looked at: %s", error, extra={"event": "route.no-look", "route": route.name})

    async def _look_at_windows(self, route: CompiledRoute, named: set[str], drain: float) -> None:
        """What a dead gateway had in flight comes again after ack-wait: by then its copies must still be known."""
        config = route.config
        ack_wait = float(config.source.ack_wait)
        advised = ack_wait + 2 * float(config.retry.max) + drain
        for target in route.targets:
            subject = target.subject.constant
            names = [target.stream] if target.stream else [] if subject is None else await self._takers(subject)
            for name in named.intersection(names):
                window = (await self._config(name)).get("duplicate_window", 0) / 1e9
                if window < ack_wait:
                    _warn(
                        route,
                        "target.short-window",
                        f"target {target.name}: the duplicate window of {name} is {window:g} s, shorter than ack-wait,"
                        f" {ack_wait:g} s: after a crash copies are stored twice",
                        f"nats stream edit {name} --dupe-window {advised:.0f}s",
                    )

    async def _look_at_letters(self, route: CompiledRoute, named: set[str]) -> None:
        """Dead letters must stay somewhere, and not come back as events."""
        for name in await self._takers(route.dead_letter):
            if name == route.origin.stream and route.reads_letters:
                _warn(
                    route,
                    "route.reads-its-letters",
                    f"{name} takes {route.dead_letter}, which the route reads: its dead letters come back to it",
                    "take the subject out of source.subjects, or set dead-letter: {subject: ...} to another stream's",
                )
            if name in named and (await self._config(name)).get("retention") == "interest":
                _warn(
                    route,
                    "route.letters-not-kept",
                    f"{name}, which takes {route.dead_letter}, keeps only what somebody consumes",
                    "dead letters need a stream with limits",
                )

    async def _takers(self, subject: str) -> list[str]:
        return await self._api.takers(subject) or []

    async def _config(self, stream: str) -> dict[str, Any]:
        config: dict[str, Any] = (await self._api.stream_info(stream))["config"]
        return config


def _warn(route: CompiledRoute, event: str, text: str, hint: str) -> None:
    log.warning("%s", text, extra={"event": event, "route": route.name, "hint": hint})
