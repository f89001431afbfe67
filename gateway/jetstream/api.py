"""The JetStream API as raw requests: nats-py's dataclasses lack fields and erase what they do not know."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

import msgspec
import nats.errors

from ..errors import GatewayError
from ..records import StoredMessage
from .connection import Connection

TIMEOUT = 5.0
"""Seconds for one API call; a cluster without a leader answers nothing at all."""

REMOVAL = 2.0
"""Seconds a server gets to finish removing what was deleted, before anything of that name is made anew. It says that a
durable or stream is gone when its folder is still there, and removes that folder with what was made in it since.
"""

STREAM_NOT_FOUND = 10059
CONSUMER_NOT_FOUND = 10014
CONSUMER_EXISTS = 10148
CONSUMER_NOT_STORED = 10012
MESSAGE_NOT_FOUND = 10037


_decode = msgspec.json.Decoder(dict[str, Any]).decode


class ApiError(GatewayError):
    """The server answered with an error. `code` is HTTP-like, `err_code` the server's own number."""

    def __init__(self, code: int, err_code: int, description: str) -> None:
        self.code = code
        self.err_code = err_code
        self.description = description
        super().__init__(f"{description} ({err_code})")


class ApiUnavailable(GatewayError):
    """Nobody answered: no connection, no leader, no JetStream, or no permission to ask."""


class ApiDenied(ApiUnavailable):
    """We may not ask."""


class JetStreamApi:
    """Requests to `$JS.API`, or to a domain's."""

    def __init__(self, connection: Connection, domain: str | None = None) -> None:
        self.connection = connection
        self.prefix = f"$JS.{domain}.API" if domain else "$JS.API"
        self._whose = f" in the domain {domain}" if domain else ""

    async def request(self, subject: str, body: Any = None, limit: float | None = None) -> dict[str, Any]:
        """Ask, and give the answer as plain data, within `limit` seconds. Raises ApiError and ApiUnavailable."""
        limit = TIMEOUT if limit is None else limit
        full = f"{self.prefix}.{subject}"
        data = b"" if body is None else msgspec.json.encode(body)
        try:
            answer = await self.connection.wire.request(full, data, timeout=limit)
        except nats.errors.NoRespondersError as error:
            text = f"JetStream does not answer{self._whose}: it is not enabled, or has no leader now"
            raise ApiUnavailable(text) from error
        except (nats.errors.TimeoutError, TimeoutError) as error:
            if self.denied(full):
                raise ApiDenied(f"{full}: no permission to publish there") from error
            if self.connection.denials.deaf:
                raise ApiDenied(
                    f"no permission to subscribe to {self.connection.denials.deaf}, where answers come"
                ) from error
            raise ApiUnavailable(f"{full}: no answer in {limit:g} s") from error
        except (nats.errors.Error, OSError) as error:
            raise ApiUnavailable(f"{full}: {error or type(error).__name__}") from error
        try:
            reply: dict[str, Any] = _decode(answer.data)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise ApiUnavailable(f"{full}: what came is no answer of a server") from error
        if "error" in reply:
            fault = reply["error"] if isinstance(reply["error"], dict) else {}
            raise ApiError(fault.get("code", 0), fault.get("err_code", 0), fault.get("description", "no description"))
        return reply

    def denied(self, subject: str) -> bool:
        """Whether the server has said lately that we may not publish a request; `subject` is all of it.

        A server takes its own domain out of the subject before it looks, and names what is left.
        """
        plain = "$JS.API" + subject.removeprefix(self.prefix)
        return self.connection.denied(subject) or self.connection.denied(plain)

    async def stream_info(self, stream: str) -> dict[str, Any]:
        """Config, state and creation time of a stream."""
        return await self.request(f"STREAM.INFO.{stream}")

    async def message(self, stream: str, sequence: int, subject: str | None = None) -> StoredMessage | None:
        """The message at `sequence`, or the first from there on under `subject`; None when there is none.

        From the stream's leader, and nothing is consumed by it, whatever the stream's retention.
        """
        wanted = {"seq": sequence} if subject is None else {"seq": sequence, "next_by_subj": subject}
        try:
            found = (await self.request(f"STREAM.MSG.GET.{stream}", wanted))["message"]
        except ApiError as error:
            if error.err_code == MESSAGE_NOT_FOUND:
                return None
            raise
        return StoredMessage(
            stream,
            int(found["seq"]),
            str(found["subject"]),
            base64.b64decode(found.get("data", "")),
            base64.b64decode(found.get("hdrs", "")),
            int(datetime.fromisoformat(found["time"]).timestamp() * 1_000_000) * 1000,
        )

    async def pages(self, request: str, field: str) -> AsyncIterator[Any]:
        """Every item of a list that is given in pages; raises ApiError and ApiUnavailable."""
        seen = 0
        while True:
            page = await self.request(request, {"offset": seen})
            items = page.get(field) or []
            for item in items:
                yield item
            seen += len(items)
            if not items or seen >= int(page.get("total", 0)):
                return

    async def has_stream(self, stream: str) -> bool | None:
        """Whether there is a stream of this name; None when nobody says."""
        try:
            await self.stream_info(stream)
        except ApiError as error:
            return False if error.err_code == STREAM_NOT_FOUND else None
        except ApiUnavailable:
            return None
        return True

    async def takers(self, subject: str, witness: str | None = None) -> list[str] | None:
        """The streams that take `subject`; None when nobody says, or who says it does not know enough.

        "None" is believed only from a server that knows of `witness`, a stream that is there: a node that has just
        become leader may answer before it has caught up.
        """
        try:
            reply = await self.request("STREAM.NAMES", {"subject": subject})
            found = list(reply.get("streams") or [])
            if not found and witness is not None and not await self._knows(witness):
                return None
        except (ApiError, ApiUnavailable):
            return None
        return found

    async def _knows(self, stream: str) -> bool:
        """Whether the answerer lists a stream; raises ApiError and ApiUnavailable."""
        async for name in self.pages("STREAM.NAMES", "streams"):
            if name == stream:
                return True
        return False
