"""Durable consumers: made when missing, compared when there, changed only when the config says so."""

from __future__ import annotations

import logging
from typing import Any

from ..config import model
from ..errors import RouteFault
from .api import CONSUMER_EXISTS, CONSUMER_NOT_FOUND, ApiError, JetStreamApi

log = logging.getLogger("gateway.nats")

OWNER = "gateway"
"""Metadata key: the name of the gateway a durable belongs to."""
DIGEST = "gateway-config"
"""Metadata key: digest of the config that made or last updated it."""


class Durable:
    """The durable of one route, as its config wants it."""

    def __init__(self, api: JetStreamApi, gateway: str, digest: str, source: model.Source, route: str) -> None:
        self._api = api
        self._gateway = gateway
        self._digest = digest
        self._source = source
        self._route = route

    async def ensure(self, stream: dict[str, Any]) -> dict[str, Any]:
        """The consumer's info, made if it may be made; raises RouteFault, ApiError, ApiUnavailable."""
        source = self._source
        try:
            info = await self._api.request(f"CONSUMER.INFO.{source.stream}.{source.durable}")
        except ApiError as error:
            if error.err_code != CONSUMER_NOT_FOUND:
                raise
            if source.manage == "verify":
                raise RouteFault(
                    "no-consumer",
                    f"stream {source.stream} has no durable {source.durable}",
                    "make it, or set source.manage to create",
                ) from error
            return await self._create(stream)
        return await self._compare(info)

    async def _create(self, stream: dict[str, Any]) -> dict[str, Any]:
        source = self._source
        try:
            info = await self._request("create", self._wanted())
        except ApiError as error:
            if error.err_code != CONSUMER_EXISTS:
                raise
            # A replica was faster; its word is as good as ours.
            return await self._compare(await self._api.request(f"CONSUMER.INFO.{source.stream}.{source.durable}"))
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

    async def _compare(self, info: dict[str, Any]) -> dict[str, Any]:
        """Refuse another gateway's durable; report differences, or mend them with `manage: update`."""
        source = self._source
        config = info["config"]
        owner = (config.get("metadata") or {}).get(OWNER)
        if owner is not None and owner != self._gateway:
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
        differences = self._differences(config)
        if differences and source.manage == "update":
            return await self._update(config, differences)
        if differences:
            log.warning(
                "durable %s differs from the config: %s",
                source.durable,
                "; ".join(differences),
                extra={"event": "durable.differs", "route": self._route},
            )
        return info

    async def _update(self, config: dict[str, Any], differences: list[str]) -> dict[str, Any]:
        """Change what may change; everything else of the consumer is sent back as it was found."""
        wanted = self._wanted()
        changed = {name: wanted[name] for name in ("ack_wait", "max_ack_pending", "max_deliver", "metadata")}
        merged = {**config, **changed}
        merged.pop("filter_subject", None)
        merged["filter_subjects"] = wanted["filter_subjects"]
        info = await self._request("update", merged)
        log.info(
            "durable %s updated: %s",
            self._source.durable,
            "; ".join(differences),
            extra={"event": "durable.updated", "route": self._route},
        )
        return info

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
            "metadata": {OWNER: self._gateway, DIGEST: self._digest},
        }
        start = source.start
        if isinstance(start, model.StartAt):
            if start.sequence is not None:
                wanted |= {"deliver_policy": "by_start_sequence", "opt_start_seq": start.sequence}
            else:
                wanted |= {"deliver_policy": "by_start_time", "opt_start_time": start.time}
        else:
            wanted["deliver_policy"] = start
        return wanted

    def _differences(self, config: dict[str, Any]) -> list[str]:
        """What the route depends on and the consumer has otherwise."""
        wanted = self._wanted()
        found = []
        filters = config.get("filter_subjects") or ([config["filter_subject"]] if config.get("filter_subject") else [])
        if sorted(filters) != sorted(wanted["filter_subjects"]):
            found.append(
                f"subjects are {', '.join(filters) or 'all'}, the config says {', '.join(wanted['filter_subjects'])}"
            )
        for name, unit in (("ack_wait", 1e9), ("max_ack_pending", 1), ("max_deliver", 1)):
            if config.get(name) != wanted[name]:
                found.append(f"{name} is {config.get(name, 0) / unit:g}, the config says {wanted[name] / unit:g}")
        return found
