"""The durables there are on a server, for commands: a route's, and those that no route has any more."""

from __future__ import annotations

from typing import Any

import msgspec

from . import pin
from .api import CONSUMER_NOT_FOUND, STREAM_NOT_FOUND, ApiError, JetStreamApi
from .consumers import DIGEST, OWNER


class Seen(msgspec.Struct, frozen=True):
    """One durable as the server shows it."""

    stream: str
    durable: str
    owner: str | None
    """The gateway it belongs to, as its metadata says."""
    config: str | None
    """Digest of the config that made or last changed it."""
    pending: int
    """Events not delivered yet."""
    ack_pending: int
    """Events delivered and not settled."""
    redelivered: int
    pulls: int
    """Requests that wait for events: somebody reads it."""
    position: int
    """Every event up to this sequence of the stream is settled."""
    paused: bool
    """Somebody has had the server deliver nothing until some time."""
    pinned: bool
    """Its events come to one reader at a time."""
    pin: str | None
    """The id of that reader; None when it is nobody."""


def seen(info: dict[str, Any]) -> Seen:
    """What a consumer's info says of it."""
    metadata = info["config"].get("metadata") or {}
    return Seen(
        stream=str(info["stream_name"]),
        durable=str(info["name"]),
        owner=metadata.get(OWNER),
        config=metadata.get(DIGEST),
        pending=int(info.get("num_pending", 0)),
        ack_pending=int(info.get("num_ack_pending", 0)),
        redelivered=int(info.get("num_redelivered", 0)),
        pulls=int(info.get("num_waiting", 0)),
        position=int(info["ack_floor"]["stream_seq"]),
        paused=bool(info.get("paused")),
        pinned=pin.pinned(info["config"]),
        pin=pin.holder_in(info),
    )


async def look(api: JetStreamApi, stream: str, durable: str) -> Seen | str:
    """One durable, or `no-stream` or `no-durable`; raises ApiError and ApiUnavailable."""
    try:
        return seen(await api.request(f"CONSUMER.INFO.{stream}.{durable}"))
    except ApiError as error:
        if error.err_code == STREAM_NOT_FOUND:
            return "no-stream"
        if error.err_code == CONSUMER_NOT_FOUND:
            return "no-durable"
        raise


async def of_gateway(api: JetStreamApi, stream: str, gateway: str) -> list[Seen]:
    """The durables of a stream that say they are this gateway's; none of a stream that is not there.

    Raises ApiError and ApiUnavailable.
    """
    try:
        infos = [info async for info in api.pages(f"CONSUMER.LIST.{stream}", "consumers")]
    except ApiError as error:
        if error.err_code != STREAM_NOT_FOUND:
            raise
        return []
    durables = [seen(info) for info in infos if "durable_name" in info["config"]]
    return [one for one in durables if one.owner == gateway]


async def all_streams(api: JetStreamApi) -> list[str]:
    """The names of all streams of the account; raises ApiError and ApiUnavailable."""
    return [str(name) async for name in api.pages("STREAM.NAMES", "streams")]


async def delete(api: JetStreamApi, one: Seen) -> None:
    """Delete a durable; one that is gone already is fine. Raises ApiError and ApiUnavailable."""
    try:
        await api.request(f"CONSUMER.DELETE.{one.stream}.{one.durable}")
    except ApiError as error:
        if error.err_code not in (CONSUMER_NOT_FOUND, STREAM_NOT_FOUND):
            raise
