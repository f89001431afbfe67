"""A publisher that does not take a stream's word for a duplicate: it looks whether the original is still there.

A stream remembers message ids longer than messages: purged, or consumed from a work queue, a copy is gone and its id
is not. A letter removed for such an answer would have been the last of its event.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from ..jetstream.api import ApiDenied, ApiError, ApiUnavailable, JetStreamApi
from ..ports import Answer, AnswerKind, LaneSink, Publisher
from ..records import PubAck
from .store import PAUSE
from .tally import Tally

log = logging.getLogger("gateway.dlq")

UNANSWERED = 50_000
"""Publishes without an answer whose ids are remembered."""
BUSY = 503
"""The code of a server that cannot say now."""

_ID = b"\r\nNats-Msg-Id: "


class ProvingPublisher:
    """What a lane publishes through; `unproved` is told the letter whose copy a stream remembers and has not."""

    def __init__(
        self,
        inner: Publisher,
        api: JetStreamApi,
        tally: Tally,
        unproved: Callable[[int, str], None],
        *,
        writes_letters: bool = True,
    ) -> None:
        """Without `writes_letters` an event that fails has no new letter: `unproved` is told why, and it stays."""
        self._inner = inner
        self._api = api
        self._tally = tally
        self._unproved = unproved
        self._writes_letters = writes_letters
        self._sent: dict[int, str] = {}
        self._sink: LaneSink | None = None
        self._looks: set[asyncio.Task[None]] = set()

    def attach(self, sink: LaneSink) -> None:
        """Answers go to this lane."""
        self._sink = sink
        self._inner.attach(self)

    def send(self, subject: str, header_block: bytes, data: bytes, token: int) -> bool:
        """Write one message; its id is remembered for its answer."""
        start = header_block.index(_ID) + len(_ID)
        message_id = header_block[start : header_block.index(b"\r\n", start)].decode()
        if not self._writes_letters and message_id.count(".") == 1:
            why = header_block.partition(b"\r\nGateway-Error-Code: ")[2].partition(b"\r\n")[0].decode()
            # Not now: whoever sends is in the middle of it.
            asyncio.get_running_loop().call_soon(self._unproved, letter_in(message_id), why)
            return True
        if len(self._sent) >= UNANSWERED:
            del self._sent[next(iter(self._sent))]
        self._sent[token] = message_id
        return self._inner.send(subject, header_block, data, token)

    def answered(self, token: int, answer: Answer) -> None:
        """A stream answered: what it holds for a duplicate is looked at first."""
        message_id = self._sent.pop(token, None)
        if answer.kind is AnswerKind.STORED and answer.ack is not None and answer.ack.duplicate:
            if message_id is not None:  # else it is sent again, and answered again
                task = asyncio.get_running_loop().create_task(self._look(message_id, token, answer, answer.ack))
                self._looks.add(task)
                task.add_done_callback(self._looks.discard)
        elif self._sink is not None:
            self._sink.answered(token, answer)

    async def _look(self, message_id: str, token: int, answer: Answer, ack: PubAck) -> None:
        try:
            doubt = await self._doubt(message_id, ack)
        except Exception:
            log.exception("internal error", extra={"event": "dlq.look-failed"})
            doubt = "unproved"
        if doubt:
            self._unproved(letter_in(message_id), doubt)
            return
        self._tally.proved += 1
        if self._sink is not None:
            self._sink.answered(token, answer)

    async def _doubt(self, message_id: str, ack: PubAck) -> str:
        """Why the original is not known to be where the stream says; empty when it is seen there."""
        while True:
            try:
                found = await self._api.message(ack.stream, ack.seq)
            except ApiDenied:
                return "unreadable"
            except ApiError as error:
                if error.code != BUSY:
                    log.warning("%s cannot be read: %s", ack.stream, error, extra={"event": "dlq.look-refused"})
                    return "unproved"
            except ApiUnavailable:
                pass  # it is asked again
            else:
                there = found is not None and b"%b%b\r\n" % (_ID, message_id.encode()) in found.header_block
                return "" if there else "unproved"
            await asyncio.sleep(PAUSE)

    def denied(self, subject: str) -> bool:
        """Whether the server has said lately that we may not publish to `subject`."""
        return self._inner.denied(subject)

    async def takers(self, subject: str) -> list[str] | None:
        """The streams that take `subject`; None when nobody says."""
        return await self._inner.takers(subject)

    async def has_stream(self, stream: str) -> bool | None:
        """Whether there is a stream of this name; None when nobody says."""
        return await self._inner.has_stream(stream)

    def advice(self, target: str | None) -> str:
        """How to make the stream that a target lacks, or None: the dead letters."""
        return self._inner.advice(target)

    @property
    def connected(self) -> bool:
        """Whether anything can be sent now."""
        return self._inner.connected

    @property
    def max_payload(self) -> int:
        """What the server takes in one message, headers included."""
        return self._inner.max_payload

    async def close(self) -> None:
        """Take no more answers."""
        for task in self._looks:
            task.cancel()
        await self._inner.close()

    # The publisher's end of a lane: nothing of this comes from there.

    def delivered(self, delivery: object) -> None: ...

    def pull_ended(self) -> None: ...

    def source_lost(self, code: str, text: str) -> None: ...


def letter_in(message_id: str) -> int:
    """The sequence of the letter an id was made for."""
    return int(message_id.split(".")[1])
