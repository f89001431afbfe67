"""Publishes many messages at once for components: one inbox, one write per turn of the loop, one future per batch.

nats-py's request makes a future, a timer and a look-up of every message, which costs more than the event it is about.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence

from ..errors import Reject, Retry, RouteFault
from ..event import PubAck
from ..headers import name_is_safe, value_is_safe
from ..ports import Answer, AnswerKind
from ..records import Message
from ..subjects import MAX_SUBJECT, subject_fault
from .answers import read
from .connection import Connection

Word = PubAck | Retry | Reject
"""What became of one message."""


class _Batch:
    """Messages sent together, and the words on them that have come."""

    __slots__ = ("done", "open", "subjects", "words")

    def __init__(self, messages: Sequence[Message]) -> None:
        self.words: list[Word | None] = [None] * len(messages)
        self.open = len(messages)
        self.subjects = {message.subject for message in messages}
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def answer(self, index: int, word: Word) -> None:
        """One more is known."""
        self.words[index] = word
        self.open -= 1
        if not self.open and not self.done.done():
            self.done.set_result(None)

    def end(self) -> None:
        """Wait no longer."""
        if not self.done.done():
            self.done.set_result(None)


class Batches:
    """Publishing for all components of a process, on one connection."""

    def __init__(self, connection: Connection, inbox_prefix: str) -> None:
        self._connection = connection
        self._inbox = f"{inbox_prefix}.{secrets.token_hex(8)}"
        self._token_at = len(self._inbox) + 1
        self._reply = f"{self._inbox}.".encode()
        self._names: set[str] = set()
        """Header names found to be good; there are few."""
        self._generation = 0
        self._attaching = asyncio.Lock()
        self._next = 0
        self._waiting: dict[int, tuple[_Batch, int]] = {}
        self._batches: set[_Batch] = set()
        connection.changed.append(self._connection_changed)
        connection.denials.told.append(self._denied)

    async def publish(self, messages: Sequence[Message], limit: float) -> list[Word]:
        """Send in order, wait for the words at most `limit` seconds; raises ValueError for what may not be sent."""
        for subject in {message.subject for message in messages}:
            _check_subject(subject)
        blocks = [self._block(message) for message in messages]
        if not messages:
            return []
        try:
            await self._attach()
        except RouteFault as fault:
            return [Retry(fault.text, code=fault.code) for _ in messages]
        batch = _Batch(messages)
        first = self._next
        self._next += len(messages)
        self._batches.add(batch)
        try:
            self._send(batch, messages, blocks, first)
            if batch.open:
                await asyncio.wait({batch.done}, timeout=limit)
        finally:
            self._batches.discard(batch)
            for token in range(first, first + len(messages)):
                self._waiting.pop(token, None)
        return [word or self._silence(message, limit) for word, message in zip(batch.words, messages, strict=True)]

    def _send(self, batch: _Batch, messages: Sequence[Message], blocks: Sequence[bytes], first: int) -> None:
        write, waiting, reply = self._connection.wire.write, self._waiting, self._reply
        for index, (message, block) in enumerate(zip(messages, blocks, strict=True)):
            token = first + index
            head, data = len(block), message.data
            subject = message.subject.encode()
            command = b"HPUB %b %b%d %d %d\r\n%b%b\r\n" % (subject, reply, token, head, head + len(data), block, data)
            waiting[token] = (batch, index)
            if not write(command):
                batch.answer(index, Retry("no connection to a server", code="disconnected"))

    async def _attach(self) -> None:
        """Listen to the answers, once per client."""
        async with self._attaching:
            if self._generation != self._connection.generation:
                _, self._generation = await self._connection.attach(f"{self._inbox}.*", self._answered)

    def _block(self, message: Message) -> bytes:
        """The header block; the server closes the connection, which is every route's, over what is not legal."""
        text = "NATS/1.0\r\n"
        for name, value in message.headers.items():
            if name not in self._names:
                if not name_is_safe(name):
                    raise ValueError(f"not a header: {name!r}")
                if len(self._names) < 1000:
                    self._names.add(name)
            if not value_is_safe(value):
                raise ValueError(f"not a value of a header: {name}")
            text += f"{name}: {value}\r\n"
        block = f"{text}\r\n".encode("utf-8", "surrogateescape")
        size, limit = len(block) + len(message.data), self._connection.wire.max_payload
        if size > limit and self._connection.connected:
            raise ValueError(f"{size} bytes with headers: the server takes {limit}")
        return block

    def _answered(self, subject: str, reply: str, header_block: bytes, data: bytes) -> None:
        token = subject[self._token_at :]
        number = int(token) if token.isdigit() else -1
        answer = read(header_block, data)
        if answer.kind is not AnswerKind.IGNORED and (found := self._waiting.pop(number, None)) is not None:
            batch, index = found
            batch.answer(index, answer.ack or _why_not(answer))

    def _connection_changed(self, connected: bool) -> None:
        if not connected:
            for batch in self._batches:
                batch.end()

    def _denied(self, subject: str) -> None:
        for batch in self._batches:
            if subject in batch.subjects:
                batch.end()

    def _silence(self, message: Message, limit: float) -> Retry:
        """Why there is no word on a message."""
        if not self._connection.connected:
            return Retry("the connection was lost before an answer came", code="disconnected")
        if self._connection.denied(message.subject):
            return Retry(f"no permission to publish to {message.subject}", code="no-permission")
        return Retry(f"no answer within {limit:g} s", code="timeout")


def _check_subject(subject: str) -> None:
    fault = subject_fault(subject)
    if fault is not None or len(subject.encode()) > MAX_SUBJECT:
        raise ValueError(f"not to be published to: {fault or f'over {MAX_SUBJECT} bytes'}")


def _why_not(answer: Answer) -> Word:
    if answer.kind is AnswerKind.REFUSED:
        return Reject(answer.code, answer.text)
    if answer.kind is AnswerKind.NO_RESPONDERS:
        return Retry("no stream takes the subject, or it has no leader now", code="no-stream")
    return Retry(answer.text, code=answer.code)
