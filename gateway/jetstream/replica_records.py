"""The records of the replicas in their bucket: what stands in one, and reading them all."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Iterable

import msgspec

from ..errors import Retry
from ..subjects import key_is_legal
from .api import STREAM_NOT_FOUND, ApiError, ApiUnavailable, JetStreamApi
from .bucket import Bucket

BUCKETS = "gateway-"
"""How the names of the buckets begin."""

_FOREIGN = re.compile(r"[^A-Za-z0-9/_=-]")


def bucket_of(gateway: str) -> str:
    """The bucket of all gateways of one name."""
    return f"{BUCKETS}{gateway}"


def key_of(*parts: str) -> str:
    """One key of several words, each made one legal token."""
    return ".".join(_FOREIGN.sub("_", part) or "_" for part in parts)


def subjects(gateway: str) -> list[str]:
    """The subjects a gateway publishes to for its replicas; without the right to, it goes on without them."""
    stream = f"KV_{bucket_of(gateway)}"
    return [
        f"$JS.API.STREAM.INFO.{stream}",
        f"$JS.API.STREAM.CREATE.{stream}",
        f"$JS.API.STREAM.MSG.GET.{stream}",
        f"$KV.{bucket_of(gateway)}.>",
    ]


class Replica(msgspec.Struct, frozen=True):
    """One record."""

    instance: str
    config: str
    """Digest of the config it runs."""
    born: int
    """A config first seen later has a higher number."""
    pins: tuple[str, ...] = ()
    """Fingerprints of the pins it has: in which ordered routes it is the active one."""


def fingerprint(pin: str) -> str:
    """A pin in a record: its id is as long as the rest of the record, and who knows it could ask in its name."""
    return hashlib.sha256(pin.encode()).hexdigest()[:10]


def holder_of(pin: str, replicas: Iterable[Replica]) -> str:
    """The instance that has a pin, "" when none of these says so."""
    mark = fingerprint(pin)
    return next((replica.instance for replica in replicas if mark in replica.pins), "")


async def records(api: JetStreamApi, bucket: Bucket, name: str) -> tuple[list[Replica], int]:
    """All records of a bucket, and its last revision; raises ApiError, ApiUnavailable and Retry."""
    start = f"$KV.{name}."
    info = await api.request(f"STREAM.INFO.KV_{name}", {"subjects_filter": f"{start}replica.>"})
    keys = [subject.removeprefix(start) for subject in info["state"].get("subjects") or {}]
    values = await asyncio.gather(*(bucket.get(key) for key in keys if key_is_legal(key)))
    found = [replica for value in values if value and (replica := _read(value)) is not None]
    return found, int(info["state"]["last_seq"])


async def live(api: JetStreamApi, gateway: str) -> list[Replica]:
    """The live replicas, for commands; raises Retry when they cannot be known."""
    name = bucket_of(gateway)
    try:
        found, _ = await records(api, Bucket(api, name, name), name)
    except ApiError as error:
        if error.err_code == STREAM_NOT_FOUND:
            return []
        raise Retry(f"bucket {name}: {error}") from error
    except ApiUnavailable as error:
        raise Retry(f"bucket {name}: {error}") from error
    return found


def _read(value: bytes) -> Replica | None:
    """A record; None when it is none of ours."""
    try:
        return msgspec.json.decode(value, type=Replica)
    except msgspec.MsgspecError:
        return None
