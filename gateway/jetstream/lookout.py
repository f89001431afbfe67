"""What is known of a route's consumer and its stream: found when the source is opened, and looked at now and then."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any

from ..config import model
from ..errors import RouteFault
from ..ports import Remark
from .api import STREAM_NOT_FOUND, ApiError, ApiUnavailable, JetStreamApi
from .consumers import Durable
from .remarks import REFUSALS, ack_wait_of, of_consumer, of_stream

STREAM_EVERY = 60.0
"""Seconds between two looks at the config of a stream that is read."""


class Lookout:
    """Looks at one durable and its stream, and says what is worth saying of them."""

    def __init__(
        self,
        api: JetStreamApi,
        source: model.Source,
        durable: Durable,
        missing: Callable[[], Awaitable[RouteFault]],
    ) -> None:
        """`missing` gives the fault when the stream is not there."""
        self._api = api
        self._source = source
        self._durable = durable
        self._missing = missing
        self.ack_wait = 0.0
        """Seconds, as the consumer had it when it was found."""
        self._of_stream: list[Remark] = []
        self._stream_due = 0.0

    async def find(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Stream and consumer, which is made if it may be; raises RouteFault."""
        source = self._source
        try:
            stream, consumer = await self._durable.ensure(await self._api.stream_info(source.stream))
        except ApiError as error:
            if error.err_code == STREAM_NOT_FOUND:
                raise await self._missing() from error
            text = f"{source.stream}/{source.durable}: {error}"
            raise RouteFault("consumer-refused", text, REFUSALS.get(error.err_code, "")) from error
        except ApiUnavailable as error:
            raise RouteFault("jetstream-unavailable", str(error)) from error
        return stream, consumer

    def found(self, stream: dict[str, Any], consumer: dict[str, Any]) -> None:
        """These are the ones that are read from now on."""
        self.ack_wait = ack_wait_of(consumer["config"])
        self._of_stream = of_stream(self._source, stream)
        self._stream_due = time.monotonic() + STREAM_EVERY

    async def created(self) -> str:
        """The stream's creation time as the server writes it; raises RouteFault."""
        try:
            return str((await self._api.stream_info(self._source.stream))["created"])
        except (ApiError, ApiUnavailable) as error:
            raise RouteFault("jetstream-unavailable", str(error)) from error

    async def look(self) -> tuple[dict[str, Any], RouteFault | None]:
        """The consumer's info, and why the source must be opened again, if it must; raises RouteFault.

        Now and then the stream is looked at, too.
        """
        source, now = self._source, time.monotonic()
        try:
            info = await self._api.request(f"CONSUMER.INFO.{source.stream}.{source.durable}")
            if now >= self._stream_due:
                self._of_stream = of_stream(source, await self._api.stream_info(source.stream))
                self._stream_due = time.monotonic() + STREAM_EVERY
            stored = info.get("created") != self._durable.made or await self._durable.stored(info)
        except (ApiError, ApiUnavailable) as error:
            raise RouteFault("jetstream-unavailable", str(error)) from error
        self._durable.stood_at(info)
        if ack_wait_of(info["config"]) != self.ack_wait:
            # Progress is told by half of it.
            return info, RouteFault("consumer-updated", "somebody has changed the consumer's ack-wait")
        if not stored:
            return info, RouteFault("consumer-lost", "the server does not store the consumer")
        return info, None

    def remarks(self, info: dict[str, Any]) -> tuple[Remark, ...]:
        """What there is to say of a consumer that was looked at, and of its stream."""
        differences = self._durable.differences(info["config"])
        return (*of_consumer(self._source, info, differences), *self._of_stream)
