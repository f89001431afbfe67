"""Durable consumers: made when missing, compared when there, changed only when the config says so."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from ..config import model
from ..errors import RouteFault
from ..values import Duration
from . import pin
from .api import CONSUMER_EXISTS, CONSUMER_NOT_FOUND, CONSUMER_NOT_STORED, REMOVAL, ApiDenied, ApiError, JetStreamApi
from .by_hand import consumer_line
from .replicas import Replicas
from .updates import Update

log = logging.getLogger("gateway.nats")

OWNER = "gateway"
"""Metadata key: the name of the gateway a durable belongs to."""
DIGEST = "gateway-config"
"""Metadata key: digest of the config that made or last updated it."""
MAKES = 3
"""How often a durable that the server does not store is made, before the route says so."""


class Durable:
    """The durable of one route, as its config wants it."""

    def __init__(
        self, api: JetStreamApi, replicas: Replicas, source: model.Source, route: str, *, ordered: bool = False
    ) -> None:
        """`ordered`: one replica at a time reads it."""
        self._api = api
        self._ordered = ordered
        self._replicas = replicas
        self._source = source
        self._route = route
        self._stream = ""
        self.made = ""
        """When the server made the consumer that was last found."""
        self._looks_left = 0
        """How often it is still asked whether the server stores what we made."""
        self._floor: int | None = None
        """Up to here everything was settled, in the stream created at `_stream` by the consumer made at `_made`."""
        self._update = Update(api, replicas, source, route, self.differences, self._merged)

    @property
    def overdue(self) -> bool:
        """Whether it was found to differ from the config, could not be changed then, and may be now."""
        return self._update.overdue

    def advice(self, stream: dict[str, Any]) -> str:
        """How to come by it where the gateway may not make it."""
        wanted = self._wanted() | self._resumed(stream)
        return f"set source.manage to create, or make it: {consumer_line(self._source.stream, wanted)}"

    def stood_at(self, info: dict[str, Any]) -> None:
        """The consumer was looked at."""
        if info.get("created") == self.made:
            self._floor = int(info.get("ack_floor", {}).get("stream_seq", 0))

    async def ensure(self, stream: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """Stream and consumer, which is made if it may be made; raises RouteFault, ApiError, ApiUnavailable."""
        stream, info = await self._ensure(stream)
        self._begins(stream, info)
        return stream, info

    def _begins(self, stream: dict[str, Any], info: dict[str, Any]) -> None:
        """This is the consumer there is, and here it stands: one made in its place goes on from there."""
        self._stream, self.made = stream.get("created", ""), info.get("created", "")
        self.stood_at(info)

    async def stored(self, info: dict[str, Any]) -> bool:
        """Whether the server stores the durable that we made, where a restart finds it; asked twice, then believed.

        To update it to what it is (`info`, as it was just seen) changes nothing, but has the server write it, which
        fails when its folder is gone. To create it as it is would do the same, and make it anew where somebody has
        deleted it meanwhile: without what is known of its position. Raises ApiError, of one that is gone too, and
        ApiUnavailable.
        """
        if not self._looks_left:
            return True
        try:
            await self._request("update", info["config"])
        except ApiError as error:
            if error.err_code == CONSUMER_NOT_STORED:
                return False
            raise
        self._looks_left -= 1
        return True

    async def _ensure(self, stream: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        source = self._source
        info = await self._found()
        if info is None and source.manage != "verify" and self._stream and self._stream == stream.get("created"):
            # It was there. The server says that it goes before it has removed it, and would remove ours with it.
            await asyncio.sleep(REMOVAL)
            stream = await self._api.stream_info(source.stream)
            info = await self._found()
        for _ in range(MAKES):
            info = await self._compare(stream, info) if info is not None else await self._create(stream)
            if await self.stored(info):
                return stream, info
            await self._remove()
            info = None
        raise RouteFault(
            "consumer-refused",
            f"the server does not store the durable {source.durable}: a restart of it would lose it",
            "look at the server's log and disk",
        )

    async def _found(self) -> dict[str, Any] | None:
        """The consumer's info; None if there is none."""
        try:
            return await self._api.request(f"CONSUMER.INFO.{self._source.stream}.{self._source.durable}")
        except ApiError as error:
            if error.err_code != CONSUMER_NOT_FOUND:
                raise
            return None

    async def _remove(self) -> None:
        """Delete what the server does not store; its answer comes when that is done."""
        source = self._source
        log.warning(
            "the server has made the durable %s and does not store it: it is made again",
            source.durable,
            extra={"event": "durable.not-stored", "route": self._route, "stream": source.stream},
        )
        try:
            await self._api.request(f"CONSUMER.DELETE.{source.stream}.{source.durable}")
        except ApiError as error:
            if error.err_code != CONSUMER_NOT_FOUND:
                raise
        except ApiDenied as error:
            raise RouteFault(
                "consumer-refused",
                f"the server does not store the durable {source.durable}: a restart of it would lose it; {error}",
                f"delete it, and it is made anew: nats consumer rm {source.stream} {source.durable}",
            ) from error
        self._looks_left = 0

    async def _create(self, stream: dict[str, Any]) -> dict[str, Any]:
        source = self._source
        if source.manage == "verify":
            raise RouteFault(
                "no-consumer",
                f"stream {source.stream} has no durable {source.durable}",
                self.advice(stream),
            )
        wanted = self._wanted() | self._resumed(stream)
        try:
            info = await self._request("create", wanted)
        except ApiError as error:
            if error.err_code != CONSUMER_EXISTS:
                raise
            # A replica was faster; its word is as good as ours.
            info = await self._api.request(f"CONSUMER.INFO.{source.stream}.{source.durable}")
            return await self._compare(stream, info)
        # In a cluster what is made and what is removed are entries of one log, applied one after the other.
        self._looks_left = 0 if info.get("cluster") else 2
        self._begins(stream, info)
        self._update.done()
        messages = stream.get("state", {}).get("messages", 0)
        log.info(
            "durable made: %s on %s, which holds %s messages",
            source.durable,
            source.stream,
            f"{messages:,}",
            extra={
                "event": "durable.created",
                "route": self._route,
                "stream": source.stream,
                "start": str(source.start),
            },
        )
        return info

    async def _compare(self, stream: dict[str, Any], info: dict[str, Any]) -> dict[str, Any]:
        """Refuse another gateway's durable; mend differences with `manage: update`. Else a look at it shows them."""
        differences = self.look(info["config"])
        if not differences:
            self._update.done()
        elif self._update.due:
            info = await self._update.make(stream, info)
        pin.check(info["config"], self._source.durable, ordered=self._ordered)
        return info

    def look(self, config: dict[str, Any]) -> list[str]:
        """How a durable that is there differs from the config; raises RouteFault when it cannot be used at all."""
        source = self._source
        owner = (config.get("metadata") or {}).get(OWNER)
        if owner is not None and owner != self._replicas.gateway:
            raise RouteFault(
                "foreign-durable",
                f"the durable {source.durable} belongs to the gateway {owner!r}",
                "give the route a durable of its own",
            )
        if config.get("ack_policy") != "explicit" or config.get("deliver_subject"):
            raise RouteFault(
                "unfit-durable",
                f"the durable {source.durable} is no pull consumer with explicit acks",
                "give the route a durable of its own",
            )
        if source.manage != "update":
            pin.check(config, source.durable, ordered=self._ordered)
        return self.differences(config)

    def _merged(self, config: dict[str, Any]) -> dict[str, Any]:
        """A config found, changed where it may be; everything else of it is sent back as it was found."""
        wanted = self._wanted()
        changed = {name: wanted[name] for name in ("ack_wait", "max_ack_pending", "max_deliver", "filter_subjects")}
        # What others have written there stays, and the server's own.
        metadata = {**(config.get("metadata") or {}), **wanted["metadata"]}
        merged = {**config, **changed, "metadata": metadata}
        pin.adjust(merged, ordered=self._ordered)
        merged.pop("filter_subject", None)
        return merged

    async def _request(self, action: str, config: dict[str, Any]) -> dict[str, Any]:
        source = self._source
        body = {"stream_name": source.stream, "action": action, "config": config}
        return await self._api.request(f"CONSUMER.CREATE.{source.stream}.{source.durable}", body)

    def _wanted(self) -> dict[str, Any]:
        source = self._source
        wanted: dict[str, Any] = {
            "name": source.durable,
            "durable_name": source.durable,
            "ack_policy": "explicit",
            "replay_policy": "instant",
            "ack_wait": source.ack_wait.nanoseconds,
            # The gateway itself counts tries and dead-letters; a server that stops delivering strands events.
            "max_deliver": -1,
            "max_ack_pending": source.max_ack_pending,
            "filter_subjects": [str(subject) for subject in source.subjects],
            "metadata": {OWNER: self._replicas.gateway, DIGEST: self._replicas.digest},
        }
        if self._ordered:
            wanted |= pin.wanted()
        start = source.start
        if isinstance(start, model.StartAt):
            if start.sequence is not None:
                wanted |= {"deliver_policy": "by_start_sequence", "opt_start_seq": start.sequence}
            else:
                wanted |= {"deliver_policy": "by_start_time", "opt_start_time": start.time}
        else:
            wanted["deliver_policy"] = start
        return wanted

    def _resumed(self, stream: dict[str, Any]) -> dict[str, Any]:
        """A durable lost while we run is not new: `start: new` would skip what it had not settled yet."""
        if self._floor is None or self._source.start != "new":
            return {}
        if stream.get("created") != self._stream:
            return {"deliver_policy": "all"}
        return {"deliver_policy": "by_start_sequence", "opt_start_seq": self._floor + 1}

    def differences(self, config: dict[str, Any]) -> list[str]:
        """What the route depends on and the consumer has otherwise."""
        wanted = self._wanted()
        found = []
        if difference := pin.difference(config, ordered=self._ordered):
            found.append(difference)
        filters = config.get("filter_subjects") or ([config["filter_subject"]] if config.get("filter_subject") else [])
        if sorted(filters) != sorted(wanted["filter_subjects"]):
            found.append(
                f"subjects are {', '.join(filters) or 'all'}, the config says {', '.join(wanted['filter_subjects'])}"
            )
        if config.get("ack_wait") != wanted["ack_wait"]:
            there = Duration(config.get("ack_wait", 0) / 1e9)
            found.append(f"ack-wait is {there}, the config says {self._source.ack_wait}")
        if config.get("max_ack_pending") != wanted["max_ack_pending"]:
            there = config.get("max_ack_pending", 0)
            found.append(f"max-ack-pending is {there}, the config says {wanted['max_ack_pending']}")
        if config.get("max_deliver") != wanted["max_deliver"]:
            # No word of a config: whoever has set it did so on the server.
            found.append(f"max_deliver is {config.get('max_deliver', 0)}, the gateway wants {wanted['max_deliver']}")
        return found
