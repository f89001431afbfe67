"""A JetStream key-value bucket: a stream `KV_<name>` whose subjects are `$KV.<name>.<key>`. Source: NATS ADR-8.

By raw requests, like all of the control plane here: nats-py's bucket belongs to one client and knows no domain, and its
watcher ends in silence when the connection or the bucket goes.
"""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import AsyncIterator

import nats.errors

from ..errors import Retry
from ..ports import Answer
from ..subjects import key_is_legal
from .answers import read
from .api import MESSAGE_NOT_FOUND, ApiError, ApiUnavailable, JetStreamApi
from .feed import Feed, is_deletion

WRONG_REVISION = "(10071)"
"""How the server's answer ends when a key has changed since the revision named."""
PATIENCE = 5.0
"""Seconds for a value to be stored."""
_NAME = re.compile(r"[A-Za-z0-9_-]{1,255}")


class Bucket:
    """One bucket. Survives reconnects and a bucket made anew: every call asks the server of the moment."""

    def __init__(self, api: JetStreamApi, name: str, origin: str) -> None:
        """`origin` is the bucket whose subjects the keys have: its own name, or that of the one it mirrors."""
        self._api = api
        self._name = name
        self._stream = f"KV_{name}"
        self._prefix = f"$KV.{origin}."

    @classmethod
    async def open(cls, api: JetStreamApi, name: str) -> Bucket:
        """Find a bucket; raises Retry when there is none or nobody answers, ValueError for an illegal name."""
        if not _NAME.fullmatch(name):
            raise ValueError("not the name of a bucket: letters, digits, _ and -")
        try:
            config = (await api.stream_info(f"KV_{name}"))["config"]
        except (ApiError, ApiUnavailable) as error:
            raise _retry(name, error) from error
        mirror = (config.get("mirror") or {}).get("name", "")
        return cls(api, name, mirror.removeprefix("KV_") or name)

    async def get(self, key: str) -> bytes | None:
        """The newest value, or None; by the stream's leader, since a replica may not know it yet."""
        return (await self.entry(key))[1]

    async def entry(self, key: str) -> tuple[int, bytes | None]:
        """Revision and value of a key: what was deleted has a revision and no value, what never was has revision 0."""
        self._check(key)
        try:
            reply = await self._api.request(f"STREAM.MSG.GET.{self._stream}", {"last_by_subj": self._prefix + key})
        except ApiError as error:
            if error.err_code == MESSAGE_NOT_FOUND:
                return 0, None
            raise _retry(self._name, error) from error
        except ApiUnavailable as error:
            raise _retry(self._name, error) from error
        message = reply["message"]
        block = b64decode(message.get("hdrs", ""))
        value = None if is_deletion(block) else b64decode(message.get("data", ""))
        return int(message["seq"]), value

    async def put(self, key: str, value: bytes) -> int:
        """Store; returns the revision. Raises Retry when nobody says it is stored, ValueError for what cannot be."""
        return self._revision(await self._store(key, value, {}))

    async def swap(self, key: str, value: bytes | None, revision: int) -> int | None:
        """Store, or with None delete, while `revision` is the key's newest; None when somebody else was faster.

        Returns the new revision. Raises as `put` does: then nobody knows.
        """
        headers = {"Nats-Expected-Last-Subject-Sequence": str(revision)}
        if value is None:
            headers["KV-Operation"] = "DEL"
        answer = await self._store(key, value or b"", headers)
        return None if answer.text.endswith(WRONG_REVISION) else self._revision(answer)

    async def delete(self, key: str) -> None:
        """Leave a mark that the key has no value any more; raises Retry when nobody says that it is stored."""
        self._revision(await self._store(key, b"", {"KV-Operation": "DEL"}))

    def _revision(self, answer: Answer) -> int:
        if answer.ack is None:
            raise Retry(f"bucket {self._name}: {answer.text or 'what came is no answer of a stream'}")
        return answer.ack.seq

    async def _store(self, key: str, value: bytes, headers: dict[str, str]) -> Answer:
        self._check(key)
        wire = self._api.connection.wire
        if len(value) > wire.max_payload:
            raise ValueError(f"{len(value)} bytes: the server takes {wire.max_payload}")
        # A bucket in another domain is reached through that domain's API.
        way = "" if self._api.prefix == "$JS.API" else f"{self._api.prefix}."
        subject = f"{way}{self._prefix}{key}"
        try:
            reply = await wire.request(subject, value, PATIENCE, headers=headers or None)
        except (nats.errors.Error, TimeoutError, OSError) as error:
            if self._api.connection.denied(subject):
                raise Retry(f"bucket {self._name}: no permission to publish to {subject}") from error
            raise _retry(self._name, error) from error
        return read(b"", reply.data)

    async def watch(self, key: str = ">") -> AsyncIterator[tuple[str, bytes | None]]:
        """Present values, then changes; raises Retry when one may have been missed."""
        feed = await self._feed(key, "last_per_subject")
        try:
            async for entry in feed:
                yield entry
        finally:
            await feed.aclose()

    async def changes(self, key: str = ">") -> Feed:
        """Changes from now on; raises Retry when they cannot be watched, or when one may have been missed."""
        return await self._feed(key, "new")

    async def _feed(self, key: str, start: str) -> Feed:
        try:
            return await Feed.open(self._api, self._stream, self._prefix, key, start)
        except (ApiError, ApiUnavailable) as error:
            raise _retry(self._name, error) from error

    def _check(self, key: str) -> None:
        if not key_is_legal(key):
            raise ValueError("not a key: tokens of letters, digits and -/_= joined by dots")


def _retry(name: str, error: Exception) -> Retry:
    return Retry(f"bucket {name}: {error or type(error).__name__}")
