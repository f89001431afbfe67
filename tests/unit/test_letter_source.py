"""Dead letters on their way into a lane, and out of their stream, when a server goes or the program has a fault."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from gateway.dlq.remover import Remover
from gateway.dlq.source import LetterSource, Pace
from gateway.dlq.store import DeadLetters
from gateway.dlq.tally import Tally
from gateway.jetstream.api import ApiUnavailable
from gateway.records import StoredMessage
from gateway.routing.redrive import Letter, Redrive


class _Broken(DeadLetters):
    """A stream over which the program has a fault."""

    def __init__(self) -> None:
        self.name = "DLQ"

    async def walk(self, first: int = 0, last: int = 0, subject: str | None = None) -> AsyncIterator[Any]:
        raise ZeroDivisionError
        yield

    async def check(self) -> None: ...

    async def remove(self, sequence: int) -> bool:
        raise ZeroDivisionError

    async def holds(self, letter: Letter) -> bool:
        return True


async def test_a_fault_of_the_program_while_letters_are_read_ends_the_run() -> None:
    """Else it would be waited for the rest of the letters without end."""
    letters, tally = _Broken(), Tally(2)
    remover = Remover(letters, tally, lambda: None)
    redrive = Redrive("DLQ", "then")
    source = LetterSource("r", redrive, letters.walk, letters.holds, 2, "", Pace(0.0), remover, tally)
    await source.open()
    await asyncio.wait_for(source.finished.wait(), 30)
    assert isinstance(source.fault, ZeroDivisionError)
    assert tally.gone == 0
    await source.close()


async def test_a_fault_of_the_program_while_letters_are_removed_ends_the_run() -> None:
    """And it is not told as a server that is away."""
    remover = Remover(_Broken(), Tally(2), lambda: None)
    remover.start()
    remover.remove(1)
    await asyncio.wait_for(remover.failed.wait(), 30)
    assert isinstance(remover.fault, ZeroDivisionError)
    assert remover.left == 1
    assert remover.excuse is remover.fault
    remover.close()


class _Away:
    """An API and a reader of a server that is away for a while."""

    def __init__(self, seconds: float) -> None:
        self._back = time.monotonic() + seconds
        self.patience = 0.0

    async def message(self, stream: str, sequence: int, subject: str | None = None) -> StoredMessage | None:
        if time.monotonic() < self._back:
            raise ApiUnavailable("no answer")
        return StoredMessage(stream, sequence, "dlq.r", b"", b"", 0)

    async def read(
        self, stream: str, first: int, last: int, subject: str | None, patience: float
    ) -> AsyncIterator[StoredMessage]:
        self.patience = patience
        for sequence in range(first, last + 1):
            yield StoredMessage(stream, sequence, "dlq.r", b"", b"", 0)


@pytest.mark.parametrize("retention", ["limits", "workqueue"])
async def test_a_server_that_goes_while_letters_are_read_is_waited_for_as_long_as_was_asked(retention: str) -> None:
    server: Any = _Away(0.3)
    info = {
        "config": {"name": "DLQ", "retention": retention},
        "state": {"first_seq": 1, "last_seq": 2},
        "created": "then",
    }
    letters = DeadLetters(server, server, info, 60.0)
    assert [message.sequence async for message in letters.walk()] == [1, 2]
    assert server.patience == (60.0 if retention == "limits" else 0.0)


async def test_letters_asked_for_by_number_are_read_alone_and_none_that_came_later() -> None:
    server: Any = _Away(0.0)
    info = {"config": {"name": "DLQ"}, "state": {"first_seq": 1, "last_seq": 5}, "created": "then"}
    letters = DeadLetters(server, server, info, 5.0)
    assert [message.sequence async for message in letters.meant({4, 2, 6})] == [2, 4]
    assert server.patience == 0.0, "the stream is not read"
