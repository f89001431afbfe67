"""Reads what streams hold, forwards in any amount and backwards from the end: for components and one-shot commands.

A consumer of memory only, without acks, is made for each run and goes by itself when it is left behind. Whatever was
missed over a lost connection is asked for again: messages come once each, in order.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections.abc import AsyncIterator
from typing import Any

import msgspec

from ..errors import Retry, RouteFault
from ..records import StoredMessage
from .answers import status_of
from .api import MESSAGE_NOT_FOUND, STREAM_NOT_FOUND, ApiDenied, ApiError, ApiUnavailable, JetStreamApi

AT_ONCE = 500
"""Messages asked for with one request."""
AT_ONCE_BYTES = 4 << 20
SILENCE = 2.0
"""Seconds without a message after which the run is begun again."""
IDLE = 30.0
"""Seconds after which the server forgets a consumer that was left behind."""
PAGE = 64
"""Sequences looked at first when reading backwards."""
FULL_PAGE = 1000
"""Messages in one page from which on pages grow no more."""


class StreamReader:
    """Reads streams on one connection."""

    def __init__(self, api: JetStreamApi, inbox_prefix: str) -> None:
        self._connection = api.connection
        self._api = api
        self._inbox = inbox_prefix

    async def read(
        self, stream: str, first: int, last: int, subject: str | None = None, patience: float = 5.0
    ) -> AsyncIterator[StoredMessage]:
        """The messages from sequence `first` to `last`, under `subject` (a wildcard, too) or all.

        Raises Retry when for `patience` seconds there was neither one more message nor a connection.
        """
        since = time.monotonic()
        while first <= last:
            run = _Run(self._api, self._inbox, stream)
            try:
                async for message in run.messages(first, last, subject):
                    first = message.sequence + 1
                    yield message
                    since = time.monotonic()  # whoever reads may take his time over each
                if run.complete:
                    return
                why = "no message came, although there are more"
            except ApiDenied as error:
                raise Retry(str(error), code="no-permission") from error
            except (ApiUnavailable, RouteFault) as error:
                why = str(error)
            except ApiError as error:
                raise Retry(f"{stream} cannot be read: {error}", code="unreadable") from error
            finally:
                await run.close()
            if time.monotonic() - since > patience:
                raise Retry(f"{stream} cannot be read: {why}", code=self._code())
            await self._connection.wait(0.5)
            await asyncio.sleep(0.05)

    async def recent(self, subject: str, limit: int) -> AsyncIterator[StoredMessage]:
        """What is stored under `subject`, the newest first; raises Retry."""
        try:
            stream, first, last = await self._range(subject)
        except ApiDenied as error:
            raise Retry(str(error), code="no-permission") from error
        except (ApiError, ApiUnavailable) as error:
            raise Retry(str(error), code=self._code()) from error
        span, seen = PAGE, 0
        while last >= first and seen < limit:
            start = max(first, last - span + 1)
            page = [message async for message in self.read(stream, start, last, subject)]
            for message in reversed(page[-(limit - seen) :]):
                seen += 1
                yield message
            last = start - 1
            if len(page) < FULL_PAGE:
                span *= 4

    async def _range(self, subject: str) -> tuple[str, int, int]:
        """The stream that takes `subject`, its first sequence and the last one under the subject."""
        names = (await self._api.request("STREAM.NAMES", {"subject": subject}, limit=2.0)).get("streams") or []
        if not names:
            raise Retry(f"no stream takes {subject}", code="no-stream")
        stream = str(names[0])
        state = (await self._api.request(f"STREAM.INFO.{stream}", limit=2.0))["state"]
        try:
            newest = await self._api.request(f"STREAM.MSG.GET.{stream}", {"last_by_subj": subject}, limit=2.0)
        except ApiError as error:
            if error.err_code != MESSAGE_NOT_FOUND:
                raise
            return stream, 1, 0
        return stream, int(state["first_seq"]), int(newest["message"]["seq"])

    def _code(self) -> str:
        return "unavailable" if self._connection.connected else "disconnected"


class _Run:
    """One consumer, read to its end."""

    def __init__(self, api: JetStreamApi, inbox_prefix: str, stream: str) -> None:
        self._connection = api.connection
        self._api = api
        self._stream = stream
        self._name = f"read-{secrets.token_hex(8)}"
        self._reply = f"{inbox_prefix}.{self._name}"
        self._next = f"{api.prefix}.CONSUMER.MSG.NEXT.{stream}.{self._name}"
        self._arrived: list[tuple[str, str, bytes, bytes]] = []
        self._news = asyncio.Event()
        self._sid = self._generation = 0
        self._large = False
        """The next message alone is larger than what one request may bring."""
        self.complete = False
        """Whether everything asked for has come."""

    async def messages(self, first: int, last: int, subject: str | None) -> AsyncIterator[StoredMessage]:
        """What comes until the end, or until nothing comes any more; raises ApiError, ApiUnavailable, RouteFault."""
        self._sid, self._generation = await self._connection.attach(self._reply, self._take)
        left = await self._create(first, subject)
        expected = 1
        while left > 0:
            open_ = 1 if self._large else min(left, AT_ONCE)
            self._pull(open_)
            before = expected
            while open_ > 0:
                self._news.clear()
                if not self._arrived:
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(self._news.wait(), SILENCE)
                arrived, self._arrived = self._arrived, []
                if not arrived:
                    if self._api.denied(self._next):
                        raise ApiDenied(f"{self._next}: no permission to publish there")
                    return
                for delivered, reply, header_block, data in arrived:
                    if not reply:
                        code, text, headers = status_of(header_block)
                        if code not in (404, 408, 409):
                            return
                        # Those it left out, over max_bytes, are asked for again.
                        rest = headers.get("Nats-Pending-Messages", "")
                        open_ -= int(rest) if rest.isdigit() else open_
                        if expected == before and not self._next_alone(text):
                            return  # What there was is gone, or nobody serves it: a new run finds out.
                        continue
                    tokens = reply.split(".")
                    at = 4 if len(tokens) == 9 else 6
                    sequence, number, left = int(tokens[at + 1]), int(tokens[at + 2]), int(tokens[at + 4])
                    if number != expected:
                        return  # One is missing: begin anew after the last.
                    if sequence > last:
                        self.complete = True
                        return
                    expected += 1
                    open_ -= 1
                    self._large = False
                    yield StoredMessage(self._stream, sequence, delivered, data, header_block, int(tokens[at + 3]))
        self.complete = True

    async def close(self) -> None:
        """Take no more, and have the server forget the consumer."""
        if self._generation == self._connection.generation and self._connection.connected:
            await self._connection.wire.detach(self._sid)
            with contextlib.suppress(ApiError, ApiUnavailable):  # it goes by itself, only later
                await self._api.request(f"CONSUMER.DELETE.{self._stream}.{self._name}", limit=1.0)

    async def _create(self, first: int, subject: str | None) -> int:
        config: dict[str, Any] = {
            "name": self._name,
            "deliver_policy": "by_start_sequence",
            "opt_start_seq": first,
            "ack_policy": "none",
            "replay_policy": "instant",
            "mem_storage": True,
            "num_replicas": 1,
            "inactive_threshold": int(IDLE * 1e9),
        }
        request = f"CONSUMER.CREATE.{self._stream}.{self._name}"
        if subject is not None:
            config["filter_subject"] = subject
            request = f"{request}.{subject}"
        try:
            info = await self._api.request(request, {"stream_name": self._stream, "config": config}, limit=2.0)
        except ApiError as error:
            if error.err_code == STREAM_NOT_FOUND:
                raise Retry(f"there is no stream {self._stream}", code="no-stream") from error
            raise
        return int(info.get("num_pending", 0))

    def _next_alone(self, text: str) -> bool:
        """Whether a request ended because the next message is too large for it; it is then asked for by itself."""
        self._large = not self._large and "exceeds maxbytes" in text.lower()
        return self._large

    def _pull(self, batch: int) -> None:
        request: dict[str, int] = {"batch": batch, "expires": int(SILENCE * 5e8)}
        if not self._large:
            request["max_bytes"] = AT_ONCE_BYTES
        body = msgspec.json.encode(request)
        command = b"PUB %b %b %d\r\n%b\r\n" % (self._next.encode(), self._reply.encode(), len(body), body)
        self._connection.wire.write(command)

    def _take(self, subject: str, reply: str, header_block: bytes, data: bytes) -> None:
        self._arrived.append((subject, reply, header_block, data))
        self._news.set()
